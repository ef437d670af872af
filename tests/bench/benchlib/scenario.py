"""What a scenario says of itself, and how its record becomes a section of the page."""

import dataclasses

from .picture import Row, bars


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Arms side by side: messages per second and CPU per message of each. Scenarios with other figures derive from it."""

    # Its key in docs/benchmarks.json.
    name: str
    title: str
    # What stands under the title, in Markdown.
    text: str
    # Each arm's name, and that on the page.
    arms: dict
    # Debian packages whose versions matter, besides Postfix, which brings generator and sink.
    packages: tuple = ()

    # What is drawn of each arm, and its caption with the unit.
    panels = {"messages_per_second": "messages per second", "cpu_us_per_message": "CPU per message, µs"}

    def section(self, found):
        """Of what was recorded, in Markdown."""
        return f"""\
## {self.title}

{self.text}

{self.conditions(found["date"], found["parameters"])}

![{self.title}](pictures/bench-{self.name}.svg)

{self.table(found["medians"])}

{self.ground(found)}
"""

    @staticmethod
    def conditions(date, parameters):
        return (f"{date}: {parameters['connections']} connections, messages of {parameters['octets']} octets,\n"
                f"{parameters['rounds']} alternating rounds of {parameters['messages']:,} messages; medians.")

    def table(self, medians):
        lines = ["| | messages per second | CPU per message | CPU of generator and sink |", "|---|---:|---:|---:|"]
        for name, value in medians.items():
            cpu = f"{value['cpu_us_per_message']:,.0f} µs" if name != "ceiling" else "–"
            others = "–"
            if "sink_us_per_message" in value:
                others = f"{value['generator_us_per_message']:,.0f} + {value['sink_us_per_message']:,.0f} µs"
            lines.append(f"| {self.arms[name]} | {value['messages_per_second']:,.0f} | {cpu} | {others} |")
        return "\n".join(lines)

    def pictures(self, found):
        """File names under docs/pictures, and what they hold."""
        row = Row("", {self.arms[name]: value for name, value in found["medians"].items()})
        yield f"bench-{self.name}.svg", bars(self.title, [row], self.panels)

    @staticmethod
    def ground(found):
        """Machine and programs."""
        host = found["machine"]
        load = f", load average {host['load']}" if "load" in host else ""
        programs = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        return (f"Machine: {host['cpus']} CPUs ({host['model']}), {host['memory_gib']} GiB, "
                f"Linux {host['kernel']}{load}. {programs}.")

"""What a scenario says of itself, and how its record becomes a section of the page."""

import dataclasses


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

    def section(self, found):
        """Of what was recorded, in Markdown."""
        return f"""\
## {self.title}

{self.text}

{self.conditions(found["date"], found["parameters"])}

{self.table(found["medians"])}

{self.ground(found)}
"""

    @staticmethod
    def conditions(date, parameters):
        return (f"{date}: {parameters['connections']} connections, messages of {parameters['octets']} octets,\n"
                f"{parameters['rounds']} alternating rounds of {parameters['messages']:,} messages; medians.")

    def table(self, medians):
        lines = ["| | messages per second | CPU per message |", "|---|---:|---:|"]
        for name, value in medians.items():
            cpu = f"{value['cpu_us_per_message']:,.0f} µs" if name != "ceiling" else "–"
            lines.append(f"| {self.arms[name]} | {value['messages_per_second']:,.0f} | {cpu} |")
        return "\n".join(lines)

    @staticmethod
    def ground(found):
        """Machine and programs."""
        host = found["machine"]
        load = f", load average {host['load']}" if "load" in host else ""
        programs = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        return (f"Machine: {host['cpus']} CPUs ({host['model']}), {host['memory_gib']} GiB, "
                f"Linux {host['kernel']}{load}. {programs}.")

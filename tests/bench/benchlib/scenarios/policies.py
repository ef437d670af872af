"""What a large policy costs: time to load it, memory of the gate, and CPU per message at relaying.

  few       the policy of the relaying benchmark, eight objects
  thousand  with 1,000 objects more
  tenthousand  with 10,000 more

Of the objects seven in ten are domains with a route of their own, of which there is one for every seven; the others are lookup tables
of 20 entries, Sieve scripts and throttles for one sender's domain each. Throttles are the costly ones: each is asked at every MAIL. The
messages of the rounds go to a domain in the middle. The time to load is that of `postern check`, the start of the process included.
"""

import contextlib
import pathlib
import subprocess
import time

from .. import measure, postern
from ..arms import temporary
from ..scenario import Scenario


class Policies(Scenario):
    """Time to load and memory beside CPU per message."""

    panels = {"load_seconds": "time to load, s", "memory_mib": "memory, MiB", "cpu_us_per_message": "CPU per message, µs"}

    def table(self, medians):
        lines = ["| | time to load | memory of the gate | CPU per message |", "|---|---:|---:|---:|"]
        for name, value in medians.items():
            lines.append(f"| {self.arms[name]} | {value['load_seconds'] * 1000:,.0f} ms | {value['memory_mib']:,.0f} MiB | "
                         f"{value['cpu_us_per_message']:,.0f} µs |")
        return "\n".join(lines)


SCENARIO = Policies(
    name="policies",
    title="Large policies",
    text="""\
As relaying, with 1,000 and 10,000 objects beside those that are needed: seven tenths are domains, one tenth each routes, lookup tables of
20 entries and Sieve scripts, and 20 in all are throttles with a `match`. Time to load is that of `postern check`; memory is what is resident after all
rounds. Written by `tests/bench/policies`.""",
    arms={"few": "8 objects", "thousand": "1,000 more", "tenthousand": "10,000 more"},
)


def main():
    arms = {"few": Few, "thousand": Thousand, "tenthousand": TenThousand}
    options = measure.arguments(__doc__, arms, messages=6000)
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(arms[name](temporary(stack))) for name in options.arms}
        results = measure.measure(running, options)
        for name, arm in running.items():
            for value in results[name]:
                value["load_seconds"] = arm.load_seconds()
                value["memory_mib"] = arm.memory_mib()
    measure.report(results, options, SCENARIO)


class Few(postern.Postern):
    more = 0

    def objects(self, sink_port, port):
        # With one route more the sink's is no longer the only one.
        domain = {"MtaDomain example": "{name: example.test, allowRelaying: true, route: sink}"}
        return super().objects(sink_port, port) | domain | dict(crowd(self.more, sink_port))

    def load_seconds(self):
        begin = time.monotonic()
        subprocess.run([postern.binary(), "check", self.home / "config"], check=True, capture_output=True)
        return round(time.monotonic() - begin, 4)

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return round(int(resident.split()[1]) / 1024, 1)


class Thousand(Few):
    more = 1000


class TenThousand(Few):
    more = 10000


def crowd(count, sink_port):
    """So many objects, each with its name."""
    throttles = min(count, 20)
    for number in range(throttles):
        yield (f"MtaInboundThrottle limit-{number}",
               f"{{match: \"sender_domain == 'sender{number}.example'\", key: [sender], rate: {{count: 100, period: 1m}}}}")
    for number in range(throttles, count):
        kind = number % 10
        if kind == 7:
            yield f"MtaRoute hop-{number}", f'{{type: Relay, address: "127.0.0.1", port: {sink_port}}}'
        elif kind == 8:
            entries = ", ".join(f"{{key: key{entry}.example, value: value {entry}}}" for entry in range(20))
            yield f"MtaLookup table-{number}", f"{{entries: [{entries}]}}"
        elif kind == 9:
            yield (f"MtaSieveScript script-{number}",
                   f"{{contents: 'if header :contains \"Subject\" \"word{number}\" {{ discard; }}'}}")
        else:
            yield f"MtaDomain domain-{number}", f"{{name: domain{number}.example, allowRelaying: true, route: sink}}"

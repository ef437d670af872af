"""What traces cost: CPU of the gate per message at relaying, with sampling at 1 % and at 100 %, against tracing off.

  off    the gate, release build, one Relay route
  part   the same with a collector, OTEL_TRACES_SAMPLER=traceidratio and 0.01
  all    the same with every message recorded

The collector takes OTLP/HTTP and throws it away; its time is not counted. The arms run in alternating order. At the end every span has to
have been taken: dropped ones would be cheap. docs/benchmarks.md and docs/benchmarks.json get the medians and the raw values.
"""

import re

from ..answering import Answering
from ..measure import of_pairs, side_by_side
from ..postern import Postern
from ..scenario import Scenario

# How much more than without traces is allowed, per cent.
ALLOWED = {"part": 5, "all": 25}

SCENARIO = Scenario(
    name="traces",
    title="Traces",
    text=f"""\
As relaying, with a collector that takes OTLP/HTTP and throws it away; its time is not counted. Wanted: at most {ALLOWED["part"]} % more CPU per message with
1 % recorded, and {ALLOWED["all"]} % with all. Written by `tests/bench/traces`.""",
    arms={"off": "tracing off", "part": "1 % of messages recorded", "all": "every message recorded"},
)


def main():
    with Answering() as collector:
        def prepare(arm):
            arm.collector = collector

        results = side_by_side(SCENARIO, {"off": Off, "part": Part, "all": All}, __doc__, messages=10000, prepare=prepare,
                               prove=lambda arm: arm.prove())
    for name, allowed in ALLOWED.items():
        if name in results and "off" in results:
            more = of_pairs(results, name, "off", "cpu_us_per_message")
            print(f"{name}: {more:+.1f} % CPU per message, median of {len(results[name])} pairs (allowed: {allowed} %)")


class Off(Postern):
    sampler = {}

    @property
    def environment(self):
        if not self.sampler:
            return {}
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector.port}",
            # Room for what comes while the collector, on the same two processors, is not yet done.
            "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
            "OTEL_BSP_SCHEDULE_DELAY": "1000",
            **self.sampler,
        }

    def spans(self):
        return dict(re.findall(r'postern_trace_spans_total{outcome="(\w+)"} (\d+)', self.metrics()))

    def prove(self):
        spans = self.spans()
        if any(int(count) for count in spans.values()):
            raise SystemExit(f"tracing was not off: {spans}")


class Part(Off):
    sampler = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}

    def prove(self):
        spans = self.spans()
        print(f"{type(self).__name__.lower()}: {spans}")
        if int(spans["Exported"]) == 0 or int(spans["QueueFull"]) + int(spans["ExportFailed"]) > 0:
            raise SystemExit("spans were lost, so the figures say nothing")


class All(Part):
    sampler = {"OTEL_TRACES_SAMPLER": "always_on"}

"""What a shared store costs: messages per second at relaying with one throttle that counts every MAIL, in Redis and in memory.

  memory  the gate, release build, one Relay route, one MtaInboundThrottle
  redis   the same with MtaSettings.store of type Redis, whose time is not counted but which needs a processor too

The arms run in alternating order. At the end Redis has to have counted every message: a gate that counts by itself would be as fast as
memory. docs/benchmarks.md and docs/benchmarks.json get the medians and the raw values.
"""

import contextlib
import re
import subprocess

from ..measure import of_pairs, side_by_side
from ..ports import free_port, wait_until
from ..postern import Postern
from ..scenario import Scenario

# How much less than in memory is allowed, per cent.
ALLOWED = 15

SCENARIO = Scenario(
    name="throttle",
    title="A throttle in Redis",
    text=f"""\
As relaying, with one MtaInboundThrottle that counts every MAIL, in memory or in a Redis on the same machine, whose time is not counted. All
have one sender, so events that come while a request is under way go together in the next one. Wanted:
at most {ALLOWED} % fewer messages per second with Redis. Written by `tests/bench/throttle`.""",
    arms={"memory": "counted in memory", "redis": "counted in Redis"},
    packages=("redis-server",),
)


def main():
    arms = {"memory": Memory, "redis": Redis}
    results = side_by_side(SCENARIO, arms, __doc__, messages=12000, prove=lambda arm: arm.prove())
    if len(results) == len(arms):
        more = of_pairs(results, "redis", "memory", "messages_per_second")
        print(f"redis: {more:+.1f} % messages per second, median of {len(results['redis'])} pairs (allowed: {-ALLOWED} %)")


class Memory(Postern):
    sent = 0

    def objects(self, sink_port, port):
        # As many as a throttle may allow.
        throttle = "{key: [sender], rate: {count: 1000000, period: 1d}}"
        return super().objects(sink_port, port) | {"MtaInboundThrottle senders": throttle}

    def generate(self, options, messages=None):
        super().generate(options, messages)
        self.sent += messages or options.messages

    def requests(self):
        """Requests to the shared store by their outcome."""
        found = re.findall(r'postern_store_requests_total{outcome="(\w+)"} (\d+)', self.metrics())
        return {outcome: int(count) for outcome, count in found if int(count)}

    def prove(self):
        if requests := self.requests():
            raise SystemExit(f"memory was not alone: {requests}")


class Redis(Memory):
    store = None

    def launch(self, sink_port):
        self.redis_port = free_port()
        self.store = self.start(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", str(self.home)], "redis.log")
        wait_until("Redis answers", lambda: self.ask("PING") == "PONG")
        port = super().launch(sink_port)
        wait_until("the gate has found Redis", self.is_shared)
        return port

    def objects(self, sink_port, port):
        # On a machine that is busy with the benchmark itself 50 ms may pass, and the gate would count alone.
        store = f'{{type: Redis, urls: ["redis://127.0.0.1:{self.redis_port}"], timeout: 2s}}'
        settings = f"{{defaultHostname: gate.example.test, store: {store}}}"
        return super().objects(sink_port, port) | {"MtaSettings default": settings}

    def ask(self, *command):
        found = subprocess.run(["redis-cli", "-p", str(self.redis_port), *command], capture_output=True, text=True)
        return found.stdout.strip()

    def is_shared(self):
        with contextlib.suppress(OSError):
            return "postern_store_up 1\n" in self.metrics()
        return False

    def prove(self):
        # Twice a second the hand-off asks as well, whether any delivery is remembered.
        requests = self.requests()
        script = "return redis.call('HGET', redis.call('KEYS', 'postern:throttle:*')[1], 'current')"
        counted = self.ask("EVAL", script, "0")
        print(f"redis: {self.sent} messages, {counted} counted by {requests}")
        if counted != str(self.sent) or set(requests) != {"Answered"}:
            raise SystemExit("some were counted in memory, so the figures say nothing")

    def __exit__(self, *what):
        super().__exit__(*what)
        self.stop(self.store)

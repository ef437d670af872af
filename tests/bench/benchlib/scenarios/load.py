"""What a gate has to bear: crowds of slow clients, a storm of connections, large messages at once, clients that never read.

  slow   10,000 clients that send an octet a second for a minute, half of them in the middle of DATA, beside 20 that relay
  fresh  1,000 connections a second for half a minute: greeting and QUIT, and then a whole message each
  large  1,000 messages of 10 MB at once, with SIZE and without
  deaf   50 clients that pipeline for ever and never read

Every part has what must hold, and the run fails if it does not. What the generators themselves needed is part of the figures.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import re
import resource
import statistics
import time

from .. import measure, page, record
from ..arms import temporary
from ..load import conversations, deaf, sink
from ..load.crowd import Crowd
from ..load.slow import Slow
from ..ports import free_port, greeting
from ..postern import Postern
from ..scenario import Scenario

# Octets of a large message.
LARGE = 10_000_000
MIB = 2**20
# Messages in hand, as MtaSettings has them by default.
MESSAGE_MEMORY = 256 * MIB
# What the chart gives to the pod, with those.
POD_MEMORY = 1024 * MIB
# What one session may cost that is slow or never reads.
SESSION_MEMORY = 64 * 1024
# Silence, and a client that takes no reply, end a session after this; in seconds, and the default otherwise.
PATIENCE = 10
# Each fills megabytes of the kernel before it is stopped.
DEAF = 50
ORDINARY = argparse.Namespace(connections=20, octets=4096, kept=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"slow": slow, "fresh": fresh, "large": large, "deaf": deaf_clients}
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=list(parts))
    parser.add_argument("--clients", type=int, default=10_000, help="slow ones")
    parser.add_argument("--rate", type=int, default=1000, help="connections in a second")
    parser.add_argument("--seconds", type=int, default=60, help="of slow clients; half as long of connections")
    parser.add_argument("--large", type=int, default=1000, help="large messages at once")
    parser.add_argument("--print", action="store_true", help="write no files")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found, faults = {}, []
    for part in options.parts:
        figures, faults_of_part = parts[part](options)
        print(json.dumps({part: figures}, indent=1), flush=True)
        found[part] = figures
        faults += faults_of_part
    if not options.print and not faults:
        everything = record.recorded()
        known = everything.get(SCENARIO.name, {})
        everything[SCENARIO.name] = known | measure.ground(SCENARIO) | found
        record.write(everything)
        page.write(everything)
    if faults:
        raise SystemExit("\n".join(faults))


class Gate(Postern):
    """Room for all of them; `own_sink` stands in for smtp-sink."""

    patience = 300
    own_sink = None

    def objects(self, sink_port, port):
        next_hop = self.own_sink or sink_port
        return super().objects(next_hop, port) | {
            "MtaRoute sink": f'{{type: Relay, address: "127.0.0.1", port: {next_hop}, pool: {{maxConnections: 250}}}}',
            "MtaSettings default": f"{{defaultHostname: gate.example.test, maxConnections: 16000, messageMemory: {MESSAGE_MEMORY}}}",
            "MtaListener smtp": f'{{bind: ["127.0.0.1:{port}"], publicPort: 25, maxConnections: 16000}}',
            "MtaInboundSession default": f"{{transferLimit: 1099511627776, maxDuration: 1d, timeout: {self.patience}s}}",
        }

    def memory(self, key="VmRSS"):
        """In octets."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", status, re.MULTILINE)[1]) * 1024

    def sessions(self):
        return sum(float(count) for count in re.findall(r"^postern_sessions_open\S* (\S+)", self.metrics(), re.MULTILINE))


def slow(options):
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(Gate(temporary(stack)))
        alone = relayed(gate, 5)
        memory = [gate.memory()]
        crowd = Slow(gate.port, options.clients)
        for _ in range(2):
            opened = crowd.opened()
            memory.append(gate.memory())
            crowd.go_on()
        beside, end = [], time.monotonic() + options.seconds
        cpu, begun = gate.cpu_seconds(), time.monotonic()
        while time.monotonic() < end:
            beside.append(relayed(gate, 1))
        cpu = (gate.cpu_seconds() - cpu) / (time.monotonic() - begun)
        memory.append(gate.memory())
        crowd = {"opened": opened} | crowd.stop()
    ratio = statistics.median(beside) / alone
    grown = memory[-1] - memory[0]
    in_commands, in_data = (round((after - before) / (options.clients // 2) / 1024, 1) for before, after in zip(memory, memory[1:3]))
    figures = {"clients": options.clients, **crowd, "kib_in_commands": in_commands, "kib_in_data": in_data,
               "kib_each_at_last": round(grown / options.clients / 1024, 1), "gate_cpu": round(cpu, 2),
               "per_second_alone": round(alone), "per_second_beside": round(statistics.median(beside))}
    tally = crowd["tally"]
    return figures, [fault for fault, is_so in {
        f"only {crowd['opened']} slow clients were let in": crowd["opened"] < options.clients,
        f"{options.clients - crowd['alive']} slow clients were cut off": crowd["alive"] < options.clients,
        f"slow messages were not taken: {tally}": tally.get("accepted") != options.clients - options.clients // 2,
        f"the others came to {ratio:.0%} of their rate": ratio < 0.5,
        f"a slow session costs {figures['kib_each_at_last']} KiB": grown > options.clients * SESSION_MEMORY,
        "the generator came too late to say what it should": crowd["latest_seconds"] > 5,
    }.items() if is_so]


def relayed(gate, rounds):
    """Messages per second of 20 ordinary connections; the median."""
    rates = []
    for _ in range(rounds):
        begun = time.monotonic()
        gate.generate(ORDINARY, messages=2000)
        rates.append(2000 / (time.monotonic() - begun))
    return statistics.median(rates)


def fresh(options):
    count = options.rate * options.seconds // 2
    figures, faults = {}, []
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(Gate(temporary(stack)))
        for name, conversation in {"greeting": lambda _: conversations.greeting_only(), "message": conversations.whole}.items():
            found = figures[name] = storm(gate, conversation, count, options.rate)
            if found["tally"] != {"served": count}:
                faults.append(f"of {count} connections ({name}): {found['tally']}")
            if found["p99_ms"] > 1000:
                faults.append(f"p99 ({name}) is {found['p99_ms']} ms")
    return figures, faults


def storm(gate, conversation, count, per_second):
    tally, seconds = collections.Counter(), []
    crowd = Crowd(gate.port)
    cpu, ours, begun = gate.cpu_seconds(), time.process_time(), time.monotonic()
    crowd.run((conversations.measured(conversation(number), tally, seconds) for number in range(count)), per_second)
    span = time.monotonic() - begun
    if crowd.clients:
        tally["never ended"] = len(crowd.clients)
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0] * 99
    return {"connections": count, "tally": dict(tally), "per_second": round(len(seconds) / span),
            "p50_ms": round(cuts[49] * 1000, 1), "p99_ms": round(cuts[98] * 1000, 1),
            "generator_latest_ms": round(crowd.latest * 1000), "generator_cpu": round((time.process_time() - ours) / span, 2),
            "gate_cpu": round((gate.cpu_seconds() - cpu) / span, 2)}


def large(options):
    figures, faults = {}, []
    body = (b"x" * 78 + b"\r\n") * (LARGE // 80)
    for name, declared in {"with SIZE": True, "without SIZE": False}.items():
        with contextlib.ExitStack() as stack:
            port = free_port()
            stored = stack.enter_context(sink.counting(port))
            gate = Gate(temporary(stack))
            gate.own_sink = port
            stack.enter_context(gate)
            before, answers = gate.memory(), {}
            crowd, begun = Crowd(gate.port), time.monotonic()
            for number in range(options.large):
                crowd.open(conversations.large(f"{name}-{number}", body, declared, answers))
            crowd.finish(give_up=900)
            seconds, peak = time.monotonic() - begun, gate.memory("VmHWM")
            arrived = stored()
        tally = collections.Counter(answers.values())
        accepted = sorted(mark for mark, answer in answers.items() if answer.startswith("250"))
        figures[name] = {"messages": options.large, "octets": len(body), "tally": dict(tally), "seconds": round(seconds, 1),
                         "arrived": len(arrived), "before_mib": round(before / MIB, 1), "peak_mib": round(peak / MIB, 1)}
        faults += [f"large, {name}: {fault}" for fault, is_so in {
            f"{options.large - len(answers)} were never answered": len(answers) < options.large,
            f"answers that are not documented: {dict(tally)}": any(not one.startswith(("250 2.0.0", "452 4.3.1")) for one in tally),
            f"{len(accepted)} accepted, {len(arrived)} arrived": accepted != sorted(mark for mark, _ in arrived),
            "a message lost octets": any(octets < len(body) for _, octets in arrived),
            "nothing was accepted": not accepted,
            f"the peak of memory is {peak / MIB:.0f} MiB": peak > POD_MEMORY,
        }.items() if is_so]
    return figures, faults


def deaf_clients(_):
    with contextlib.ExitStack() as stack:
        gate = Gate(temporary(stack))
        gate.patience = PATIENCE
        stack.enter_context(gate)
        before = gate.memory()
        peak = [before]
        figures = deaf.pester(gate.port, DEAF, PATIENCE * 12, lambda: peak.append(gate.memory()))
        greeting(gate.port, gate.process)
        for _ in range(100):
            if (left := gate.sessions()) == 0:
                break
            time.sleep(0.1)
    figures["kib_each"] = round((max(peak) - before) / figures["clients"] / 1024, 1)
    return figures | {"patience_seconds": PATIENCE}, [fault for fault, is_so in {
        f"{figures['clients'] - figures['ended']} deaf clients go on": figures["ended"] < figures["clients"],
        f"a deaf client costs {figures['kib_each']} KiB": max(peak) - before > figures["clients"] * SESSION_MEMORY,
        f"{left:.0f} sessions are left over": left > 0,
    }.items() if is_so]


class Load(Scenario):
    def pictures(self, found):
        return ()

    def section(self, found):
        parts = {"slow": of_slow, "fresh": of_fresh, "large": of_large, "deaf": of_deaf}
        lines = "\n".join(text(found[part]) for part, text in parts.items() if part in found)
        return f"## {self.title}\n\n{self.text}\n\n{found['date']}:\n\n{lines}\n\n{self.ground(found)}\n"


def of_slow(found):
    return (f"* **{found['clients']:,} clients that send an octet a second for a minute**, half of them in the middle of DATA: all are kept, and "
            f"every message that got its end was taken ({found['tally']['accepted']:,}). One costs {found['kib_in_commands']} KiB of the "
            f"gate's memory, in DATA {found['kib_in_data']} KiB. Beside them 20 connections relay {found['per_second_beside']:,} messages a second, without them "
            f"{found['per_second_alone']:,}; the generator takes {found['generator_cpu']:.0%} of a processor away.")


def of_fresh(found):
    return "\n".join(
        f"* **{one['connections']:,} fresh connections, {what}**: {one['per_second']:,} a second, {one['tally']['served']:,} served; "
        f"median {one['p50_ms']:g} ms, 99 of 100 within {one['p99_ms']:g} ms. The gate takes {one['gate_cpu']:.0%} of a processor, "
        f"the generator {one['generator_cpu']:.0%}."
        for one, what in ((found["greeting"], "greeting and QUIT"), (found["message"], "a message each")))


def of_large(found):
    return "\n".join(
        f"* **{one['messages']:,} messages of 10 MB at once, {name}**: {told(one['tally'])}; what was accepted arrived, and nothing else. "
        f"The gate's memory comes to {one['peak_mib']:g} MiB, of which messages may take {MESSAGE_MEMORY // MIB}."
        for name, one in found.items())


def told(tally):
    return ", ".join(f"{count:,} × `{answer}`" for answer, count in sorted(tally.items()))


def of_deaf(found):
    return (f"* **{found['clients']} clients that pipeline for ever and never read**: each is cut off once it has taken no reply for `timeout` "
            f"(here {found['patience_seconds']} s), the last one after {found['last_end_seconds']:g} s; one costs {found['kib_each']} KiB.")


SCENARIO = Load(
    name="load",
    title="Load",
    text=f"""\
The release build with `maxConnections: 16000` and a pool of 250 connections, otherwise the documented limits; clients come from 100 addresses on loopback. Wanted: nobody is cut off
but by a documented limit, others keep half their rate, a session that is slow or never reads costs at most {SESSION_MEMORY // 1024} KiB, 99 of 100 connections
are done within a second, memory stays within the {POD_MEMORY // MIB} MiB that the chart gives to a pod, and every 250 is at the next hop. Written by `tests/bench/load`; what a run of the tests can
afford is in `tests/tests/load.rs` and `tests/tests/memory.rs`.""",
    arms={},
)

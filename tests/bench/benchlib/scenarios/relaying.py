"""Messages per second and CPU per message at relaying, side by side on loopback.

Every arm takes mail from the same generator (smtp-source) and hands it to the same kind of sink (smtp-sink):

  postern        the gate, release build, one Relay route
  postfix        smtpd with smtpd_proxy_filter straight into the sink: no queue, as the gate
  postfix-queue  Postfix with its queue on disk
  haraka         Haraka with queue/smtp_forward, one process for each processor
  opensmtpd      OpenSMTPD with its queue on disk, in clear text only
  ceiling        the generator straight into the sink

A case is a size, connections that are kept for all messages or fresh for each, and clear text or TLS up to the server. All configurations
are under tests/bench/peers. Each arm gets as many messages as it accepts in --seconds, found out before anything counts, or --messages.

The arms run in alternating order, round after round; the medians become docs/benchmarks.md, the raw values docs/benchmarks.json. A whole
run takes about 20 minutes.
"""

import argparse
import contextlib
import dataclasses
import datetime
import math
import signal
import time

from .. import fetch, measure, postern, record
from ..arms import Ceiling, temporary
from ..haraka import Haraka
from ..opensmtpd import OpenSmtpd
from ..peers import PEERS
from ..picture import Row, bars
from ..postern import Postern
from ..postfix import Postfix, PostfixWithQueue
from ..scenario import Scenario
from ..tls import Certificate

ARMS = {"postern": Postern, "postfix": Postfix, "postfix-queue": PostfixWithQueue, "haraka": Haraka, "opensmtpd": OpenSmtpd,
        "ceiling": Ceiling}
CLEAR_ONLY = {"opensmtpd"}


@dataclasses.dataclass(frozen=True)
class Case:
    kib: int
    kept: bool
    tls: bool

    @property
    def name(self):
        return f"{self.kib}k-{'kept' if self.kept else 'fresh'}-{'tls' if self.tls else 'clear'}"

    @property
    def title(self):
        return f"{self.kib} KiB, {'kept' if self.kept else 'fresh'} connections, {'TLS' if self.tls else 'clear text'}"


CASES = {case.name: case for case in (Case(kib, kept, tls) for kib in (4, 100) for tls in (False, True) for kept in (True, False))}


def main():
    signal.signal(signal.SIGTERM, lambda *_: exit(1))
    options = arguments()
    found = []
    for tls in (False, True):
        cases = [case for case in map(CASES.get, options.cases) if case.tls == tls]
        if cases:
            found += measured(cases, options, [name for name in options.arms if not (tls and name in CLEAR_ONLY)])
    if not options.print:
        known = record.recorded().get(SCENARIO.name, {}).get("cases", {})
        cases = known | {case["name"]: case for case in found}
        here = measure.ground(SCENARIO)
        here["versions"] |= versions(options.arms)
        measure.keep(SCENARIO, here | {"cases": {name: cases[name] for name in CASES if name in cases}})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.5, help="how long an arm accepts messages in one round")
    parser.add_argument("--messages", type=int, help="for each arm and round, instead of so many seconds")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--print", action="store_true", help="write no files")
    return parser.parse_args()


def measured(cases, options, names):
    """All cases that the same servers can serve, as they are recorded."""
    with contextlib.ExitStack() as stack:
        certificate = Certificate.make(temporary(stack)) if cases[0].tls else None
        for name in names:
            prove(name, certificate)
        running = {name: stack.enter_context(ARMS[name](temporary(stack), certificate)) for name in names}
        for case in cases:
            print(f"\n{case.title}", flush=True)
            load = argparse.Namespace(connections=options.connections, octets=case.kib * 1024, kept=case.kept, rounds=options.rounds)
            messages = {name: options.messages or enough(arm, load, options.seconds) for name, arm in running.items()}
            results = measure.rounds(running, load, messages)
            medians = {name: measure.medians(values) for name, values in results.items()}
            print("\n" + SCENARIO.table(medians))
            yield {"name": case.name, "title": case.title, "date": datetime.date.today().isoformat(), "commit": postern.commit(),
                   "messages": messages, "medians": medians, "rounds": results,
                   "parameters": {"rounds": load.rounds, "connections": load.connections, "octets": load.octets}}


def prove(name, certificate):
    """Everybody does the same to the header: one Received field, besides the one that the sink puts into what it writes.

    In an instance of its own, since some go on to avoid a next hop for minutes that was restarted.
    """
    load = argparse.Namespace(connections=1, octets=100, kept=True)
    with contextlib.ExitStack() as stack:
        header = stack.enter_context(ARMS[name](temporary(stack), certificate)).header_at_sink(load)
    received = sum(line.startswith("Received: ") for line in header.splitlines())
    if received != (1 if name == "ceiling" else 2):
        raise SystemExit(f"{name} does something else to the header:\n{header}")


def enough(arm, load, seconds):
    """How many messages an arm accepts in about so many seconds; caches, pools and processes are warm then."""
    messages = load.connections
    while True:
        begin = time.monotonic()
        arm.generate(load, messages)
        elapsed = time.monotonic() - begin
        arm.settle()
        wanted = math.ceil(messages * seconds / elapsed)
        if elapsed > seconds / 4:
            return max(round(wanted, -2), load.connections)
        # What starts slowly speaks for little, so the way up is taken in steps.
        messages = min(wanted, messages * 8)


def versions(arms):
    found = {"stunnel4": fetch.debian("stunnel4")[1]}
    if "haraka" in arms:
        found["Haraka"] = fetch.locked_version(PEERS / "haraka", "Haraka")
    if "opensmtpd" in arms:
        found["OpenSMTPD"] = fetch.debian("opensmtpd")[1]
    return found


class Relaying(Scenario):
    """Many cases, each with a table."""

    def section(self, found):
        cases = found["cases"].values()
        parts = [f"## {self.title}\n\n{self.text}\n"]
        parts += [f"![{title}](pictures/{file})\n" for file, title in self.files(cases).items()]
        parts += [f"### {case['title']}\n\n{self.conditions_of(case)}\n\n{self.table(case['medians'])}\n" for case in cases]
        return "\n".join(parts) + f"\n{self.ground(found)}\n"

    @staticmethod
    def conditions_of(case):
        """A case that is measured alone leaves the others as they are, so each has a day and a commit."""
        few, many = min(case["messages"].values()), max(case["messages"].values())
        count = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        parameters = case["parameters"]
        return (f"{case['date']}, Postern {case['commit']}: {parameters['connections']} connections, "
                f"{parameters['rounds']} alternating rounds of {count} messages; medians.")

    @staticmethod
    def files(cases):
        sizes = sorted({case["parameters"]["octets"] // 1024 for case in cases})
        return {f"bench-relaying-{size}k.svg": f"Relaying messages of {size} KiB" for size in sizes}

    def pictures(self, found):
        cases = found["cases"].values()
        for file, title in self.files(cases).items():
            rows = [Row(case["title"], {self.arms[name]: value for name, value in case["medians"].items()})
                    for case in cases if file == f"bench-relaying-{case['parameters']['octets'] // 1024}k.svg"]
            yield file, bars(title, rows, self.panels)


SCENARIO = Relaying(
    name="relaying",
    title="Relaying",
    text="""\
smtp-source → the gate → smtp-sink, on one machine, where they compete. CPU is user and system time: of the server's processes, and beside it
that of generator and sink. smtp-source knows no TLS, so stunnel encrypts for it, with a whole handshake for every connection
(TLS 1.3, X25519, AES-128-GCM, ECDSA P-256), and decrypts for the sink at the ceiling; it counts as part of generator and sink. Next hops
are spoken to in clear text.

Nobody looks anything up in DNS, everybody adds one Received field. Postfix as a before-queue proxy, Haraka (`queue/smtp_forward`, one
process for each processor) and Postern tell the client of success when the sink has the message. Postfix with a queue does so when
it lies on disk, an ordinary one, as its users have it: its rate is that of accepting, its CPU is counted until all is handed
on. Haraka's forwarded messages wait some 40 ms for an acknowledgement of TCP (Nagle), so its CPU says more than its rate. OpenSMTPD
would let five connections wait to be accepted, which is compiled in; here a library that is loaded before it makes 128 of that. The
configurations are in `tests/bench/peers`. Written by `tests/bench/run`.""",
    arms={"postern": "Postern", "postfix": "Postfix, before-queue proxy", "postfix-queue": "Postfix, with queue", "haraka": "Haraka",
          "opensmtpd": "OpenSMTPD, with queue", "ceiling": "generator straight into sink"},
)

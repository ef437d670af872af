"""Memory of sessions that wait for their client: so many that have said EHLO, in clear text and inside TLS.

The gate is started anew for each row. What it has more of afterwards, divided by the sessions, is what one costs; only its own memory is
counted (RssAnon), not the kernel's for the sockets. Where a process may not open enough files for all sessions they are spread over as
many gates as it takes.
"""

import argparse
import contextlib
import datetime
import math
import multiprocessing
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import textwrap
import time

from .. import measure, page, postern, record
from ..arms import temporary
from ..scenario import Scenario

# What a gate opens besides sessions, and a client besides connections.
RESERVE = 200
# The kernel gives 28,000 ports to the connections of one address.
PER_ADDRESS = 20000
# Of linux/in.h.
IP_BIND_ADDRESS_NO_PORT = 24
ROWS = {"clear-10000": (10000, False), "clear-50000": (50000, False), "tls-10000": (10000, True)}


class Idle(Scenario):
    """A row for each number of sessions."""

    panels = {"kib_per_session": "memory of a session, KiB"}

    def table(self, medians):
        lines = ["| | gates | memory of a session | CPU in ten idle seconds |", "|---|---:|---:|---:|"]
        for name, value in medians.items():
            lines.append(f"| {self.arms[name]} | {value['gates']} | {value['kib_per_session']:.1f} KiB | {value['idle_cpu_ms']:,.0f} ms |")
        return "\n".join(lines)

    @staticmethod
    def conditions(date, parameters):
        return f"{date}: median of {parameters['rounds']} runs."


SCENARIO = Idle(
    name="idle",
    title="Idle sessions",
    text="""\
Sessions that have said EHLO and then nothing. What the gate's memory (RssAnon) has grown by, divided by their number; the kernel's memory for the
sockets is not in it. A process that may open too few files shares the sessions with others. Wanted: under 20 KiB in clear text.
Written by `tests/bench/idle`.""",
    arms={"clear-10000": "10,000 in clear text", "clear-50000": "50,000 in clear text", "tls-10000": "10,000 inside TLS"},
)


def main():
    signal.signal(signal.SIGTERM, lambda *_: exit(1))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--print", action="store_true", help="write no files")
    options = parser.parse_args()
    files = most_files()
    results = {name: [] for name in options.rows}
    for number in range(options.rounds):
        for name in options.rows:
            value = {"round": number + 1} | run(*ROWS[name], files)
            results[name].append(value)
            print(f"round {number + 1}  {name:12} {value}", flush=True)
    found = {"date": datetime.date.today().isoformat(), "machine": record.machine(), "versions": {"Postern": postern.commit()},
             "parameters": {"rounds": options.rounds, "files": files},
             "medians": {name: measure.medians(values) for name, values in results.items()}, "rounds": results}
    print("\n" + SCENARIO.table(found["medians"]))
    if not options.print:
        everything = record.recorded()
        everything[SCENARIO.name] = found
        record.write(everything)
        page.write(everything)


def most_files():
    """How many files a process may open, raised as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (100000, 100000))
        return 100000
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def run(sessions, tls, files):
    count = math.ceil(sessions / (files - RESERVE))
    with contextlib.ExitStack() as stack:
        gates = [stack.enter_context(Gate(temporary(stack), tls)) for _ in range(count)]
        # A session that has come and gone leaves what all others share.
        for gate in gates:
            Clients(gate.port, 50, tls, 0).run_and_end()
        before = sum(gate.memory_kib() for gate in gates)
        clients = [stack.enter_context(Clients(gate.port, sessions // count, tls, number)) for number, gate in enumerate(gates)]
        opened = sum(gate.open_sessions() for gate in gates)
        if opened != sessions // count * count:
            raise SystemExit(f"{opened} of {sessions} sessions are open")
        grown = sum(gate.memory_kib() for gate in gates) - before
        cpu = sum(gate.cpu_seconds() for gate in gates)
        time.sleep(10)
        cpu = sum(gate.cpu_seconds() for gate in gates) - cpu
        for client in clients:
            client.alive()
    return {"gates": count, "kib_per_session": round(grown / opened, 2), "idle_cpu_ms": round(cpu * 1000)}


class Gate(postern.Postern):
    def __init__(self, home, tls):
        super().__init__(home)
        self.tls = tls

    def objects(self, sink_port, port):
        tls = ", tls: {secretNames: [mx]}" if self.tls else ""
        return super().objects(sink_port, port) | {
            "MtaSettings default": "{defaultHostname: gate.example.test, maxConnections: 100000}",
            "MtaListener smtp": f'{{bind: ["127.0.0.1:{port}"], publicPort: 25, maxConnections: 100000{tls}}}',
            "MtaInboundSession default": "{timeout: 1h, maxDuration: 1d}"}

    def manifests(self, sink_port, port):
        if not self.tls:
            return super().manifests(sink_port, port)
        key, certificate = self.home / "key.pem", self.home / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-keyout", key, "-out", certificate, "-subj", "/CN=gate.example.test"], check=True, capture_output=True)
        secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: mx}\ntype: kubernetes.io/tls\nstringData:\n"
        for name, file in (("tls.crt", certificate), ("tls.key", key)):
            secret += f"  {name}: |\n" + textwrap.indent(file.read_text(), "    ")
        return super().manifests(sink_port, port) + secret

    def memory_kib(self):
        # What is given back is given back by and by.
        time.sleep(2)
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))

    def open_sessions(self):
        found = [line for line in self.metrics().splitlines() if line.startswith("postern_sessions_open{")]
        return sum(int(line.rpartition(" ")[2]) for line in found)


class Clients:
    """Sessions of one process that say EHLO and wait until they are told to end."""

    def __init__(self, port, count, tls, number):
        self.port, self.count, self.tls, self.number = port, count, tls, number

    def __enter__(self):
        self.ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.stay, args=(theirs,), daemon=True)
        self.process.start()
        if not self.ours.poll(300) or self.ours.recv() != "open":
            raise SystemExit("the sessions could not be opened")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()

    def run_and_end(self):
        with self:
            pass

    def alive(self):
        """Ends the run unless every session is still answered."""
        self.ours.send("alive?")
        if not self.ours.poll(120) or self.ours.recv() != "alive":
            raise SystemExit("not every session was still there")

    def stay(self, pipe):
        context = ssl._create_unverified_context()
        sessions = []
        while len(sessions) < self.count:
            sessions += self.open(min(200, self.count - len(sessions)), len(sessions), context)
        pipe.send("open")
        pipe.recv()
        for session in sessions:
            ask(session, b"NOOP\r\n", b"250")
        pipe.send("alive")
        signal.pause()

    def open(self, count, before, context):
        """A batch that is opened at once and greeted one after the other."""
        batch = []
        for place in range(before, before + count):
            session = socket.socket()
            # The port is chosen for the connection, so that those of the round before, which the system holds back for a minute, do not count.
            session.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            session.bind((f"127.1.{self.number}.{1 + place // PER_ADDRESS}", 0))
            session.connect(("127.0.0.1", self.port))
            batch.append(session)
        for place, session in enumerate(batch):
            ask(session, b"", b"220")
            ask(session, b"EHLO client.example.org\r\n", b"250")
            if self.tls:
                ask(session, b"STARTTLS\r\n", b"220")
                session = batch[place] = context.wrap_socket(session)
                ask(session, b"EHLO client.example.org\r\n", b"250")
        return batch


def ask(session, command, wanted):
    session.settimeout(60)
    if command:
        session.sendall(command)
    answer = session.recv(4096)
    if not answer.startswith(wanted):
        raise SystemExit(f"{command!r} was answered {answer!r}")

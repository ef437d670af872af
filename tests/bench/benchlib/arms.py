"""What stands side by side: a sink, a server before it, and the generator that sends to it."""

import os
import pathlib
import subprocess
import tempfile
import time

from .ports import free_port, greeting, wait_until
from .tls import tunnel

TICKS = os.sysconf("SC_CLK_TCK")


def temporary(stack):
    """A folder that goes away with the stack; daemons that change their user can pass through it."""
    home = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postern-bench-")))
    home.chmod(0o755)
    return home


class Arm:
    """A sink, and what stands before it. `process` leads all processes of the server.

    With a certificate the generator speaks TLS to the server; the server speaks clear text to the sink.
    """

    process = None
    # Whether the generator needs stunnel to speak TLS.
    tunnelled = True

    def __init__(self, home, certificate=None):
        self.home = home
        self.certificate = certificate
        self.sink = None
        self.port = None
        self.tunnel = None
        # CPU that generators took so far.
        self.generator_seconds = 0.0

    def __enter__(self):
        self.sink_port = free_port()
        try:
            self.start_sink()
            self.port = self.launch(self.sink_port)
            greeting(self.port, self.process or self.sink)
            if self.certificate and self.tunnelled:
                server, self.port = self.port, free_port()
                self.tunnel = tunnel(self, "client", PORT=self.port, SERVER_PORT=server)
                greeting(self.port, self.tunnel)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.tunnel, self.process, self.sink):
            self.stop(process)

    @staticmethod
    def stop(process):
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def generate(self, options, messages=None):
        """Sends the messages; smtp-source stops with an error at the first answer that is not positive."""
        tunnels = [self.tunnel] if self.tunnel else []
        before = cpu_seconds(tunnels)
        command = self.generator(options, messages or options.messages)
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        self.generator_seconds += usage.ru_utime + usage.ru_stime + cpu_seconds(tunnels) - before

    def generator(self, options, messages):
        kept = ["-d"] if options.kept else []
        return ["smtp-source", *kept, "-s", str(options.connections), "-m", str(messages), "-l", str(options.octets),
                "-M", "client.example.org", "-f", "sender@example.org", "-t", "user@example.test", f"127.0.0.1:{self.port}"]

    def leaders(self):
        return [self.process]

    def sinks(self):
        return [self.sink]

    def settle(self):
        """Waits for what is still to be done when every message was accepted."""

    def start(self, command, log, **more):
        with open(self.home / log, "wb") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                    start_new_session=True, **more)

    def launch(self, sink_port):
        raise NotImplementedError

    def cpu_seconds(self):
        """Of the leaders and all that descends from them."""
        return cpu_seconds(self.leaders())

    def start_sink(self, *more):
        # As nobody it writes what arrives into the folder of the arm, if it is asked to.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.sink = self.start(["smtp-sink", *user, *more, f"127.0.0.1:{self.sink_port}", "1024"], "sink.log", cwd=self.home)
        greeting(self.sink_port, self.sink)

    def header_at_sink(self, options):
        """Sends one message, and gives the header that arrives."""
        mode = self.home.stat().st_mode
        self.home.chmod(0o777)
        self.stop(self.sink)
        self.start_sink("-d", "proof.")
        self.generate(options, messages=1)
        self.settle()
        # What the sink wrote when it said so is whole; it may be a moment late.
        wait_until("a message arrives", lambda: any("\n\n" in file.read_text() for file in self.home.glob("proof.*")))
        header = "".join(file.read_text().partition("\n\n")[0] for file in self.home.glob("proof.*"))
        self.stop(self.sink)
        self.start_sink()
        self.home.chmod(mode)
        return header

    def octets_at_sink(self):
        """How many the sink has read since it began."""
        counters = pathlib.Path(f"/proc/{self.sink.pid}/io").read_text()
        return int(counters.split("rchar:")[1].split()[0])


class Ceiling(Arm):
    """The generator straight into the sink."""

    decrypting = None

    def launch(self, sink_port):
        if not self.certificate:
            return sink_port
        port = free_port()
        self.decrypting = tunnel(self, "server", PORT=port, SERVER_PORT=sink_port,
                                 KEY=self.certificate.key, CERTIFICATE=self.certificate.certificate)
        return port

    def __exit__(self, *what):
        super().__exit__(*what)
        self.stop(self.decrypting)

    def leaders(self):
        return []

    def sinks(self):
        return [self.sink, *([self.decrypting] if self.decrypting else [])]


def cpu_seconds(leaders):
    """User and system time of processes and all that descends from them, including children that have ended and were waited for."""
    parents, ticks = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(fields[1])
        ticks[int(entry.name)] = sum(int(field) for field in fields[11:15])
    ours = {leader.pid for leader in leaders}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(pid, 0) for pid in ours) / TICKS


def wait_until_empty(folders, patience=60):
    """Waits until no file is left under any folder; when their number stays the same for so many seconds, nobody works there."""
    last, changed = None, time.monotonic()
    # os.walk passes over what goes away meanwhile.
    while count := sum(len(files) for folder in folders for _, _, files in os.walk(folder)):
        if count != last:
            last, changed = count, time.monotonic()
        elif time.monotonic() - changed > patience:
            raise SystemExit(f"{count} files stay in {folders}")
        time.sleep(0.05)

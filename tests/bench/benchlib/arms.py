"""What stands side by side: a sink, a server before it, and the generator that sends to it."""

import os
import pathlib
import subprocess
import tempfile

from .ports import free_port, greeting

TICKS = os.sysconf("SC_CLK_TCK")


def temporary(stack):
    """A folder that goes away with the stack; daemons that change their user can pass through it."""
    home = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postern-bench-")))
    home.chmod(0o755)
    return home


class Arm:
    """A sink, and what stands before it. `process` leads a process group that holds all processes of the arm."""

    process = None

    def __init__(self, home):
        self.home = home
        self.sink = None
        self.port = None

    def __enter__(self):
        self.sink_port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.sink = self.start(["smtp-sink", *user, f"127.0.0.1:{self.sink_port}", "1024"], "sink.log")
        try:
            greeting(self.sink_port, self.sink)
            self.port = self.launch(self.sink_port)
            greeting(self.port, self.process or self.sink)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.process, self.sink):
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
        subprocess.run(self.generator(options, messages or options.messages), check=True)

    def generator(self, options, messages):
        return ["smtp-source", "-d", "-s", str(options.connections), "-m", str(messages), "-l", str(options.octets),
                "-M", "client.example.org", "-f", "sender@example.org", "-t", "user@example.test", f"127.0.0.1:{self.port}"]

    def leaders(self):
        return [self.process]

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


class Ceiling(Arm):
    """The generator straight into the sink."""

    def launch(self, sink_port):
        return sink_port

    def cpu_seconds(self):
        return 0.0


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

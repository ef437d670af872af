"""Postfix as an arm, with and without a queue."""

import pathlib
import shutil
import subprocess

from .arms import Arm, wait_until_empty
from .peers import filled
from .ports import free_port


class Postfix(Arm):
    """smtpd with smtpd_proxy_filter straight into the sink: no queue, as the gate."""

    peer = "postfix-proxy"

    def launch(self, sink_port):
        port = free_port()
        self.configure(port, sink_port)
        self.process = self.start_master()
        return port

    def configure(self, port, sink_port):
        for folder in (self.home / "config", self.home / "data", self.queue()):
            folder.mkdir(exist_ok=True)
        shutil.chown(self.home / "data", "postfix")
        values = {"HOME": self.home, "QUEUE": self.queue(), "PORT": port, "SINK_PORT": sink_port}
        main = overridden(filled(f"{self.peer}/main.cf", **values), self.more_main())
        if self.certificate:
            main += filled(f"{self.peer}/tls.cf", KEY=self.certificate.key, CERTIFICATE=self.certificate.certificate)
        (self.home / "config/main.cf").write_text(main)
        (self.home / "config/master.cf").write_text(filled(f"{self.peer}/master.cf", **values) + self.more_master())
        subprocess.run(["postfix", "-c", str(self.home / "config"), "check"], check=True)

    def queue(self):
        return self.home / "queue"

    def more_main(self):
        """Further lines of main.cf, also in place of those it has."""
        return ""

    def more_master(self):
        """Further lines of master.cf."""
        return ""

    def start_master(self):
        return self.start(self.master(), "master.log")

    def master(self):
        return [f"{self.daemons()}/master", "-c", self.home / "config", "-d"]

    @staticmethod
    def daemons():
        found = subprocess.run(["postconf", "-h", "daemon_directory"], check=True, capture_output=True, text=True)
        return found.stdout.strip()


class PostfixWithQueue(Postfix):
    """smtpd, a queue on disk, and smtp into the sink."""

    peer = "postfix-queue"

    def settle(self):
        """Waits until everything was handed on."""
        wait_until_empty([self.queue() / name for name in ("incoming", "active", "deferred", "maildrop")])


class PostfixWithQueueInMemory(PostfixWithQueue):
    """The same, where no disk shall be measured."""

    def queue(self):
        return pathlib.Path("/dev/shm") / self.home.name

    def configure(self, port, sink_port):
        self.queue().mkdir(mode=0o755)
        super().configure(port, sink_port)

    def __exit__(self, *what):
        super().__exit__(*what)
        shutil.rmtree(self.queue(), ignore_errors=True)


def overridden(main, more):
    """Lines of main.cf, without those that others take the place of: Postfix complains of both."""
    names = {line.partition("=")[0] for line in more.splitlines()}
    return "".join(line for line in main.splitlines(keepends=True) if line.partition("=")[0] not in names) + more

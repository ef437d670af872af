"""Haraka as an arm."""

import shutil

from . import fetch
from .arms import Arm
from .peers import PEERS, fill
from .ports import free_port


class Haraka(Arm):
    """A cluster of one process for each processor, and queue/smtp_forward: a client hears of success when the sink has the message."""

    def launch(self, sink_port):
        port = free_port()
        program = fetch.npm(PEERS / "haraka") / "node_modules/Haraka"
        folder = self.home / "haraka"
        # As `haraka --install` does: all that Haraka brings, and then what differs.
        shutil.copytree(program / "config", folder / "config")
        fill("haraka", folder, PORT=port, SINK_PORT=sink_port)
        if self.certificate:
            fill("haraka-tls", folder, KEY=self.certificate.key, CERTIFICATE=self.certificate.certificate)
        self.process = self.start(["node", program / "bin/haraka", "-c", folder], "haraka.log")
        return port

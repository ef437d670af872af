"""OpenSMTPD as an arm."""

import os
import pathlib
import subprocess

from . import fetch
from .arms import Arm, wait_until_empty
from .peers import PEERS, filled
from .ports import free_port

USERS = {"opensmtpd": 64001, "opensmtpq": 64002}


class OpenSmtpd(Arm):
    """With its queue on disk, in a mount namespace where its users and folders exist.

    Only in clear text: that of Debian 12 cannot sign a handshake of TLS 1.3 with the OpenSSL 3 it is built with.
    """

    def launch(self, sink_port):
        if os.geteuid() != 0:
            raise SystemExit("OpenSMTPD needs root, as its users and folders are compiled in; --arms leaves it out")
        root, _ = fetch.debian("opensmtpd")
        port = free_port()
        self.make_folders()
        self.add_users()
        config = self.home / "smtpd.conf"
        config.write_text(filled("opensmtpd/smtpd.conf", PORT=port, SINK_PORT=sink_port))
        config.chmod(0o600)
        self.process = self.start(["unshare", "--mount", PEERS / "opensmtpd/start", self.home, root / "usr/sbin/smtpd",
                                   "-d", "-f", config], "smtpd.log", env={**os.environ, "LD_PRELOAD": self.backlog()})
        return port

    def backlog(self):
        library = self.home / "backlog.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, PEERS / "opensmtpd/backlog.c"], check=True)
        return str(library)

    def make_folders(self):
        for name in ("etc", "run", "var/lib/opensmtpd/empty", "var/spool/smtpd"):
            (self.home / name).mkdir(parents=True)
        spool = self.home / "var/spool/smtpd"
        spool.chmod(0o711)
        for name, owner, group, mode in (("queue", "opensmtpq", 0, 0o700), ("corrupt", "opensmtpq", 0, 0o700),
                                         ("incoming", "opensmtpq", 0, 0o700), ("temporary", "opensmtpq", 0, 0o700),
                                         ("purge", "opensmtpq", 0, 0o700), ("offline", None, USERS["opensmtpq"], 0o770)):
            folder = spool / name
            folder.mkdir()
            os.chown(folder, USERS[owner] if owner else 0, group)
            folder.chmod(mode)

    def add_users(self):
        users = pathlib.Path("/etc/passwd").read_text()
        groups = pathlib.Path("/etc/group").read_text()
        for name, number in USERS.items():
            users += f"{name}:x:{number}:{number}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n"
            groups += f"{name}:x:{number}:\n"
        (self.home / "etc/passwd").write_text(users)
        (self.home / "etc/group").write_text(groups)
        # The name of the client's address is in /etc/hosts; nobody is asked.
        (self.home / "etc/resolv.conf").write_text("lookup file\n")

    def settle(self):
        """Waits until everything was handed on."""
        wait_until_empty([self.home / "var/spool/smtpd" / name for name in ("incoming", "queue")])

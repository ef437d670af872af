"""Postfix as an arm, with and without a queue."""

import os
import pathlib
import shutil
import subprocess
import time

from .arms import Arm
from .ports import free_port


class Postfix(Arm):
    """smtpd with smtpd_proxy_filter straight into the sink: no queue, as the gate."""

    def launch(self, sink_port):
        port = free_port()
        self.configure(port, """\
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
""", "rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n",
                       queue=self.home / "queue", proxy=f"    -o smtpd_proxy_filter=inet:127.0.0.1:{sink_port}\n")
        self.process = self.start(self.master(), "master.log")
        return port

    def master(self):
        return [f"{self.daemons()}/master", "-c", self.home / "config", "-d"]

    def configure(self, port, main, master, queue, proxy):
        """An instance with further lines of main.cf and master.cf."""
        for folder in (self.home / "config", self.home / "data", queue):
            folder.mkdir(exist_ok=True)
        shutil.chown(self.home / "data", "postfix")
        (self.home / "config/main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {self.home}/data
maillog_file = {self.home}/postfix.log
maillog_file_prefixes = {self.home}
myhostname = postfix.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relay_domains = example.test
relay_recipient_maps =
smtpd_client_connection_count_limit = 0
alias_maps =
local_recipient_maps =
{main}""")
        (self.home / "config/master.cf").write_text(f"""\
127.0.0.1:{port} inet n - n - 100 smtpd
{proxy}cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
{master}""")
        subprocess.run(["postfix", "-c", str(self.home / "config"), "check"], check=True)

    @staticmethod
    def daemons():
        found = subprocess.run(["postconf", "-h", "daemon_directory"], check=True, capture_output=True, text=True)
        return found.stdout.strip()


class PostfixWithQueue(Postfix):
    """smtpd, a queue in memory, and smtp into the sink."""

    def launch(self, sink_port):
        self.queue = pathlib.Path(f"/dev/shm/postern-bench-{os.getpid()}")
        self.queue.mkdir(mode=0o755)
        try:
            return self.launch_with_queue(sink_port)
        except BaseException:
            shutil.rmtree(self.queue)
            raise

    def launch_with_queue(self, sink_port):
        port = free_port()
        self.configure(port, f"""\
smtpd_relay_restrictions = permit_mynetworks, reject
transport_maps = inline:{{ example.test=smtp:[127.0.0.1]:{sink_port} }}
default_destination_concurrency_limit = 100
{self.more_main()}""", f"""\
smtp unix - - n - 100 smtp
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
{self.more_master()}""", queue=self.queue, proxy="")
        self.process = self.start_master()
        return port

    def more_main(self):
        """Further lines of main.cf."""
        return "smtpd_peername_lookup = no\n"

    def more_master(self):
        """Further lines of master.cf."""
        return ""

    def start_master(self):
        return self.start(self.master(), "master.log")

    def __exit__(self, *what):
        super().__exit__(*what)
        shutil.rmtree(self.queue, ignore_errors=True)

    def settle(self):
        """Waits until everything was handed on."""
        queues = [self.queue / name for name in ("incoming", "active", "deferred", "maildrop")]
        while any(path.is_file() for queue in queues for path in queue.rglob("*")):
            time.sleep(0.05)

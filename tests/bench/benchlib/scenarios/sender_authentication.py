"""Messages per second and CPU per message with every check of the sender on, side by side on loopback.

The generator sends one signed message again and again, with SPF, a key and a policy in DNS:

  postern   the gate, release build: reverse DNS, SPF of EHLO and MAIL, DKIM, ARC and DMARC, one Relay route
  postfix   smtpd with policyd-spf as policy service, OpenDKIM and OpenDMARC as milters, and a queue, since milters see no message
            before a proxy filter; the queue lies in memory, so that no disk is measured

Both ask the same authoritative server on loopback, whose time counts for neither; both are warm. The rate is that of accepting; the CPU of
Postfix is counted until its queue is empty. The arms run in alternating order; docs/benchmarks.md and docs/benchmarks.json get the
medians and the raw values.
"""

import contextlib
import os
import pathlib
import random
import subprocess

from .. import measure, postern, postfix
from ..arms import temporary
from ..peers import fill, filled
from ..ports import free_port
from ..scenario import Scenario

SENDER, CLIENT, RECIPIENT = "sender@example.org", "client.example.org", "user@example.test"
PEER = "postfix-sender-authentication"

SCENARIO = Scenario(
    name="sender_authentication",
    title="Sender authentication",
    text="""\
The same with one message that is signed with RSA of 2048 bits, SPF, a key and a policy in DNS, and everything checked and reported:
reverse DNS, SPF of EHLO and MAIL, DKIM and DMARC, by Postern ARC too. Postfix keeps its queue, which lies in memory, since milters see no
message before a proxy filter; its rate is that of accepting, its CPU is counted until all is handed on. Postern and OpenDKIM
cache answers of DNS; the others ask an authoritative server on loopback, whose time is not counted. Written by `tests/bench/sender-auth`.""",
    arms={"postern": "Postern", "postfix": "Postfix with policyd-spf, OpenDKIM, OpenDMARC"},
    packages=("opendkim", "opendmarc", "postfix-policyd-spf-python", "nsd"),
)


def main():
    arms = {"postern": Postern, "postfix": Postfix}
    options = measure.arguments(__doc__, arms, messages=3000)
    with in_one_world(arms, options) as running:
        results = measure.measure(running, options)
    measure.report(results, options, SCENARIO)


@contextlib.contextmanager
def in_one_world(arms, options):
    """The arms that are wanted, running beside one name server and sent one message; each is proved once it runs."""
    if os.geteuid() != 0:
        raise SystemExit("a name server on port 53 needs root")
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(World(temporary(stack), options))
        running = {}
        for name in options.arms:
            arm = arms[name](temporary(stack))
            arm.world = world
            running[name] = stack.enter_context(arm)
            arm.prove(options)
        yield running


class World:
    """A key, a message signed with it, and the name server that knows of both."""

    def __init__(self, home, options):
        self.home = home
        self.address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(2, 254)}"
        self.message = home / "message"
        self.sign(options.octets)

    def sign(self, octets):
        key = self.home / "key"
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout"], check=True, capture_output=True, text=True).stdout
        self.public = "".join(line for line in public.splitlines() if not line.startswith("-"))
        lines = octets // 72
        text = (f"From: <{SENDER}>\r\nTo: <{RECIPIENT}>\r\nSubject: bench\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n"
                "Message-ID: <1@example.org>\r\n\r\n" + ("x" * 70 + "\r\n") * lines)
        signed = subprocess.run(["dkimsign", "s1", "example.org", key], input=text.encode(), check=True, capture_output=True)
        # The generator wants the line ends of files.
        self.message.write_bytes(signed.stdout.replace(b"\r\n", b"\n"))

    def __enter__(self):
        strings = " ".join(f'"{self.public[at:at + 200]}"' for at in range(0, len(self.public), 200))
        fill("name-server", self.home, HOME=self.home, ADDRESS=self.address, STRINGS_OF_KEY=strings)
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen(["nsd", "-d", "-c", self.home / "nsd.conf"], stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Verifying:
    """What both arms have in common; `prove` makes sure that all checks really run."""

    def generator(self, options, messages):
        return ["smtp-source", "-d", "-s", str(options.connections), "-m", str(messages), "-F", str(self.world.message),
                "-M", CLIENT, "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{self.port}"]

    def prove(self, options):
        header = self.header_at_sink(options).lower()
        if not all(word in header for word in ("dkim=pass", "dmarc=pass", "received-spf: pass")):
            raise SystemExit(f"not everything was checked:\n{header}")


class Postern(Verifying, postern.Postern):
    def objects(self, sink_port, port):
        levels = ("spfEhloVerify", "spfFromVerify", "reverseIpVerify", "dkimVerify", "arcVerify", "dmarcVerify")
        return super().objects(sink_port, port) | {
            "MtaSettings default": "{defaultHostname: gate.example.test, dns: {servers: [{address: \"%s\", port: 53}]}}"
                                   % self.world.address,
            "MtaSenderAuth default": "{" + ", ".join(f"{level}: relaxed" for level in levels) + "}"}


class Postfix(Verifying, postfix.PostfixWithQueueInMemory):
    def __init__(self, home):
        super().__init__(home)
        self.milters = []

    def __exit__(self, *what):
        super().__exit__(*what)
        for milter in self.milters:
            self.stop(milter)

    def more_main(self):
        dkim, dmarc = free_port(), free_port()
        fill("opendkim", self.home, HOME=self.home, PORT=dkim, HOSTNAME="postfix.example.test", NAMESERVER=self.world.address)
        for name in ("opendmarc.conf", "policyd-spf.conf", "suffixes", "resolv.conf"):
            text = filled(f"{PEER}/{name}", HOME=self.home, DMARC_PORT=dmarc, NAMESERVER=self.world.address)
            (self.home / name).write_text(text)
        self.milters = [self.confined("opendkim", "-f", "-x", self.home / "opendkim.conf"),
                        self.confined("opendmarc", "-f", "-c", self.home / "opendmarc.conf")]
        return filled(f"{PEER}/main.cf", DKIM_PORT=dkim, DMARC_PORT=dmarc)

    def more_master(self):
        return filled(f"{PEER}/master.cf", HOME=self.home)

    def start_master(self):
        return self.confined(*self.master())

    def confined(self, *command):
        """Starts a program that finds our name server where it looks for the system's."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        name = pathlib.Path(command[0]).name
        return self.start(["unshare", "--mount", "sh", "-c", script, self.home / "resolv.conf", *command], f"{name}.log")

    def leaders(self):
        return [self.process, *self.milters]

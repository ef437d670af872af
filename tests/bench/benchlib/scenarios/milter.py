"""Messages per second and CPU per message through a milter, OpenDKIM in verify mode, side by side on loopback.

  postern   the gate, release build, one MtaMilter at every stage, one Relay route
  postfix   smtpd with the same milter, and a queue, since milters see no message before a proxy filter; the queue lies in
            memory, so that no disk is measured

Each server has an OpenDKIM of its own, whose time counts for neither. The rate is that of accepting; the CPU of Postfix is counted
until its queue is empty. The arms run in alternating order; docs/benchmarks.md and docs/benchmarks.json get the medians and the raw values.
"""

from .. import postern, postfix
from ..measure import side_by_side
from ..peers import fill, filled
from ..ports import free_port, listens, wait_until
from ..scenario import Scenario

SCENARIO = Scenario(
    name="milter",
    title="Through a milter",
    text="""\
As relaying, with OpenDKIM in verify mode between; each server has one of its own, whose time is not counted. Postfix keeps its queue, which
lies in memory, since milters see no message before a proxy filter; its rate is that of accepting, its CPU is counted until all is handed
on. Written by `tests/bench/milter`.""",
    arms={"postern": "Postern", "postfix": "Postfix"},
    packages=("opendkim",),
)


def main():
    side_by_side(SCENARIO, {"postern": Postern, "postfix": Postfix}, __doc__, messages=2000)


class WithMilter:
    """An arm whose server asks an OpenDKIM of its own."""

    milter = None
    # Where OpenDKIM looks for keys; where no message is signed nothing is looked up.
    nameserver = "127.0.0.1"

    def start_milter(self):
        port = free_port()
        fill("opendkim", self.home, HOME=self.home, PORT=port, HOSTNAME="mail.example.test", NAMESERVER=self.nameserver)
        self.milter = self.start(["opendkim", "-f", "-x", self.home / "opendkim.conf"], "opendkim.log")
        wait_until("OpenDKIM listens", lambda: listens(port))
        return port

    def __exit__(self, *what):
        super().__exit__(*what)
        self.stop(self.milter)


class Postern(WithMilter, postern.Postern):
    def objects(self, sink_port, port):
        milter = f'{{hostname: "127.0.0.1", port: {self.start_milter()}, stages: [connect, ehlo, mail, rcpt, data]}}'
        return super().objects(sink_port, port) | {"MtaMilter opendkim": milter}


class Postfix(WithMilter, postfix.PostfixWithQueueInMemory):
    def more_main(self):
        return filled("postfix-milter/main.cf", MILTER_PORT=self.start_milter())

"""Messages per second and CPU per message at relaying, side by side on loopback.

Every arm takes mail from the same generator (smtp-source) and hands it to the same kind of sink (smtp-sink):

  postern   the gate, release build, one Relay route
  postfix   smtpd with smtpd_proxy_filter straight into the sink: no queue, as the gate
  ceiling   the generator straight into the sink

The arms run in alternating order, round after round; the medians become docs/benchmarks.md, the raw values
docs/benchmarks.json. CPU is user + system time of all processes of the arm, without generator and sink.
"""

from ..arms import Ceiling
from ..measure import side_by_side
from ..postern import Postern
from ..postfix import Postfix
from ..scenario import Scenario

SCENARIO = Scenario(
    name="relaying",
    title="Relaying",
    text="""\
smtp-source → the gate → smtp-sink. CPU is user and system time of the gate's processes alone; generator and sink run on the same
machine and compete with it. Written by `tests/bench/run`.""",
    arms={"postern": "Postern", "postfix": "Postfix, before-queue proxy", "ceiling": "generator straight into sink"},
)


def main():
    side_by_side(SCENARIO, {"postern": Postern, "postfix": Postfix, "ceiling": Ceiling}, __doc__)

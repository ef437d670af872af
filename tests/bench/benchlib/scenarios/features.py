"""What each feature costs: CPU of the gate per message, against the same gate without it.

  none         the gate, release build, one Relay route, nothing checked
  expressions  twelve rules with comparisons and a regular expression at four stages
  throttle     one MtaInboundThrottle, counted in memory, at every MAIL
  sieve        a script at the end of data that reads a field and adds one
  milter       OpenDKIM in verify mode, asked at every stage
  hook         an HTTP hook at MAIL and at the end of data, over kept connections
  checks       reverse DNS, SPF of EHLO and MAIL, DKIM, ARC and DMARC

Every arm is sent the same signed message over kept connections. What a feature asks (a milter, a hook, a name server) runs on the same
machine, and its time is not counted. At the end every message has to have been through the feature. The arms run in alternating order.
"""

import json
import re

from .. import measure, postern
from ..answering import Answering
from ..scenario import Scenario
from . import milter
from .sender_authentication import Postern as Checks
from .sender_authentication import Verifying, in_one_world


class Features(Scenario):
    """CPU per message, and how much that is above none."""

    panels = {"cpu_us_per_message": "CPU per message, µs"}

    def table(self, medians):
        lines = ["| | CPU per message | more than without | messages per second |", "|---|---:|---:|---:|"]
        without = medians.get("none", {}).get("cpu_us_per_message")
        for name, value in medians.items():
            more = value["cpu_us_per_message"] - without if without and name != "none" else None
            lines.append(f"| {self.arms[name]} | {value['cpu_us_per_message']:,.0f} µs | "
                         f"{'–' if more is None else f'{more:+,.0f} µs'} | {value['messages_per_second']:,.0f} |")
        return "\n".join(lines)


SCENARIO = Features(
    name="features",
    title="What each feature costs",
    text="""\
One gate for each feature, all of them sent the same message, signed with RSA of 2048 bits, over kept connections. What a feature asks runs
on the same machine and takes messages per second from the gate, but its time is not counted. Written by `tests/bench/features`.""",
    arms={
        "none": "none of them",
        "expressions": "twelve rules in expressions at four stages",
        "throttle": "a throttle at MAIL, in memory",
        "sieve": "a Sieve script at the end of data that adds a field",
        "milter": "a milter at every stage (OpenDKIM, its own time not counted)",
        "hook": "an HTTP hook at MAIL and at the end of data",
        "checks": "reverse DNS, SPF, DKIM, ARC and DMARC",
    },
    packages=("opendkim", "nsd"),
)


def main():
    arms = {"none": Without, "expressions": Expressions, "throttle": Throttle, "sieve": Sieve, "milter": Milter, "hook": Hook,
            "checks": Checked}
    options = measure.arguments(__doc__, arms, messages=4000)
    with in_one_world(arms, options) as running:
        results = measure.measure(running, options)
        for name, arm in running.items():
            arm.prove_work(name)
    measure.report(results, options, SCENARIO)


class Sending(Verifying):
    """Counts what it sends."""

    sent = 0

    def prove(self, options):
        """Only one arm checks what the proof of the others would look for."""

    def generate(self, options, messages=None):
        super().generate(options, messages)
        self.sent += messages or options.messages

    def prove_work(self, name):
        """Ends the run unless the feature has seen every message."""

    def verdicts(self, kind, stage):
        """How many messages a filter of the kind has let pass, changed or not, at the stage."""
        found = re.findall(r"^postern_filter_verdicts_total{([^}]*)} (\d+)$", self.metrics(), re.MULTILINE)
        return sum(int(count) for labels, count in found
                   if f'kind="{kind}"' in labels and f'stage="{stage}"' in labels
                   and ('verdict="pass"' in labels or 'verdict="modify"' in labels))


class Without(Sending, postern.Postern):
    pass


class Expressions(Without):
    def objects(self, sink_port, port):
        def rules(field, conditions, otherwise):
            match = ", ".join(f"{{if: {json.dumps(condition)}, then: {then}}}" for condition, then in conditions)
            return f"{field}: {{match: [{match}], else: {otherwise}}}"

        return super().objects(sink_port, port) | {
            "MtaStageEhlo default": "{" + rules("rejectNonFqdn", [
                ("starts_with(remote_ip, '192.0.2.')", "false"),
                ("remote_ip == '198.51.100.7' || remote_ip == '198.51.100.8'", "false"),
                ("starts_with(remote_ip, '2001:db8:')", "true")], "true") + "}",
            "MtaStageMail default": "{" + rules("isSenderAllowed", [
                ("matches('^(bounce|prvs)[-+=][a-z0-9]+@', sender)", "true"),
                ("sender_domain == 'spam.example' || ends_with(sender_domain, '.spam.example')", "false"),
                ("len(sender) > 250", "false")], "true") + "}",
            "MtaStageRcpt default": "{" + rules("maxRecipients", [
                ("is_empty(sender)", "1"),
                ("remote_ip == '203.0.113.5'", "1000"),
                ("ends_with(sender_domain, '.example.test')", "500")], "100") + "}",
            "MtaStageData default": "{maxMessages: 1000000000, " + rules("maxMessageSize", [
                ("sender_domain == 'small.example'", "1000000"),
                ("starts_with(sender, 'newsletter-')", "500000"),
                ("!is_empty(authenticated_as)", "52428800")], "104857600") + "}",
        }


class Throttle(Without):
    def objects(self, sink_port, port):
        throttle = "{key: [senderDomain, remoteIp], rate: {count: 1000000, period: 1d}}"
        return super().objects(sink_port, port) | {"MtaInboundThrottle senders": throttle}


class Sieve(Without):
    def objects(self, sink_port, port):
        script = ('require ["editheader", "variables"];\nif header :matches "Subject" "*" { set "subject" "${1}"; }\n'
                  'addheader "X-Seen" "sieve, ${subject}";\n')
        return super().objects(sink_port, port) | {
            "MtaSieveScript mark": f"{{contents: {json.dumps(script)}}}",
            "MtaStageData default": "{maxMessages: 1000000000, script: \"'mark'\"}"}

    def prove_work(self, name):
        seen(name, self.verdicts("sieve", "data"), self.sent)


class Milter(Sending, milter.Postern):
    @property
    def nameserver(self):
        return self.world.address

    def prove_work(self, name):
        seen(name, self.verdicts("milter", "data"), self.sent)


class Hook(Without):
    def __enter__(self):
        # Before anything runs beside it: it forks.
        self.answering = Answering(b'{"action": "accept"}').__enter__()
        return super().__enter__()

    def __exit__(self, *what):
        super().__exit__(*what)
        self.answering.__exit__(*what)

    def objects(self, sink_port, port):
        hook = f'{{url: "http://127.0.0.1:{self.answering.port}/", stages: [mail, data]}}'
        return super().objects(sink_port, port) | {"MtaHook accepting": hook}

    def prove_work(self, name):
        seen(name, self.verdicts("hook", "mail"), self.sent)
        seen(name, self.verdicts("hook", "data"), self.sent)


class Checked(Sending, Checks):
    def prove(self, options):
        Checks.prove(self, options)


def seen(name, found, wanted):
    # The proof that a server greets is a session without a message.
    if found != wanted:
        raise SystemExit(f"{name}: {found} of {wanted} messages were looked at, so the figures say nothing")

"""The gate as an arm."""

import json
import os
import subprocess
import urllib.request

from .arms import Arm
from .ports import free_port
from .record import TREE


class Postern(Arm):
    """The gate, release build, one Relay route."""

    # Further environment of the gate.
    environment = {}

    def launch(self, sink_port):
        port, self.admin = free_port(), free_port()
        config = self.home / "config"
        config.mkdir()
        (config / "gate.yaml").write_text(self.manifests(sink_port, port))
        self.process = self.start_gate(self.command(config))
        return port

    def start_gate(self, command):
        return self.start(command, "postern.log", env={**os.environ, **self.environment})

    def command(self, config):
        return [binary(), "serve", "--config", str(config), "--admin", f"127.0.0.1:{self.admin}"]

    def manifests(self, sink_port, port):
        text = self.secret() if self.certificate else ""
        for name, spec in self.objects(sink_port, port).items():
            kind, name = name.split()
            text += (f"---\napiVersion: mta.postern.dev/v1alpha1\nkind: {kind}\n"
                     f"metadata: {{name: {name}}}\nspec: {spec}\n")
        return text

    def objects(self, sink_port, port):
        """Kind and name of each object, and its spec in YAML."""
        # stunnel says "EHLO localhost" before it encrypts, and the generator its own name after that.
        ehlo = {"MtaStageEhlo default": "{rejectNonFqdn: false}"} if self.certificate else {}
        return ehlo | {
            "MtaSettings default": "{defaultHostname: gate.example.test}",
            "MtaListener smtp": f'{{bind: ["127.0.0.1:{port}"], publicPort: 25{self.listener_tls()}}}',
            "MtaDomain example": "{name: example.test, allowRelaying: true}",
            "MtaRoute sink": f'{{type: Relay, address: "127.0.0.1", port: {sink_port}}}',
            # The documented limits of a session are made for strangers; a generator goes on for as long as it lasts.
            "MtaStageData default": "{maxMessages: 1000000000}",
            "MtaInboundSession default": "{transferLimit: 1099511627776, maxDuration: 1d}",
            # Postfix looks nothing up here either.
            "MtaSenderAuth default": "{spfEhloVerify: disable, spfFromVerify: disable, reverseIpVerify: disable, "
                                     "dkimVerify: disable, dmarcVerify: disable}",
        }

    def listener_tls(self):
        return ", tls: {secretNames: [tls]}" if self.certificate else ""

    def secret(self):
        pair = {"tls.crt": self.certificate.certificate.read_text(), "tls.key": self.certificate.key.read_text()}
        return "---\n" + json.dumps({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                                     "metadata": {"name": "tls"}, "stringData": pair}) + "\n"

    def metrics(self):
        """What the gate tells Prometheus."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            return answer.read().decode()


def binary():
    """The release build of this tree, or POSTERN_BIN."""
    if "POSTERN_BIN" in os.environ:
        return os.environ["POSTERN_BIN"]
    command = ["cargo", "build", "--release", "--locked", "--package", "postern-server", "--bin", "postern"]
    subprocess.run(command, check=True, cwd=TREE)
    target = os.environ.get("CARGO_TARGET_DIR", TREE / "target")
    return str(TREE / target / "release" / "postern")


def commit():
    """Of this tree, or POSTERN_COMMIT: of a binary that was brought along nobody but its bringer knows it."""
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=TREE, capture_output=True, text=True)
    return os.environ.get("POSTERN_COMMIT") or found.stdout.strip()

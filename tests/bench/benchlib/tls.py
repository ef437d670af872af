"""Encryption for programs that know none: a certificate, and stunnel behind the generator or before the sink."""

import dataclasses
import pathlib
import subprocess

from . import fetch
from .peers import filled


@dataclasses.dataclass(frozen=True)
class Certificate:
    """One of ECDSA P-256, the same for every arm."""

    key: pathlib.Path
    certificate: pathlib.Path

    @classmethod
    def make(cls, home):
        made = cls(home / "key.pem", home / "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", made.key, "-out", made.certificate,
                        "-days", "2", "-subj", "/CN=gate.example.test"], check=True, capture_output=True)
        # Servers that change their user read it too; it is worth nothing.
        made.key.chmod(0o644)
        return made


def tunnel(arm, side, **values):
    """Starts stunnel as "client" or as "server" among the processes of an arm."""
    root, _ = fetch.debian("stunnel4")
    config = arm.home / f"stunnel-{side}.conf"
    config.write_text(filled(f"stunnel/{side}.conf", **values))
    return arm.start([root / "usr/bin/stunnel4", config], f"stunnel-{side}.log")

"""A milter built with libmilter that writes down what it is told, one JSON object a line, and changes everything that can be
changed in messages that ask for it with the field X-Change.

Arguments: socket, log file.
"""

import json
import sys

import Milter

MACROS = [
    "j", "_", "v", "i", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{client_addr}", "{client_port}", "{client_ptr}",
    "{client_name}", "{client_connections}", "{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}",
    "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}", "{rcpt_addr}", "{rcpt_host}",
    "{rcpt_mailer}",
]


class Recorder(Milter.Base):
    log = None

    def __init__(self):
        self.session = Milter.uniqueID()
        self.changes = False
        self.body_octets = b""

    def note(self, command, *arguments):
        macros = {name: value for name in MACROS if (value := self.getsymval(name)) is not None}
        line = {"session": self.session, "command": command, "arguments": arguments, "macros": macros}
        Recorder.log.write(json.dumps(line) + "\n")
        Recorder.log.flush()
        return Milter.CONTINUE

    def connect(self, name, family, address):
        return self.note("connect", name, str(family), address[0])

    def hello(self, name):
        return self.note("helo", name)

    def envfrom(self, sender, *parameters):
        self.changes = False
        self.body_octets = b""
        return self.note("mail", sender, *parameters)

    def envrcpt(self, recipient, *parameters):
        return self.note("rcpt", recipient, *parameters)

    def data(self):
        return self.note("data")

    def header(self, name, value):
        if name.lower() == "x-change":
            self.changes = True
        return self.note("header", name, value)

    def eoh(self):
        return self.note("eoh")

    def body(self, octets):
        self.body_octets += octets
        return Milter.CONTINUE

    def eom(self):
        self.note("eom", self.body_octets.decode("latin-1"))
        if self.changes:
            self.change()
        return Milter.CONTINUE

    def change(self):
        self.addheader("X-Added", "by the recorder")
        self.addheader("X-Inserted", "second", 1)
        self.chgheader("Subject", 1, "changed")
        self.chgheader("X-Change", 1, None)
        self.chgfrom("<changed@example.org>", "ENVID=recorder")
        self.addrcpt("<added@example.test>")
        self.addrcpt("<never@example.test>", "NOTIFY=NEVER")
        self.delrcpt("<removed@example.test>")
        self.progress()
        self.replacebody(b"a new body\r\n")
        self.quarantine("recorded")

    def abort(self):
        return self.note("abort")

    def close(self):
        return self.note("close")


def main():
    socket, log = sys.argv[1:]
    Recorder.log = open(log, "w", encoding="utf-8")
    Milter.factory = Recorder
    Milter.set_flags(
        Milter.CHGBODY | Milter.CHGHDRS | Milter.ADDHDRS | Milter.ADDRCPT | Milter.ADDRCPT_PAR | Milter.DELRCPT
        | Milter.CHGFROM | Milter.QUARANTINE
    )
    Milter.runmilter("recorder", socket, 60)


main()

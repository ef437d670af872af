#!/usr/bin/python3
"""A milter: it marks every message with who marked it before. Needs Debian's python3-milter.

    marker.py inet:8891@127.0.0.1
"""
import sys

import Milter


class Mark(Milter.Base):
    """One conversation with the gate, of several messages perhaps."""

    def envfrom(self, sender, *parameters):
        self.before = None
        return Milter.CONTINUE

    def header(self, name, value):
        # The first mark is the latest.
        if name.lower() == "x-filter" and self.before is None:
            self.before = value.split(",")[0]
        return Milter.CONTINUE

    def eom(self):
        self.addheader("X-Filter", f"milter, after {self.before or 'nobody'}", 0)
        return Milter.CONTINUE


if __name__ == "__main__":
    Milter.factory = Mark
    Milter.set_flags(Milter.ADDHDRS)
    Milter.runmilter("mark", sys.argv[1], 60)

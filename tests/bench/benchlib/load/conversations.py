"""What clients say, and the tally of what they are told."""

import time

from .crowd import Closed

ENVELOPE = (b"MAIL FROM:<sender@example.org>\r\n", b"RCPT TO:<user@example.test>\r\n", b"DATA\r\n")
LETTER = b"From: sender@example.org\r\nTo: user@example.test\r\nX-Mark: %d\r\n\r\nA short letter.\r\n"


def measured(conversation, tally, seconds):
    """The same, with its time from the beginning to the end; what broke off goes to the tally instead."""
    begun = time.monotonic()
    try:
        yield from conversation
        seconds.append(time.monotonic() - begun)
        tally["served"] += 1
    except Closed:
        tally["broken off"] += 1
    except Refused as refused:
        tally[f"refused: {refused}"] += 1


class Refused(Exception):
    """A reply that should have been positive."""


def positive(line):
    if line[:1] not in b"23":
        raise Refused(line[:3].decode(errors="replace"))
    return line


def greeting_only():
    positive((yield))
    positive((yield b"QUIT\r\n"))


def whole(number):
    """A connection for one message."""
    positive((yield))
    positive((yield b"EHLO client.example.org\r\n"))
    for command in ENVELOPE:
        positive((yield command))
    positive((yield LETTER % number + b".\r\n"))
    positive((yield b"QUIT\r\n"))


def large(mark, body, declared, answers):
    """One message of many octets; what it was answered, be it at MAIL or at the end."""
    try:
        yield
        yield b"EHLO client.example.org\r\n"
        size = b" SIZE=%d" % len(body) if declared else b""
        for command in (ENVELOPE[0][:-2] + size + b"\r\n", *ENVELOPE[1:]):
            if (line := (yield command))[:1] not in b"23":
                answers[mark] = f"{line[:9].decode()} to {command[:4].decode()}"
                return
        head = b"From: sender@example.org\r\nX-Mark: %s\r\n\r\n" % mark.encode()
        answers[mark] = (yield [head, body, b".\r\n"])[:9].decode() + " to the dot"
    except Closed:
        answers[mark] = "closed"

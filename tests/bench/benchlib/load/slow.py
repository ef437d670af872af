"""Clients that send an octet a second, in a process of their own."""

import collections
import contextlib
import multiprocessing
import os
import time

from . import conversations
from .crowd import Closed, Crowd

# What one says who never gets to the end of his envelope.
COMMANDS = b"EHLO slow.example.org\r\nMAIL FROM:<slow@example.org>\r\n" + b"NOOP slowly\r\n" * 100
LINES = b"Subject: a line that takes more than a minute to be said, for every octet of it takes a second.\r\n" * 20


def begins(tally):
    """Greets, and then says what it is given, octet by octet."""
    try:
        yield
        tally["greeted"] += 1
        while True:
            line = yield ()
            tally["positive replies" if line[:1] in b"23" else "other replies"] += 1
    except Closed:
        tally["ended by the gate"] += 1


def inside_data(tally):
    """A whole envelope at once; the message comes octet by octet."""
    try:
        yield
        yield b"EHLO slow.example.org\r\n"
        for command in conversations.ENVELOPE:
            answer = yield command
        if answer[:3] != b"354":
            tally["refused"] += 1
            return
        tally["in data"] += 1
        answer = yield ()
        tally["accepted" if answer[:3] == b"250" else f"answered {answer[:9].decode()}"] += 1
    except Closed:
        tally["ended by the gate"] += 1


class Drip:
    """Half of the clients stay in commands, half in data; each is sent an octet in every second of its own."""

    def __init__(self, port, count):
        self.crowd = Crowd(port)
        self.tally = collections.Counter()
        self.clients = []
        self.count = count
        self.latest = 0.0

    def open(self, conversation, text):
        """Half of them."""
        for _ in range(self.count // 2):
            self.clients.append((self.crowd.open(conversation(self.tally)), text))
            self.crowd.turn(0)
        end = time.monotonic() + 60
        while self.tally["greeted"] + self.tally["in data"] < len(self.clients) and time.monotonic() < end:
            self.crowd.turn()

    def drip(self, question):
        """Until it is asked for the end."""
        begun, sent = time.monotonic(), 0
        while not question.poll():
            due = int((time.monotonic() - begun) * self.count)
            self.latest = max(self.latest, (due - sent) / self.count)
            while sent < due:
                client, text = self.clients[sent % self.count]
                at = sent // self.count
                with contextlib.suppress(OSError):
                    client.send(text[at:at + 1])
                sent += 1
            self.crowd.turn(0.01)
        question.recv()
        return sent // self.count

    def end(self):
        """What is in data gets its dot."""
        for client, text in self.clients:
            if text is LINES:
                with contextlib.suppress(OSError):
                    client.send(b"\r\n.\r\n")
        end = time.monotonic() + 60
        while self.tally["accepted"] < self.tally["in data"] and time.monotonic() < end:
            self.crowd.turn()


def run(port, count, pipe):
    drip = Drip(port, count)
    for half in ((begins, COMMANDS), (inside_data, LINES)):
        drip.open(*half)
        pipe.send(len(drip.crowd.clients))
        pipe.recv()
    cpu, begun = os.times(), time.monotonic()
    octets = drip.drip(pipe)
    now, seconds = os.times(), time.monotonic() - begun
    alive = len(drip.crowd.clients)
    drip.end()
    pipe.send({"alive": alive, "octets_each": octets, "latest_seconds": round(drip.latest, 2), "tally": dict(drip.tally),
               "generator_cpu": round((now.user + now.system - cpu.user - cpu.system) / seconds, 2)})


class Slow:
    """The process. Each `opened` waits for another half to be connected, `go_on` lets it continue; `stop` tells what became of them."""

    def __init__(self, port, count):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=run, args=(port, count, theirs), daemon=True)
        self.process.start()

    def opened(self):
        return self.pipe.recv()

    def go_on(self):
        self.pipe.send(None)

    def stop(self):
        self.pipe.send(None)
        found = self.pipe.recv()
        self.process.join()
        return found

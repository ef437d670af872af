"""Thousands of clients in one thread: each is a conversation, a generator that yields what it sends and gets the reply to it."""

import collections
import contextlib
import select
import socket
import time

# Several addresses on loopback, or the ports of one run out.
SOURCES = [f"127.0.1.{number}" for number in range(1, 101)]


class Closed(Exception):
    """The gate has ended the connection; thrown into the conversation."""


class Client:
    """One connection. A conversation yields octets, or a list of pieces; () waits for one more reply."""

    __slots__ = ("conversation", "inbox", "outbox", "socket", "watched")

    def __init__(self, conversation):
        self.conversation = conversation
        self.inbox = b""
        self.outbox = collections.deque()
        self.socket = socket.socket()
        self.watched = select.EPOLLIN

    def replies(self, octets):
        """Every reply that is whole by now: its last line."""
        self.inbox += octets
        while (end := self.inbox.find(b"\n")) >= 0:
            line, self.inbox = self.inbox[:end + 1], self.inbox[end + 1:]
            if line[3:4] != b"-":
                yield line

    def send(self, pieces):
        self.outbox.extend([pieces] if isinstance(pieces, bytes) else pieces)
        self.flush()

    def flush(self):
        while self.outbox:
            try:
                sent = self.socket.send(self.outbox[0])
            except BlockingIOError:
                return
            if sent == len(self.outbox[0]):
                self.outbox.popleft()
            else:
                self.outbox[0] = memoryview(self.outbox[0])[sent:]


class Crowd:
    """Clients that are served in turns; `latest` is by how much a turn came too late, in seconds."""

    def __init__(self, port):
        self.port = port
        self.poll = select.epoll()
        self.clients = {}
        self.opened = 0
        self.latest = 0.0

    def open(self, conversation):
        client = Client(conversation)
        client.socket.setblocking(False)
        client.socket.setsockopt(socket.SOL_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        client.socket.bind((SOURCES[self.opened % len(SOURCES)], 0))
        self.opened += 1
        with contextlib.suppress(BlockingIOError):
            client.socket.connect(("127.0.0.1", self.port))
        next(conversation)
        self.clients[client.socket.fileno()] = client
        self.poll.register(client.socket, select.EPOLLIN)
        return client

    def turn(self, seconds=0.05):
        """Serves whoever has something to say, or waits that long for somebody."""
        for descriptor, event in self.poll.poll(seconds):
            client = self.clients[descriptor]
            try:
                if event & select.EPOLLOUT:
                    client.flush()
                if event & ~select.EPOLLOUT:
                    self.hear(client)
                self.watch(client)
            except StopIteration:
                self.close(client)
            except (OSError, Closed) as error:
                with contextlib.suppress(StopIteration, Closed):
                    client.conversation.throw(Closed(error))
                self.close(client)

    def hear(self, client):
        octets = client.socket.recv(65536)
        if not octets:
            raise Closed
        for line in client.replies(octets):
            if pieces := client.conversation.send(line):
                client.send(pieces)

    def watch(self, client):
        wanted = select.EPOLLIN | (select.EPOLLOUT if client.outbox else 0)
        if wanted != client.watched:
            self.poll.modify(client.socket, wanted)
            client.watched = wanted

    def close(self, client):
        if self.clients.pop(client.socket.fileno(), None):
            self.poll.unregister(client.socket)
            client.socket.close()

    def run(self, conversations, per_second, give_up=60):
        """Opens one after another at that rate, whatever became of the others, and sees them all to their end."""
        begun = time.monotonic()
        for number, conversation in enumerate(conversations):
            due = begun + number / per_second
            while (now := time.monotonic()) < due:
                self.turn(due - now)
            self.latest = max(self.latest, now - due)
            self.open(conversation)
            self.turn(0)
        self.finish(give_up)

    def finish(self, give_up):
        end = time.monotonic() + give_up
        while self.clients and time.monotonic() < end:
            self.turn()

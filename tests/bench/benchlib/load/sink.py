"""A next hop that remembers the X-Mark field and the octets of every message, and says 250 only then."""

import asyncio
import contextlib
import multiprocessing

END = b"\r\n.\r\n"


@contextlib.contextmanager
def counting(port):
    """Runs in a process of its own; what is given asks it for all messages so far, as pairs of mark and octets."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(port, theirs), daemon=True)
    process.start()

    def stored():
        ours.send(None)
        return ours.recv()

    stored()
    try:
        yield stored
    finally:
        process.terminate()
        process.join()


def serve(port, questions):
    asyncio.run(answer(port, questions))


async def answer(port, questions):
    stored = []
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Session(stored), "127.0.0.1", port, backlog=1024)

    def asked():
        questions.recv()
        questions.send(stored)

    loop.add_reader(questions.fileno(), asked)
    await asyncio.Event().wait()


class Session(asyncio.Protocol):
    """One connection. Of data only the beginning and the last octets are kept."""

    def __init__(self, stored):
        self.stored = stored
        self.line = b""
        self.in_data = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, octets):
        if self.in_data:
            self.data(octets)
            return
        self.line += octets
        while not self.in_data and (end := self.line.find(b"\n")) >= 0:
            line, self.line = self.line[:end + 1], self.line[end + 1:]
            self.command(line[:4].upper())
        if self.in_data and self.line:
            octets, self.line = self.line, b""
            self.data(octets)

    def command(self, verb):
        if verb == b"DATA":
            self.in_data, self.head, self.tail, self.octets = True, b"", b"\r\n", 0
        self.transport.write({b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))

    def data(self, octets):
        self.octets += len(octets)
        if len(self.head) < 4096:
            self.head += octets[:4096]
        self.tail = (self.tail + octets[-len(END):])[-len(END):]
        # The gate sends nothing behind the dot before it has its answer.
        if self.tail == END:
            self.in_data = False
            mark = self.head.partition(b"X-Mark: ")[2].partition(b"\r\n")[0].decode()
            self.stored.append((mark, self.octets))
            self.transport.write(b"250 stored\r\n")

"""Clients that pipeline for ever and read nothing."""

import contextlib
import select
import socket
import time

# The answer is ten times as long as the command, so that the buffers of both kernels are soon full.
COMMANDS = b"EHLO client.example.org\r\n" * 1000


def pester(port, count, seconds, watch):
    """Each pushes what it can for so long, or until it is cut off; `watch` is called ten times a second."""
    begun = time.monotonic()
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    octets, ended = 0, []
    open_ones = set(sockets)
    while open_ones and time.monotonic() - begun < seconds:
        _, writable, _ = select.select([], list(open_ones), [], 0.1)
        for one in writable:
            try:
                octets += one.send(COMMANDS, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                open_ones.discard(one)
                ended.append(round(time.monotonic() - begun, 1))
        watch()
    for one in sockets:
        with contextlib.suppress(OSError):
            one.close()
    return {"clients": count, "mib_taken": round(octets / 2**20, 1), "ended": len(ended),
            "first_end_seconds": min(ended, default=None), "last_end_seconds": max(ended, default=None)}

"""Ports on loopback, and who answers there."""

import contextlib
import os
import socket
import time


def free_port():
    """A port below those that the kernel gives to outgoing connections."""
    for port in range(20000 + os.getpid() * 7 % 10000, 32000):
        if port in free_port.given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            free_port.given.add(port)
            return port
    raise SystemExit("no free port")


free_port.given = set()


def greeting(port, process):
    """Waits until a server greets on the port."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as probe:
            if probe.recv(4) == b"220 ":
                probe.sendall(b"QUIT\r\n")
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing greets on port {port}")


def wait_until(what, is_so, seconds=20):
    """Asks again and again whether something is so; the benchmark ends when it never is."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain until {what}")
        time.sleep(0.02)


def listens(port):
    """Whether somebody takes connections there, greeting or not."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False

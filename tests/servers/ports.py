"""Free ports on loopback."""

from __future__ import annotations

import random
import socket


def free_port(*, also: int = 0) -> int:
    """Return a port on which nobody listens now; with `also`, the port that much above is free as well.

    The ports lie below the ephemeral ones, so that no outgoing connection takes one before the server does.
    """
    while True:
        port = random.randrange(12000, 22000)
        if _is_free(port) and (not also or _is_free(port + also)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

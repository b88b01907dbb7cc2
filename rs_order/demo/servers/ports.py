"""Free ports for private servers."""

import random
import socket

_LOWEST = 10_000
_HIGHEST = 32_000
"""Below the ports the kernel hands to outgoing connections (from 32768 on Linux).

A server that is stopped for a while must find its port free again. A port of the kernel's range
may be taken meanwhile by any outgoing connection, even by a client that retries the very port and
ends up connected to itself.
"""

_chooser = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Return distinct ports that nobody listens on, on any address.

    Somebody else may take one before we do: who starts a server with them must be ready to try
    others.

    Raises:
        OSError: no free port after many attempts.
    """
    ports: set[int] = set()
    for _ in range(100 * count):
        port = _chooser.randint(_LOWEST, _HIGHEST)
        if _is_free(port):
            ports.add(port)
        if len(ports) == count:
            return list(ports)
    raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))  # some programs try all addresses, even to listen on one
        except OSError:
            return False
        return True

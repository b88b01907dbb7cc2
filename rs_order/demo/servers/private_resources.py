"""What each private server has for itself: ports, a folder, and an account without privileges."""

import os
import pwd
import random
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

_LOWEST_PORT = 10_000
_HIGHEST_PORT = 32_000
"""Below the ports that the kernel gives to outgoing connections (from 32768 on Linux).

A server that is stopped for a while must find its port free again. An outgoing connection may take a
port of the kernel's range meanwhile: even that of a client which retries this very port, and so connects
to itself.
"""

_UNPRIVILEGED = "nobody"
_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is a folder of mkdtemp
_FREE_MEMORY = 4 * 1024**3
"""Bytes that must be free in memory, for the servers of several test processes."""

_random = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Return distinct ports that no program listens on, on any address.

    Another program may take one before the caller does. A caller that starts a server must be ready to
    try other ports.

    Raises:
        OSError: no free port after many attempts.
    """
    ports: set[int] = set()
    for _ in range(100 * count):
        port = _random.randint(_LOWEST_PORT, _HIGHEST_PORT)
        if _is_free(port):
            ports.add(port)
        if len(ports) == count:
            return list(ports)
    raise OSError(f"no {count} free ports between {_LOWEST_PORT} and {_HIGHEST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))  # some programs try all addresses, even to listen on one
        except OSError:
            return False
        return True


def unprivileged_account(preferred: str) -> str | None:
    """Return the account to run a server as if this process is root, otherwise None.

    PostgreSQL refuses to run as root, and no server of a demo needs to.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return preferred if preferred in known else _UNPRIVILEGED


def make_folder(
    server: str,
    account: str | None,
    files: Sequence[tuple[str, str]] = (),
    *,
    durable: bool = True,
) -> str:
    """Create a folder that only the account may read, with these files (name, text) in it.

    A folder that need not be durable is in memory, if enough memory is free. A database has some hundred
    files, a queue with priorities has as many, and tests make thousands of both.
    """
    folder = tempfile.mkdtemp(prefix=f"rs-order-{server}-", dir=None if durable else _in_memory())
    for name, text in files:
        path = Path(folder, name)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        _give_to(account, path)
    _give_to(account, Path(folder))
    return folder


def _in_memory() -> Path | None:
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _FREE_MEMORY:
        return _MEMORY
    return None


def _give_to(account: str | None, path: Path) -> None:
    if account is not None:
        shutil.chown(path, account, pwd.getpwnam(account).pw_gid)

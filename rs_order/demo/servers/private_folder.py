"""The folder and the account of a private server."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

_UNPRIVILEGED = "nobody"
_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is a folder of mkdtemp
_ROOM = 4 * 1024**3
"""Bytes that must be free in memory, for servers of several test processes."""


def unprivileged_account(preferred: str) -> str | None:
    """Return the account a server runs as when we are root, None when we aren't.

    PostgreSQL refuses root, and no server of a demo needs it.
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

    One that need not be durable is in memory, if there is room: a database is some hundred files and a
    queue with priorities as many, and tests make thousands of them.
    """
    folder = tempfile.mkdtemp(prefix=f"rs-order-{server}-", dir=None if durable else _in_memory())
    for name, text in files:
        path = Path(folder, name)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        _give(path, account)
    _give(Path(folder), account)
    return folder


def _in_memory() -> Path | None:
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM:
        return _MEMORY
    return None


def _give(path: Path, account: str | None) -> None:
    if account is not None:
        shutil.chown(path, account, pwd.getpwnam(account).pw_gid)

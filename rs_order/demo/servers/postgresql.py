"""A private PostgreSQL: initialised, configured and run in a folder of its own."""

import os
import secrets
import shutil
import signal
from pathlib import Path

from rs_order.demo.servers.commands import run
from rs_order.demo.servers.errors import ServerStartError
from rs_order.demo.servers.guard import Assignment
from rs_order.demo.servers.keepers import Guarded
from rs_order.demo.servers.ports import free_ports
from rs_order.demo.servers.private_folder import make_folder, unprivileged_account
from rs_order.demo.servers.programs import Programs
from rs_order.demo.servers.server import Database

USER = "rs_order"
DATABASE = "postgres"
"""The database every cluster has; callers create their own beside it."""

MAX_CONNECTIONS = 300

_STOP_LIMIT_SECONDS = 20.0

FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Tests survive the end of a server process, not the loss of power: what costs time is off."""


async def private_database(programs: Programs, *, durable: bool) -> Database:
    """Prepare a PostgreSQL of our own on a free port; it isn't started yet.

    Raises:
        ServerStartError: initdb failed.
    """
    account = unprivileged_account("postgres")
    password = secrets.token_hex(16)
    (port,) = free_ports(1)
    folder = make_folder("postgresql", account, [("password", password)], durable=durable)
    try:
        await _initialise(programs, folder, account)
        _forget_password(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Database(
        url=f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=disable",
        keeper=Guarded(_assignment(programs, folder, account, _settings(port, durable=durable))),
    )


async def _initialise(programs: Programs, folder: str, account: str | None) -> None:
    outcome = await run(
        programs.folder / "initdb",
        f"--pgdata={folder}/data",
        f"--username={USER}",
        f"--pwfile={folder}/password",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        folder=folder,
        account=account,
        environment=_environment(programs, folder),
    )
    if not outcome.succeeded:
        raise ServerStartError(f"initdb of PostgreSQL {programs.version} failed:\n{outcome.output}")


def _forget_password(folder: str) -> None:
    Path(folder, "password").unlink()


def _settings(port: int, *, durable: bool) -> dict[str, str]:
    common = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(MAX_CONNECTIONS),
    }
    return common if durable else common | FORGETFUL


def _assignment(
    programs: Programs, folder: str, account: str | None, settings: dict[str, str]
) -> Assignment:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Assignment(
        folder=folder,
        command=[str(programs.folder / "postgres"), "-D", f"{folder}/data", *options],
        helpers=[],
        environment=_environment(programs, folder),
        account=account,
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, a checkpoint is written
        discard_signal=signal.SIGQUIT,  # "immediate"; frees its shared memory, as SIGKILL wouldn't
        stop_limit_seconds=_STOP_LIMIT_SECONDS,
    )


def _environment(programs: Programs, folder: str) -> dict[str, str]:
    path = f"{programs.folder}:{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "HOME": folder, "LC_ALL": "C", "TZ": "UTC"}

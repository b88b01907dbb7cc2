"""A private PostgreSQL, which is initialised, configured and run in a folder of its own."""

import os
import secrets
import shutil
import signal
from pathlib import Path

from rs_order.demo.servers.database_and_broker import Database
from rs_order.demo.servers.errors import ServerStartError
from rs_order.demo.servers.handles import SupervisedServer
from rs_order.demo.servers.private_resources import free_ports, make_folder, unprivileged_account
from rs_order.demo.servers.programs import Programs, run
from rs_order.demo.servers.supervisor import ServerSpec

USER = "rs_order"
DATABASE = "postgres"
"""Every cluster has this database. Callers create their own beside it."""

MAX_CONNECTIONS = 300

_STOP_LIMIT_SECONDS = 20.0

WITHOUT_DURABILITY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For tests: data survives the end of a server process, but not the loss of power. This saves time."""


async def private_database(programs: Programs, *, durable: bool) -> Database:
    """Prepare a private PostgreSQL on a free port, without starting it.

    Raises:
        ServerStartError: initdb failed.
    """
    account = unprivileged_account("postgres")
    password = secrets.token_hex(16)
    (port,) = free_ports(1)
    folder = make_folder("postgresql", account, [("password", password)], durable=durable)
    try:
        await _initialise(programs, folder, account)
        _remove_password(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Database(
        url=f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=disable",
        handle=SupervisedServer(_spec(programs, folder, account, _settings(port, durable=durable))),
    )


async def _initialise(programs: Programs, folder: str, account: str | None) -> None:
    result = await run(
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
    if not result.succeeded:
        raise ServerStartError(f"initdb of PostgreSQL {programs.version} failed:\n{result.output}")


def _remove_password(folder: str) -> None:
    Path(folder, "password").unlink()


def _settings(port: int, *, durable: bool) -> dict[str, str]:
    common = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(MAX_CONNECTIONS),
    }
    return common if durable else common | WITHOUT_DURABILITY


def _spec(
    programs: Programs, folder: str, account: str | None, settings: dict[str, str]
) -> ServerSpec:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ServerSpec(
        folder=folder,
        command=[str(programs.folder / "postgres"), "-D", f"{folder}/data", *options],
        helpers=[],
        environment=_environment(programs, folder),
        account=account,
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, a checkpoint is written
        discard_signal=signal.SIGQUIT,  # "immediate": unlike SIGKILL, it frees the shared memory
        stop_limit_seconds=_STOP_LIMIT_SECONDS,
    )


def _environment(programs: Programs, folder: str) -> dict[str, str]:
    path = f"{programs.folder}:{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "HOME": folder, "LC_ALL": "C", "TZ": "UTC"}

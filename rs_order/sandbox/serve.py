"""The command ``rs-order sandbox``: a platform that listens until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.sandbox import (
    BUNDLED_ARCHIVE,
    DEFAULT_INSTANCE_VHOST,
    DEFAULT_PROJECT_HOST,
    DEFAULT_TENANTS,
    DEFAULT_VHOST,
    Sandbox,
)
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.sandbox.tokens import DEVELOPMENT_KEY

DEFAULT_PORT = 9100


async def serve(
    archive: Path = BUNDLED_ARCHIVE,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    amqp_url: str | None = None,
    vhost: str = DEFAULT_VHOST,
    instance_vhost: str = DEFAULT_INSTANCE_VHOST,
    tenants: Sequence[str] = DEFAULT_TENANTS,
    jwt_key: str = DEVELOPMENT_KEY,
    project_host: str = DEFAULT_PROJECT_HOST,
    faults: Faults | None = None,
    synthetic: Sequence[SyntheticDataset] = (),
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Says where it listens, then one line for each service with the variable of rs-order to set.

    Raises:
        ArchiveError: the archive can't be served.
        OSError: the address can't be bound.
        TimeoutError: the broker doesn't answer, or hasn't the virtual hosts.
    """
    async with Sandbox.running(
        archive,
        amqp_url=amqp_url,
        vhost=vhost,
        instance_vhost=instance_vhost,
        host=host,
        port=port,
        tenants=tenants,
        jwt_key=jwt_key,
        project_host=project_host,
        faults=faults,
        synthetic=synthetic,
    ) as sandbox:
        stopped = _stop_signal()
        for line in _greeting(sandbox, with_broker=amqp_url is not None):
            announce(line)
        await stopped.wait()


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _greeting(sandbox: Sandbox, *, with_broker: bool) -> list[str]:
    broker = "and on the broker" if with_broker else "without broker: nothing can be restored"
    return [
        f"Sandbox listens on {sandbox.url}, {broker}",
        *(f"RS_ORDER_{name}={url}" for name, url in sandbox.urls.items()),
        f"RS_ORDER_FILE_URL_FOLDERS={sandbox.executions.folder}",
        f"Faults and records: {sandbox.url}/sandbox/docs",
    ]

"""Start the simulated platform: inside a program (``running_sandbox``), or as a command (``serve``)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from rs_order.sandbox.catalog_stac import stac_router
from rs_order.sandbox.control import control_router
from rs_order.sandbox.control_platform import platform_control_router
from rs_order.sandbox.file_hosts import dam_router, external_router, storage_router
from rs_order.sandbox.gate import Gate
from rs_order.sandbox.http_server import listening
from rs_order.sandbox.query_matchers import QueryError
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY, failure
from rs_order.sandbox.simulated_admin import admin_instance_router, admin_router
from rs_order.sandbox.simulated_authentication import authentication_router
from rs_order.sandbox.simulated_catalog import catalog_router
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions
from rs_order.sandbox.simulated_processing import processing_router


def build_app(sandbox: Sandbox, jwt_key: str) -> ASGIApp:
    app = FastAPI(title="REGARDS sandbox", docs_url="/sandbox/docs", redoc_url=None)
    holdings, faults = sandbox.holdings, sandbox.faults
    routers = [
        catalog_router(holdings, faults, sandbox.directory),
        stac_router(holdings, faults, sandbox.directory),
        storage_router(holdings, sandbox.restores, sandbox.quotas, faults),
        dam_router(holdings, faults),
        processing_router(sandbox.processes, sandbox.executions, faults),
        admin_router(sandbox.directory, sandbox.roles),
        admin_instance_router(sandbox.projects, sandbox.mailbox, faults),
        authentication_router(sandbox.directory, sandbox.projects, jwt_key),
        external_router(holdings, faults),
        control_router(sandbox),
        platform_control_router(sandbox),
    ]
    for router in routers:
        # The framework's way to include a router builds each endpoint once more, with its models.
        app.router.routes.extend(router.routes)
    app.add_exception_handler(QueryError, _reject_query)
    app.add_exception_handler(RequestValidationError, _reject_body)
    app.add_exception_handler(HTTPException, _reject_route)
    return Gate(app, faults=faults, calls=sandbox.calls, tenants=sandbox.projects, jwt_key=jwt_key)


async def _reject_query(_request: Request, error: Exception) -> Response:
    """Answer 400 to a query that can't be parsed or has an unknown field (remote-services.md 2.5)."""
    return failure(400, str(error))


async def _reject_body(_request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    return failure(422, *(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in details))


async def _reject_route(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return failure(error.status_code, error.detail)


@contextlib.asynccontextmanager
async def running_sandbox(options: SandboxOptions | None = None) -> AsyncIterator[Sandbox]:
    """Run a platform that listens over HTTP, and on a broker if the options name one.

    Raises:
        ArchiveError: the archive can't be served.
        OSError: the address can't be bound.
        TimeoutError: the broker doesn't answer, or doesn't have the virtual hosts.
    """
    options = options or SandboxOptions()
    async with contextlib.AsyncExitStack() as stack:
        outputs = stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-processing-"))
        sandbox = Sandbox(options, processing_folder=Path(outputs))
        for dataset in options.synthetic:
            await sandbox.add_dataset(dataset)
        stack.push_async_callback(sandbox.executions.stop)
        broker = sandbox.connect_broker()
        if broker is not None:
            await stack.enter_async_context(broker.running())
            await broker.wait_until_up()
        app = build_app(sandbox, options.jwt_key)
        port = await stack.enter_async_context(listening(app, options.host, options.port))
        sandbox.url = f"http://{options.host}:{port}"
        await stack.enter_async_context(_in_background(sandbox.restores.run()))
        yield sandbox


async def serve(options: SandboxOptions, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM.

    Announces where it listens, then the variable of rs-order to set for each service.

    Raises:
        ArchiveError: the archive can't be served.
        OSError: the address can't be bound.
        TimeoutError: the broker doesn't answer, or doesn't have the virtual hosts.
    """
    async with running_sandbox(options) as sandbox:
        stopped = _stop_signal()
        for line in _addresses(sandbox, options):
            announce(line)
        await stopped.wait()


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless work during the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _key(key: str) -> list[str]:
    """Return the variable of the development key. A key of the operator's own isn't printed."""
    if key != DEVELOPMENT_KEY:
        return []
    return [
        "Its tokens are signed with the public development key. Never accept that key elsewhere:",
        f"RS_ORDER_JWT_KEY_HS512='{key}'",
    ]


def _addresses(sandbox: Sandbox, options: SandboxOptions) -> list[str]:
    broker = "and on the broker" if options.amqp_url else "without broker: nothing can be restored"
    return [
        f"Sandbox listens on {sandbox.url}, {broker}",
        *_key(options.jwt_key),
        *(f"RS_ORDER_{name}={url}" for name, url in sandbox.urls.items()),
        "RS_ORDER_EXTERNAL_ALLOWED_NETWORKS=127.0.0.0/8,::1",
        f"RS_ORDER_FILE_URL_FOLDERS={sandbox.executions.folder}",
        f"Faults and records: {sandbox.url}/sandbox/docs",
    ]

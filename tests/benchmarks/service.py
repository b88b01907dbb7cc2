"""Runs the service for a measurement, composed as in production except for the stubs.

``service_process`` starts this module in a process of its own.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx
import uvloop

from rs_order.app.serve import Role, collect_garbage_rarely, serve
from rs_order.logs import configure_logs
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.settings import Settings
from tests.benchmarks.children import Child, child_process, options_of_child, report
from tests.benchmarks.statements import observed_statements
from tests.benchmarks.stubs import StubCatalog, Stubs
from tests.support.polling import eventually
from tests.support.reused_broker import INSTANCE
from tests.support.servers import FreshBroker

STOP_SECONDS = 60


def settings_of(database_url: str, broker: FreshBroker, **settings: Any) -> dict[str, Any]:
    """Return the settings of a service on these servers; further ones have the names of ``Settings``.

    Several instances need different ``amqp_microservice_instance_identifier``s.
    """
    return {
        "database_url": database_url,
        "amqp_url": broker.url,
        "amqp_vhost": broker.vhost,
        "amqp_instance_vhost": broker.instance_vhost,
        "jwt_key_hs512": DEVELOPMENT_KEY,
        "http_host": "127.0.0.1",
        "http_port": 0,
        "amqp_microservice_instance_identifier": INSTANCE,
        **settings,
    }


@asynccontextmanager
async def running_service(
    database_url: str,
    broker: FreshBroker,
    *,
    stubs: Stubs | None = None,
    role: Role = Role.ALL,
    **settings: Any,
) -> AsyncIterator[str]:
    """Run the service in this process, and yield the URL of its REST API once its health is UP."""
    every = Settings(**settings_of(database_url, broker, **settings))
    async with _running(every, stubs or Stubs(), role) as url:
        yield url


@asynccontextmanager
async def _running(settings: Settings, stubs: Stubs, role: Role) -> AsyncIterator[str]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            settings,
            role,
            stop,
            on_ready=ready.set_result,
            open_clients=stubs.open_clients,
        )
    )
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        url = f"http://127.0.0.1:{ready.result()}"
        await until_up(url)
        yield url
    finally:
        stop.set()
        await asyncio.wait_for(serving, STOP_SECONDS)


async def until_up(url: str) -> None:
    """Wait until the health of the service is UP."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:

        async def is_up() -> bool:
            return (await client.get("/actuator/health")).status_code == httpx.codes.OK

        await eventually(is_up, "health UP", seconds=300)


@asynccontextmanager
async def service_process(
    database_url: str,
    broker: FreshBroker,
    *,
    catalog: StubCatalog | None = None,
    count_calls: bool = False,
    **settings: Any,
) -> AsyncIterator[Child]:
    """Run the service in a process of its own, which reports its URL. Its log is discarded.

    With ``count_calls``, which costs a little, ``Child.counts`` has the calls of the database.
    """
    options = {
        "settings": settings_of(database_url, broker, **settings),
        "catalog": vars(catalog or StubCatalog()),
        "count_calls": count_calls,
    }
    async with child_process(__name__, options) as child:
        yield child


async def _serve(options: dict[str, Any], descriptor: int) -> None:
    """Serve until SIGTERM; report the URL once the health is UP, and on SIGUSR1 the calls of the database."""
    stop, calls = asyncio.Event(), Calls()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: report(descriptor, json.dumps(vars(calls))))
    stubs = Stubs(StubCatalog(**options["catalog"]))
    observed = observed_statements(calls.note) if options["count_calls"] else nullcontext()
    with observed:
        async with _running(Settings(**options["settings"]), stubs, Role.ALL) as url:
            collect_garbage_rarely()
            report(descriptor, url)
            await stop.wait()


@dataclass
class Calls:
    """Counts the calls of the database."""

    round_trips: int = 0
    statements: int = 0
    """A call may have several statements."""
    transactions: int = 0

    def note(self, query: str) -> None:
        self.round_trips += 1
        self.transactions += query.startswith("begin")
        self.statements += len([part for part in query.split(";") if part.strip()])


if __name__ == "__main__":
    configure_logs("info", "json")
    uvloop.run(_serve(*options_of_child()))

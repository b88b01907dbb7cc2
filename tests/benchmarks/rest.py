"""REST: requests per second, and the time that the slowest hundredth takes, beside a bare FastAPI endpoint.

The floor is an endpoint that does one statement of as many rows, without token, rights or links. The
statement is a transaction by itself: that of ``basket add`` inserts or updates one row, and its commit is
durable (fsync), as those of the service are. Each server is a process of its own, and so is the client, which
keeps its connections. ``basket add`` adds a search to the basket of a user, of one user after the other. The
service reads the basket, and with it whether the project is in maintenance, searches the catalog, and writes
the change: two statements, and one durable commit.

The servers are limited by their event loops, so the rates follow the CPU time of a request. PostgreSQL takes
the other core: a change of a basket takes it nearly four times as long as the row of the floor. py-spy shows
what is left of *basket add*, which is missed. Both servers call the database twice, because the floor's pool
resets each session. The calls of the service take two fifths of its time: they send and read a basket of
several objects. A sixth is what the frame does for each request, such as the token, the log line and the
headers, and a sixth is the basket itself: to decide and represent the change. The rest is the event loop, the
parser of HTTP, the body, and the sending of the answer. None of these is more than an eighth. One call less
would need a write that doesn't know the basket, but the catalog counts its searches together.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import orjson

from rs_order.domain.ids import Tenant
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY, Identity, bearer
from tests.benchmarks.children import Child, child_process
from tests.benchmarks.http_load import Load, Requested, http_load
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import benchmark_servers
from tests.benchmarks.service import service_process
from tests.benchmarks.stubs import dataset_urn
from tests.support.large_orders import write_large_order

TENANT = Tenant("project1")
OWNER = "jane@example.org"
SCHEMA = f"order_{TENANT}"
CONNECTIONS = 8
TOKEN_SECONDS = 7200
LOWEST_RATIO = 0.5
HIGHEST_P99 = 3.0


@dataclass(frozen=True)
class Case:
    """Requests to the service, and to the endpoint that is their floor."""

    name: str
    requests: Sequence[Requested]
    floor: Sequence[Requested]


async def measure(quick: bool) -> Report:
    seconds = 0.2 if quick else 3.0
    loads: dict[str, list[Load]] = defaultdict(list)
    cpu_ms: dict[str, list[float]] = defaultdict(list)
    async with _running(orders=40, files=1000, users=50 if quick else 500) as (
        service,
        bare,
        cases,
        empty,
    ):

        def side(
            name: str, server: Child, requests: Sequence[Requested]
        ) -> Callable[[], Awaitable[float]]:
            async def measured() -> float:
                await empty()
                before = server.cpu_seconds()
                load = await http_load(
                    server.reported, requests, seconds=seconds, connections=CONNECTIONS
                )
                used = server.cpu_seconds() - before
                loads[name].append(load)
                cpu_ms[name].append(1000 * used / load.requests)
                return load.per_second

            return measured

        sides = {}
        for case in cases:
            sides[case.name] = side(case.name, service, case.requests)
            sides[_floor(case)] = side(_floor(case), bare, case.floor)
        if not quick:
            for warm_up in sides.values():
                await warm_up()
            loads.clear()
            cpu_ms.clear()
        rates = await interleaved(rounds_of(quick), sides)
    return _report(cases, rates, loads, cpu_ms)


def _floor(case: Case) -> str:
    return f"{case.name}, bare endpoint"


def _report(
    cases: Sequence[Case],
    rates: Mapping[str, tuple[float, ...]],
    loads: Mapping[str, list[Load]],
    cpu_ms: Mapping[str, list[float]],
) -> Report:
    figures: list[Figure] = []
    targets: list[Target] = []
    for case in cases:
        names = (case.name, _floor(case))
        rate = [Figure(name, "requests/s", rates[name]) for name in names]
        p99 = [
            Figure(f"{name}: p99", "ms", tuple(load.p99_ms for load in loads[name]))
            for name in names
        ]
        cpu = [Figure(f"{name}: CPU of the server", "ms", tuple(cpu_ms[name])) for name in names]
        figures += [*rate, *p99, *cpu]
        of_rates, of_p99 = _ratio(rate), _ratio(p99)
        targets += [
            Target(f"{case.name}: rate / floor", of_rates, LOWEST_RATIO, at_least=True),
            Target(f"{case.name}: p99 / floor", of_p99, HIGHEST_P99, at_least=False),
        ]
    return Report(figures, targets, notes=[f"{CONNECTIONS} connections, rate limits off"])


def _ratio(figures: Sequence[Figure]) -> float:
    service, floor = figures
    return service.median / floor.median


@asynccontextmanager
async def _running(
    *, orders: int, files: int, users: int
) -> AsyncIterator[tuple[Child, Child, list[Case], Callable[[], Awaitable[None]]]]:
    """Run both servers; yield them, the cases, and a function that empties the baskets."""
    async with (
        benchmark_servers() as servers,
        servers.database() as database_url,
        servers.broker() as broker,
        service_process(
            database_url, broker, tenants=[TENANT], user_requests_per_second=0
        ) as service,
        child_process(
            "tests.benchmarks.bare_endpoint", {"database_url": database_url, "schema": SCHEMA}
        ) as bare,
    ):
        connection = await asyncpg.connect(database_url, server_settings={"search_path": SCHEMA})
        try:
            order, task = await _write(connection, orders, files)

            async def empty() -> None:
                await connection.execute("delete from basket")

            yield service, bare, _cases(order, task, users), empty
        finally:
            await connection.close()


async def _write(connection: asyncpg.Connection, orders: int, files: int) -> tuple[int, int]:
    """Write orders with few files, then one with many; return its id and that of its dataset task."""
    for each in [1] * orders + [files]:
        order = await write_large_order(
            connection,
            owner=OWNER,
            status="DONE",
            sub_order_state="WAITING",
            state="available",
            sub_orders=1,
            each=each,
        )
    await connection.execute("vacuum analyze")
    return order, await connection.fetchval(
        "select id from dataset_task where order_id = $1", order
    )


def _cases(order: int, task: int, users: int) -> list[Case]:
    def get(path: str) -> list[Requested]:
        return [Requested(path, token=token_of(OWNER))]

    def bare(path: str) -> list[Requested]:
        return [Requested(path)]

    listed = f"/orders/{order}/dataset/{task}/files?page=0&size="
    people = [f"user{number}@example.org" for number in range(users)]
    return [
        Case("orders (20)", get("/user/orders?page=0&size=20"), bare("/orders/20")),
        Case("order by id", get(f"/user/orders/{order}"), bare("/orders/1")),
        Case("files (20)", get(f"{listed}20"), bare("/files/20")),
        Case("files (200)", get(f"{listed}200"), bare("/files/200")),
        Case(
            "basket add",
            [_addition(email) for email in people],
            [Requested("/basket", "POST", body=_json({"owner": email})) for email in people],
        ),
    ]


def _addition(email: str) -> Requested:
    body = {
        "engineType": "legacy",
        "datasetUrn": dataset_urn(TENANT),
        "searchParameters": {"q": ["7"]},
    }
    return Requested("/order/basket/selection", "POST", token_of(email), _json(body))


def _json(value: object) -> str:
    return orjson.dumps(value).decode("ascii")


def token_of(email: str, role: str = "REGISTERED_USER") -> str:
    """Return the token of a user of the tenant."""
    return bearer(
        Identity(TENANT, role, email),
        DEVELOPMENT_KEY,
        expires_at=int(time.time()) + TOKEN_SECONDS,
    )

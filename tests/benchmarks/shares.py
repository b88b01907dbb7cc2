"""Share the capacity of the service: who gets how much of it while all wait (waiting.md T5, T6).

The use cases are those of the service, over the real store. Storage and time are simulated: a restore takes
one to five minutes, and sixteen of them run at a time. 50 users wait; one has ordered a thousand times as
much as each of the others, and before them. In the middle of the hour another user comes with one sub-order.
Jain's index is that of the bytes that storage was asked for. The same hour in the order of ranks is beside
it. A second hour has three users with the weights 1, 2 and 4. The last figures are the times to choose who
starts next when a sub-order releases its capacity, of 100 waiting users of each of 1,000 tenants, and of a
hundredth of them, measured in turn. The statements read no files, so there are none.
"""

import heapq
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import asyncpg
import orjson

from rs_order.app.application import Application, compose_application
from rs_order.app.database import open_database
from rs_order.app.shared_parts import SharedParts
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.ids import Checksum, SubOrderId, Tenant
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.settings import Settings
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import open_pool, tenant_schema
from rs_order.store.unit_of_work import Store
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.stubs import Stubs
from tests.support.clock import NOW, ManualClock

TENANT = Tenant("tenant1")
CAPACITY = 16
RESTORE_SECONDS = (60.0, 300.0)
LARGE, NEWCOMER = "user1", "newcomer"
FAIREST, CHOICE_MS, CHOICE_RATIO = 0.95, 10.0, 2.0
_USER = """
with ordered as (
    insert into orders (owner, role, label, correlation_id, status, sub_order_hours, sub_orders,
        pending_files, pending_bytes)
    values ($1::text, 'REGISTERED_USER', 'label', $1::text, 'RUNNING', 24, $2::integer, $2::integer,
        $2::integer * $3::bigint)
    returning id
), task as (
    insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, files_count, files_bytes)
    select id, 'URN:AIP:DATASET:x:0:V1', 'dataset', $2::integer, $2::integer, $2::integer * $3::bigint
    from ordered
    returning id, order_id
), batch as (
    insert into sub_order (order_id, dataset_task_id, owner, kind, state, rank, pending_files, pending_bytes)
    select order_id, id, $1::text, 'STORAGE', 'READY', $4::timestamptz + number * interval '1 second', 1,
        $3::bigint
    from task, generate_series(1, $2::integer) number
    returning id, order_id, dataset_task_id
)
insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn, product_version,
    data_type, name, url, external, online, size, checksum, state)
select order_id, id, dataset_task_id, gen_random_uuid(), 'URN:AIP:DATA:x:1:V1', 1, 'RAWDATA', 'f' || id,
    'http://x/' || id, false, false, $3::bigint, 'c' || id, 'PENDING'
from batch
"""
_STARTED = """
select id, owner, pending_bytes from sub_order where state = 'RUNNING' and id <> all ($1::bigint[])
"""
_STEPS = """
delete from rs_order.outbox where kind = 'STEP' and body::json ->> 'step' = 'schedule' returning body
"""
_QUEUE = """
insert into rs_order.tenant (name) select 't' || n from generate_series(1, $1) n;
insert into rs_order.share (tenant, owner, used_bytes, used_at)
select 't' || n, '', 1e9 * (1 + random()), now() from generate_series(1, $1) n;
insert into rs_order.share (tenant, owner, used_bytes, used_at)
select 't' || n, 'u' || u, 1e8 * (1 + random()), now()
from generate_series(1, $1) n, generate_series(1, 100) u;
set session_replication_role = replica;  -- the triggers count one by one; here all is counted at the end
insert into rs_order.waiting_user (tenant, owner, rank, role)
select 't' || n, 'u' || u, now() - random() * interval '1 day', 'REGISTERED_USER'
from generate_series(1, $1) n, generate_series(1, 100) u;
insert into rs_order.running_sub_order (tenant, owner, sub_order_id)
select 't' || n, 'u1', n from generate_series(1, $1) n;
reset session_replication_role;
select rs_order.count_claims();
vacuum analyze
"""


@dataclass
class Hour:
    """What happened in an hour of simulated time."""

    bytes_of: Counter[str] = field(default_factory=Counter)
    """Asked of storage, by user."""
    starts: list[str] = field(default_factory=list)
    """Owners, in the order in which their sub-orders started."""
    releases: list[int] = field(default_factory=list)
    """The number of starts before each release."""

    def releases_before(self, owner: str, since: int) -> int:
        """Return how many releases an owner waited for, who came after so many starts."""
        start = self.starts.index(owner)
        return sum(since <= starts <= start for starts in self.releases)


def jain(values: list[float]) -> float:
    """Return Jain's index of fairness: 1 if all are equal, 1/n if one has all."""
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


async def measure(quick: bool) -> Report:
    """Play the hours, and measure the choice."""
    minutes, users = (3, 4) if quick else (60, 50)
    each, more = (3, 10) if quick else (30, 1000)
    owners = {f"user{number}": (1 + number % 5) * 10**8 for number in range(1, users + 1)}
    async with benchmark_servers() as servers:
        async with _simulated(servers) as storage:
            for owner, size in owners.items():
                await storage.add(owner, each * (more if owner == LARGE else 1), size)
            fair = await storage.play(minutes / 2)
            since = len(fair.starts)
            await storage.add(NEWCOMER, 1, 10**8)
            fair = await storage.play(minutes / 2)
        weights = {"one": 1.0, "two": 2.0, "four": 4.0}
        async with _simulated(servers) as storage:
            for owner, weight in weights.items():
                await storage.add(owner, each * more // 30, 10**8)
                await storage.weigh(owner, weight)
            weighted = await storage.play(minutes)
        sizes = (20, 2) if quick else (1000, 10)
        many, few = await _choices(servers, *sizes, times=20 if quick else 1000)
    demand = {owner: each * (more if owner == LARGE else 1) for owner in owners}
    by_rank = _in_order_of_ranks(owners, demand, len(fair.starts))
    return _report(_Hours(owners, fair, since, by_rank, weighted, weights), many, few)


@dataclass(frozen=True)
class _Hours:
    """The hours that were played."""

    owners: Mapping[str, int]
    fair: Hour
    since: int
    """Starts before the newcomer came."""
    by_rank: Counter[str]
    weighted: Hour
    weights: Mapping[str, float]


class _Storage:
    """Plays storage and time: the service runs its steps, and each restore ends after its time."""

    def __init__(
        self, application: Application, clock: ManualClock, connection: asyncpg.Connection
    ) -> None:
        self._application = application
        self._clock = clock
        self._connection = connection
        self._random = random.Random(1)  # noqa: S311 - a simulation
        self._ends: list[tuple[datetime, int]] = []
        self._known: list[int] = []
        self._hour = Hour()

    async def add(self, owner: str, sub_orders: int, size: int) -> None:
        """Add an order with sub-orders of one file of this size, and schedule its owner."""
        await self._connection.execute(_USER, owner, sub_orders, size, self._clock.now())
        await self._schedule(owner)
        await self._settle_steps()

    async def weigh(self, owner: str, weight: float) -> None:
        await self._connection.execute(
            "insert into rs_order.share (tenant, owner, weight, used_at) values ($1, $2, $3, $4)"
            " on conflict (tenant, owner) do update set weight = excluded.weight",
            TENANT,
            owner,
            weight,
            self._clock.now(),
        )

    async def play(self, minutes: float) -> Hour:
        """Let so many minutes pass, and return what happened so far."""
        until = self._clock.now() + timedelta(minutes=minutes)
        while self._ends and self._ends[0][0] <= until:
            at, sub_order = heapq.heappop(self._ends)
            self._clock.set(at)
            self._hour.releases.append(len(self._hour.starts))
            await self._application.scheduling.availability.handle(
                TENANT, [Checksum(f"c{sub_order}")], {}
            )
            await self._settle_steps()
        self._clock.set(until)
        return self._hour

    async def _settle_steps(self) -> None:
        """Run the steps that are written, until none is left; then note what started."""
        while rows := await self._connection.fetch(_STEPS):
            for row in rows:
                await self._schedule(orjson.loads(row["body"])["owner"])
        for row in await self._connection.fetch(_STARTED, self._known):
            self._known.append(row["id"])
            self._hour.starts.append(row["owner"])
            self._hour.bytes_of[row["owner"]] += row["pending_bytes"]
            seconds = self._random.uniform(*RESTORE_SECONDS)
            heapq.heappush(self._ends, (self._clock.now() + timedelta(seconds=seconds), row["id"]))

    async def _schedule(self, owner: str) -> None:
        await self._application.scheduling.schedule.handle(TENANT, ScheduleStep(owner))


@asynccontextmanager
async def _simulated(servers: BenchmarkServers) -> AsyncIterator[_Storage]:
    """Yield simulated storage for an empty tenant."""
    clock = ManualClock(NOW)
    async with servers.database() as url:
        settings = Settings(
            jwt_key_hs512=DEVELOPMENT_KEY,
            database_url=url,
            tenants=[TENANT],
            jobs_pool_size=CAPACITY,
            max_storage_files_jobs_per_user=0,
        )
        async with (
            open_database(settings) as database,
            Stubs().open_clients(settings, database.tenants, []) as clients,
        ):
            simulated = replace(database, clock=clock)
            shared = SharedParts.of(settings, simulated, clients, lambda _: None)
            connection = await asyncpg.connect(url)
            try:
                await connection.execute(f"set search_path to {tenant_schema(TENANT)}")
                yield _Storage(compose_application(shared), clock, connection)
            finally:
                await connection.close()


def _in_order_of_ranks(
    owners: Mapping[str, int], demand: Mapping[str, int], starts: int
) -> Counter[str]:
    """Return the bytes by user if the first sub-orders of one queue started, in the order of their ranks."""
    bytes_of: Counter[str] = Counter(dict.fromkeys(owners, 0))
    queue = [owner for owner in owners for _ in range(demand[owner])]
    for owner in queue[:starts]:
        bytes_of[owner] += owners[owner]
    return bytes_of


async def _choices(
    servers: BenchmarkServers, many: int, few: int, *, times: int
) -> tuple[list[float], list[float]]:
    """Return the times in ms to choose who starts next, with 100 waiting users of each tenant.

    They are measured in turn, with ``many`` tenants and with ``few``.
    """
    async with _waiting(servers, many) as of_many, _waiting(servers, few) as of_few:
        pairs = [(await _choice(of_many), await _choice(of_few)) for _ in range(times)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@asynccontextmanager
async def _waiting(servers: BenchmarkServers, tenants: int) -> AsyncIterator[Store]:
    """Yield a store in which 100 users of each tenant wait."""
    async with servers.database() as url, await open_pool(url, size=1) as pool:
        await migrate_platform(pool)
        connection = await asyncpg.connect(url)
        try:
            for statement in _QUEUE.replace("$1", str(tenants)).split(";\n"):
                await connection.execute(statement)
        finally:
            await connection.close()
        yield Store(pool, lambda _: None)


async def _choice(store: Store) -> float:
    """Return the time in ms until the capacity of a sub-order is promised again. It is undone."""
    async with store.preview(Tenant("t1")) as uow:
        began = time.perf_counter()
        await uow.capacity.lock()
        await uow.capacity.release([SubOrderId(1)])
        await uow.capacity.claims("")
        await uow.capacity.next_waiters(1)
        return 1000 * (time.perf_counter() - began)


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]


def _report(hours: _Hours, many: list[float], few: list[float]) -> Report:
    given = [float(hours.fair.bytes_of[owner]) for owner in hours.owners]
    queued = [float(hours.by_rank[owner]) for owner in hours.owners]
    waited = hours.fair.releases_before(NEWCOMER, hours.since)
    total_weight = sum(hours.weights.values())
    total = sum(hours.weighted.bytes_of.values())
    off = max(
        abs(hours.weighted.bytes_of[owner] / total * total_weight / weight - 1)
        for owner, weight in hours.weights.items()
    )
    return Report(
        figures=[
            Figure("Jain's index, shares", "", (jain(given),)),
            Figure("Jain's index, in the order of ranks", "", (jain(queued),)),
            Figure("releases before the newcomer started", "", (float(waited),)),
            Figure("largest distance from the weights", "", (off,)),
            Figure("p50 of the choice, 100,000 waiting users", "ms", (statistics.median(many),)),
            Figure("p50 of the choice, 1,000 waiting users", "ms", (statistics.median(few),)),
        ],
        targets=[
            Target("Jain's index", jain(given), FAIREST, at_least=True),
            Target("releases before a newcomer starts", waited, 2, at_least=False),
            Target("largest distance from weights 1, 2, 4", off, 0.1, at_least=False),
            Target("p99 of the choice in ms", _p99(many), CHOICE_MS, at_least=False),
            Target(
                "p99 over that of a hundredth",
                _p99(many) / _p99(few),
                CHOICE_RATIO,
                at_least=False,
            ),
        ],
        curves=[
            _curve("Bytes of the users, with shares", given),
            _curve("Bytes of the users, in the order of ranks", queued),
        ],
        notes=[
            f"{len(hours.fair.starts)} sub-orders of {len(hours.owners)} users started in the hour",
            "Sub-orders have 100 to 500 MB, by user. In the plots, a user without bytes has 1 MB.",
        ],
    )


def _curve(title: str, values: list[float]) -> Curve:
    points = enumerate(sorted((max(value / 1e9, 0.001) for value in values), reverse=True), 1)
    return Curve(title, "users, the largest first", "GB", tuple((float(x), y) for x, y in points))

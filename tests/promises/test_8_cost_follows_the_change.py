"""Promise 8: cost follows the change. The tests count statements and examine query plans."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from rs_order.app.clock import SystemClock
from rs_order.contracts.order_messages import OrderRequest
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import Checksum, DatasetTaskId, OrderId, Tenant
from rs_order.domain.states import FileState, SubOrderState
from rs_order.requests.accept import AcceptRequests, ArrivedRequest
from rs_order.scheduling.restoration import ApplyAvailability
from rs_order.store.file_views import FileViews
from rs_order.store.lists import Listed, SortBy
from rs_order.store.migrate import migrate_platform
from rs_order.store.order_views import OrderProperty, OrderSearch, OrderViews
from rs_order.store.pool import Connection, Pool, open_pool, statements
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.support.counting import counted
from tests.support.rows import OWNER, TenantRows, in_tenant, use_tenant
from tests.support.servers import fresh_database
from tests.support.stores import MigratedDatabases

TENANT = Tenant("project1")
FEW_STATEMENTS = 12
MANY_FILES = 10_000


@pytest.fixture
async def pool(migrated_databases: MigratedDatabases) -> AsyncIterator[Pool]:
    """A pool of one connection, so that its logger sees every statement."""
    async with migrated_databases.pool(TENANT, size=1) as (opened, _):
        yield opened


@pytest.fixture
def rows(pool: Pool) -> TenantRows:
    return TenantRows(pool, TENANT)


def accept(pool: Pool) -> AcceptRequests:
    return AcceptRequests(Store(pool, lambda _: None), SystemClock())


def availability(pool: Pool) -> ApplyAvailability:
    links = Links(None, Tenants(pool), prefix="/api/v1", fallback="http://localhost")
    store = Store(pool, lambda _: None)
    return ApplyAvailability(store, Settlement(SlotLimits(), links), SystemClock())


def requests(count: int) -> list[ArrivedRequest]:
    return [
        ArrivedRequest(
            OrderRequest.model_validate(
                {"correlationId": f"c-{number}", "queries": ["*"], "user": OWNER}
            )
        )
        for number in range(count)
    ]


async def test_promise_8_cost_of_accepting_1000_requests_is_a_handful_of_statements(
    pool: Pool,
) -> None:
    """1,000 requests take as many statements as one."""
    await accept(pool).handle(
        TENANT, requests(1)
    )  # lets the driver read the types of the connection
    async with counted(pool) as for_one:
        await accept(pool).handle(TENANT, requests(2)[1:])
    async with counted(pool) as for_many:
        await accept(pool).handle(TENANT, requests(1002)[2:])

    assert len(for_many) == len(for_one) <= FEW_STATEMENTS
    assert await pool.fetchval("select count(*) from order_project1.order_request") == 1002


@pytest.mark.parametrize("events", [1, 1000], ids=["one event", "a batch of events"])
async def test_w32_promise_8_cost_of_an_event_does_not_follow_the_size_of_the_order(
    events: int, pool: Pool, rows: TenantRows
) -> None:
    """The same statements for 2,000 files as for 10,000; the first order only warms the connection."""
    counts = []
    for size in (1001, 2000, MANY_FILES):
        order = await rows.order()
        names = {f"{size}-{number}": FileState.PENDING for number in range(size)}
        await rows.sub_order(order, names)
        checksums = [Checksum(name) for name in list(names)[:events]]
        async with counted(pool) as queries:
            await availability(pool).handle(TENANT, checksums, {})
        counts.append(len(queries))

        assert (
            await pool.fetchval(
                "select available_files from order_project1.orders where id = $1", order
            )
            == events
        )

    assert counts[1] == counts[2] <= FEW_STATEMENTS


async def test_promise_8_cost_of_an_irrelevant_event_is_one_look_up(pool: Pool) -> None:
    """Storage publishes an event for every file that it stores, ordered or not."""
    async with counted(pool) as queries:
        await availability(pool).handle(TENANT, [Checksum("unknown")] * 1000, {})

    assert len([query for query in queries if "data_file" in query]) == 1
    assert len(queries) <= 5


@pytest.mark.parametrize("listed", ["own orders", "a search", "files", "available files"])
async def test_w32_promise_8_cost_of_a_page_does_not_follow_its_size(
    listed: str, pool: Pool, rows: TenantRows
) -> None:
    """The same statements for 1, 20 and 200 items; the first page only warms the connection."""
    (order, *_) = [await rows.order() for _ in range(200)]
    available = {f"c-{number}": FileState.AVAILABLE for number in range(200)}
    await rows.sub_order(order, available, state=SubOrderState.WAITING)
    counts, sizes = [], []
    for size in (1, 1, 20, 200):
        async with counted(pool) as queries:
            shown = await page_of(pool, listed, order, size)
        counts.append(len(queries))
        sizes.append((shown.total, len(shown.items)))

    assert sizes == [(200, 1), (200, 1), (200, 20), (200, 200)]
    assert len(set(counts[1:])) == 1
    assert counts[1] <= FEW_STATEMENTS


async def page_of(pool: Pool, listed: str, order: OrderId, size: int) -> Listed[Any]:
    orders, files = OrderViews(pool), FileViews(pool)
    match listed:
        case "own orders":
            return await orders.of_owner(TENANT, OWNER, limit=size, offset=0)
        case "a search":
            by_percent = [SortBy(OrderProperty.PERCENT_COMPLETED)]
            return await orders.search(TENANT, OrderSearch(), by_percent, limit=size, offset=0)
        case "files":
            task = DatasetTaskId(await pool.fetchval("select id from order_project1.dataset_task"))
            found = await files.of_dataset(TENANT, order, task, limit=size, offset=0)
            assert found is not None
            assert found.files is not None
            return found.files
    return await files.available(TENANT, order, None, [], limit=size, offset=0)


ORDERS, FILES_EACH = 2000, 25
BIG_TABLES = frozenset(
    {
        "data_file",
        "listed_product",
        "product_list",
        "sub_order",
        "orders",
        "outbox",
        "completion",
        "order_request",
        "process_input",
        "process_batch",
        "joined_file",
        "dataset_task",
        "basket",
        "mail",
        "keyed_request",
        "quote",
        "event",
        "delivery",
        "capacity_claim",
        "running_sub_order",
        "share",
        "tenant",
        "waiting_user",
    }
)

_FILL = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, pending_files, sub_orders,
    available_files, available_at)
select 'user' || n % 200, 'REGISTERED_USER', 'label ' || n, 'c-' || n, 'RUNNING', 2, 25, 1, 1,
       now() - n * interval '1 minute'
from generate_series(1, {orders}) n;
insert into mail (kind, owner, order_id) select 'ORDER_CREATED', owner, id from orders;
insert into mail (kind, owner, available_before) select 'REMINDER', 'user' || n, now()
from generate_series(1, 200) n;
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)
select id, 'urn', 'label', 1 from orders;
insert into completion (order_id) select id from orders;
insert into basket (owner, order_id) select owner, id from orders;
insert into basket (owner) select distinct owner from orders;
insert into dataset_selection (basket_id, dataset_urn, dataset_label, products_count, files_count,
    files_bytes, type_totals)
select id, 'urn', 'label', 1, 1, 1, '{{}}' from basket where order_id is null;
insert into dated_selection (dataset_selection_id, selection_date, position, request, products_count,
    type_totals)
select id, now() - n * interval '1 day', n, '{{}}', 1, '{{}}'
from dataset_selection, generate_series(1, 50) n;
insert into sub_order (order_id, dataset_task_id, owner, kind, state, rank, pending_files, available_files)
select orders.id, dataset_task.id, owner, 'STORAGE',
       (array['READY', 'RUNNING', 'WAITING'])[1 + orders.id % 3], orders.created_at,
       case when orders.id % 3 < 2 then 25 else 0 end, case when orders.id % 3 = 2 then 25 else 0 end
from orders join dataset_task on dataset_task.order_id = orders.id;
insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn, product_version,
    data_type, name, url, external, online, size, checksum, state)
select order_id, id, dataset_task_id, gen_random_uuid(), 'urn', 1, 'RAWDATA', 'f' || n, 'http://x', false,
       false, 10, md5(id || '/' || n), case when state = 'WAITING' then 'AVAILABLE' else 'PENDING' end
from sub_order, generate_series(1, {files}) n;
insert into product_list (order_id, last_file) select order_id, max(id) from data_file group by order_id;
insert into listed_product (order_id, key, product_urn, product_id, files)
select order_id, hashtextextended(name, 0), name, 'p', array[id] from data_file;
insert into process_input (order_id, sub_order_id, dataset_task_id, identity, product_urn, product_version,
    data_type, key, name, url, external, online, size, checksum, state)
select order_id, id, dataset_task_id, gen_random_uuid(), 'urn', 1, 'RAWDATA', 'f' || n, 'f' || n, 'http://x',
       false, false, 10, md5(id || '/' || n), case when state = 'WAITING' then 'AVAILABLE' else 'PENDING' end
from sub_order, generate_series(1, {files}) n;
insert into process_batch (sub_order_id, order_id, correlation_id)
select id, order_id, 'order-' || order_id || '_dsSel-1_subOrder-1' from sub_order;
insert into quote (owner, role, created_at, updated_at, state, failure)
select 'user' || n % 200, 'r', now() - n * interval '1 minute', now(), state,
       case when state = 'failed' then 'quote-not-made' end
from generate_series(1, {orders}) n, lateral (
    select case when n % 500 = 0 then 'at-work' else 'failed' end as state) one;
insert into event (position, event_id, order_id, ordinal, owner, type, body, created_at)
select n, gen_random_uuid(), n, 1, 'user' || n % 200, 'order.done', '{{}}', now()
from generate_series(1, 20000) n;
insert into subscription (owner, scope, position, created_at)
select 'user' || n % 200, 'mine', n, now() from generate_series(1, 500) n;
insert into webhook (subscription_id, url, mode, secret, state, position, behind)
select id, 'https://hooks.example.org/' || position, 'structured', '', 'active', position, false
from subscription;
insert into delivery (subscription_id, position, order_id, state, due_at)
select subscription_id, n, n / 5, case when n % 50 > 1 then 'delivered' else 'waiting' end,
       case when n % 50 = 0 then now() end
from webhook, generate_series(1, 200) n;
insert into keyed_request (owner, endpoint, key, fingerprint, created_at, claimed_at, status, headers, body)
select 'user' || n % 200, 'POST /user/orders', 'key ' || n, '', now() - n * interval '1 minute', now(), 201,
       '{{}}', ''
from generate_series(1, {orders}) n;
insert into joined_file (sub_order_id, checksum, asked_by, asks_longer)
select id, md5(id || '/' || n), id + 1, false from sub_order, generate_series(1, {files}) n;
insert into order_request (correlation_id, fingerprint, body)
select 'c-' || n, int4send(n), '{{}}' from generate_series(1, {orders}) n;
insert into rs_order.outbox (partition, kind, tenant, stream, body, message_id, due_at)
select n % 16, 'STEP', 'project1', case when n % 2 = 0 then 's' || n end, '{{}}', gen_random_uuid(),
       case when n % 2 = 1 then now() + n * interval '1 minute' end
from generate_series(1, 20000) n;
insert into rs_order.tenant (name) select 't' || n from generate_series(1, 1000) n;
insert into rs_order.share (tenant, owner, used_bytes, used_at)
select 't' || n, owner, 1e9 * n, now() from generate_series(1, 1000) n, unnest(array['', 'user1']) owner;
set session_replication_role = replica;  -- the claims are counted at the end
insert into rs_order.waiting_user (tenant, owner, rank, role)
select 't' || n, 'user' || u, now() - n * interval '1 minute', 'REGISTERED_USER'
from generate_series(1, 1000) n, generate_series(1, 10) u;
insert into rs_order.running_sub_order (tenant, owner, sub_order_id)
select 't' || n, 'user1', n from generate_series(1, 1000) n;
reset session_replication_role;
select rs_order.count_claims();
analyze
"""


@pytest.fixture(scope="module")
async def filled_url(servers: Any, _database_admin: asyncpg.Connection) -> AsyncIterator[str]:
    """A database with so many rows that the planner chooses indexes."""
    async with fresh_database(_database_admin, servers.database_url) as url:
        async with await open_pool(url, size=1) as pool:
            await migrate_platform(pool)
            await Tenants(pool).add(TENANT)
            async with in_tenant(pool, TENANT) as connection:
                await connection.execute(_FILL.format(orders=ORDERS, files=FILES_EACH))
        yield url


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


WEBHOOK = "5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"
HOT: list[tuple[str, str, tuple[Any, ...]]] = [
    (
        "files",
        "settle_by_checksum",
        ([1, 2, 3], ["a" * 32, "b" * 32], ["c" * 32], ["broken"], ["c" * 32], [4]),
    ),
    ("recalls", "pending", ([1, 2], True)),
    ("recalls", "shared", (["a" * 32, "b" * 32], [1, 2], False)),
    ("recalls", "joined", (["a" * 32, "b" * 32], [1, 2])),
    ("recalls", "leave", (1, ["a" * 32])),
    ("recalls", "forget", ([1, 2], ["a" * 32, "b" * 32])),
    ("files", "available_files", (2, 0, 100)),
    ("files", "files_of_order", (2, 0, 100)),
    (
        "files",
        "record_downloads",
        (
            *(2, [51, 52], [False, True], ["null", "broken"], [True, False]),
            *("jane", datetime.now(UTC), [7, "null"], ["ab", "null"]),
        ),
    ),
    ("files", "order_to_download", (2,)),
    ("files", "file_to_download", (51,)),
    ("files", "add_sent", (51, 0, 10)),
    ("orders", "awaiting", (["a" * 32, "b" * 32],)),
    ("orders", "lock", ([1, 2],)),
    ("orders", "labels_taken", (["user1"], ["label 1"])),
    ("sub_orders", "load", ([1, 2],)),
    ("sub_orders", "owner_queue", ("user1", 3, 100, True, "project1")),
    ("capacity", "claims", ("t1", "user1")),
    ("capacity", "next_waiters", (3,)),
    ("capacity", "wake", (["t1", "t2"], ["user1", "user2"])),
    ("capacity", "wait", ("t1", "user1", datetime.now(UTC), "REGISTERED_USER", 1, 10)),
    ("capacity", "leave", ("t1", "user1")),
    ("capacity", "release", ("t1", [1, 2])),
    ("completions", "known_files", (1, ["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"])),
    ("processing", "known_inputs", (1, ["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"])),
    ("processing", "inputs", (1,)),
    (
        "processing",
        "settle_inputs",
        ([1, 2, 3], ["a" * 32, "b" * 32], ["c" * 32], ["broken"], ["c" * 32], [4]),
    ),
    ("processing", "without_pending_inputs", ([1, 2],)),
    ("processing", "count_pending_inputs", ([1, 2],)),
    ("processing", "work", (1,)),
    ("processing", "of_correlation_id", ("order-1_dsSel-1_subOrder-1",)),
    ("processing", "awaited_outputs", (1,)),
    ("sub_orders", "complete_at_once", (2, 0, 1000)),
    ("sub_orders", "count_extending", ([2, 3], [0, 0])),
    ("sub_orders", "stop", (2, 1000)),
    ("sub_orders", "release", ([1, 2], 1000)),
    ("sub_orders", "delete_slice", (2, 5000)),
    ("files", "delete_slice", (2, 5000)),
    ("orders", "owner", (2,)),
    ("orders", "filling", ([1, 2],)),
    ("orders", "has_process", (2,)),
    ("orders", "remove", (2,)),
    ("orders", "copy_selections", (2, 3)),
    (
        "keyed_requests",
        "claim",
        ("user1", "POST /user/orders", "key 1", "", datetime.now(UTC), datetime.now(UTC)),
    ),
    ("keyed_requests", "find", ("user1", "POST /user/orders", "key 1")),
    ("keyed_requests", "finish", (1, 1, 201, "{}", "", 1)),
    ("keyed_requests", "release", (1, 1)),
    ("keyed_requests", "purge", (datetime.now(UTC), 5000)),
    ("quotes", "limits", ("user1", datetime.now(UTC))),
    ("quotes", "find", (2,)),
    ("quotes", "awaited", (["a" * 32, "b" * 32],)),
    ("quotes", "situation", ("user1", "project1")),
    ("quotes", "stalled", (datetime.now(UTC), 0, 500, datetime.now(UTC))),
    ("quotes", "purge", (datetime.now(UTC), 5000)),
    ("events", "unnumbered", (500,)),
    ("events", "state", (datetime.now(UTC),)),
    ("events", "page", (100, ["order.done"], 100, 5000)),
    ("events", "page_of_owner", (100, None, 100, 100, "user1")),
    ("events", "page_of_order", (100, None, 100, 100, "user1", 2)),
    ("events", "purge", (datetime.now(UTC), 5000)),
    ("timed_events", "due", (datetime.now(UTC), 200)),
    ("timed_events", "last_checks", ([1, 2], datetime.now(UTC))),
    ("timed_events", "failed_files", ([1, 2], 100)),
    ("stac", "orders", ([1, 2],)),
    ("stac", "reusable", ("user1", "", datetime.now(UTC))),
    ("stac", "of_owner", ("user1", datetime.now(UTC), 7, 100)),
    ("stac", "with_products", ("user1", None, datetime.now(UTC), 7, 100)),
    ("stac", "products", ([1, 2], -5, 100)),
    ("stac", "named_products", ([1, 2], -5, ["URN:1", "URN:2"], ["P1", "P2"], 100)),
    ("stac", "files", ([1, 2], [7, 8])),
    ("stac", "names", (2, 5000)),
    ("product_lists", "incomplete", ([1, 2],)),
    ("product_lists", "lock_order", (2,)),
    ("product_lists", "lock", (2,)),
    ("product_lists", "add_slice", (2, 51, 1000, 1001)),
    ("product_lists", "delete_slice", (2, 1000)),
    ("archives", "delivered", (2, 0, 1000)),
    ("archives", "repeated_names", (2,)),
    ("subscriptions", "find", (WEBHOOK,)),
    ("subscriptions", "acknowledge", (WEBHOOK, 7)),
    ("webhooks", "look", (datetime.now(UTC), datetime.now(UTC))),
    ("webhooks", "lock_wanting", (100, 105)),
    ("webhooks", "fan_out", (100, 105, [WEBHOOK], datetime.now(UTC))),
    ("webhooks", "catch_up", (WEBHOOK, 105, datetime.now(UTC))),
    ("webhooks", "due_deliveries", ([WEBHOOK], [4], datetime.now(UTC))),
    (
        "webhooks",
        "settle",
        (
            *([WEBHOOK], [7], ["waiting"], [datetime.now(UTC)], [WEBHOOK]),
            *([datetime.now(UTC)], [503], ["later"]),
        ),
    ),
    ("webhooks", "make_due", ([WEBHOOK], [7], datetime.now(UTC))),
    ("webhooks", "deliveries", (WEBHOOK, None, None, 100)),
    ("retries", "cursor", (2,)),
    ("retries", "files_in_error", (2, 0, 0, 1000)),
    ("retries", "move_files", ([1, 2], [3, 4], ["PENDING", "AVAILABLE"])),
    ("completions", "cursors", ([1, 2],)),
    ("completions", "positions", ([1, 2], [0, 0])),
    ("requests", "received", ([1, 2],)),
    ("mails", "owners_to_remind", ("user1", datetime.now(UTC), 20)),
    ("mails", "plan_reminders", (["user1", "user999"], datetime.now(UTC))),
    ("mails", "claim", (1, datetime.now(UTC), datetime.now(UTC))),
    ("mails", "created_order", (1,)),
    ("mails", "waiting_orders", ("user1", datetime.now(UTC), datetime.now(UTC), 1000)),
    ("mails", "count_waiting_orders", ("user1", datetime.now(UTC), datetime.now(UTC))),
    ("mails", "mark_reminded", ("user1", datetime.now(UTC), datetime.now(UTC), 5000)),
    ("outbox", "check", (datetime.now(UTC),)),
    ("outbox", "claim", (3, datetime.now(UTC), 256)),
    ("outbox", "remove", ([1, 2],)),
    (
        "outbox",
        "delete_leased",
        (["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"], [datetime.now(UTC)]),
    ),
    (
        "outbox",
        "move_leased",
        (["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"], [datetime.now(UTC)], None),
    ),
    ("outbox", "lag", (datetime.now(UTC),)),
    ("order_views", "owner", (2,)),
    ("order_views", "orders", ([1, 2],)),
    ("order_views", "of_owner", ("user1", 20, 0)),
    ("order_views", "found", (None, None, None, None, None, 20, 0)),
    ("order_views", "found_after", (None, None, None, None, None, 7, 1000)),
    ("file_views", "of_dataset", (1, 1, 20, 0)),
    ("file_views", "count_available", (2,)),
    ("file_views", "available", (2, 20, 0)),
    ("file_views", "count_available_of_sub_order", (2, 2)),
    ("file_views", "available_of_sub_order", (2, 2, 20, 0)),
    ("baskets", "of_owner", ("user1", "project1")),
    ("baskets", "change", (1, 1, "user1", [1], "[]", [1], [datetime.now(UTC)])),
    ("orders", "lock_basket", ("user1",)),
]


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(
    ("file", "name", "parameters"), HOT, ids=[f"{file}.{name}" for file, name, _ in HOT]
)
async def test_w33_promise_8_cost_of_hot_statements_is_that_of_their_index(
    file: str, name: str, parameters: tuple[Any, ...], plan: str, filled_url: str
) -> None:
    """Custom and generic plans have no sequential scan of a table that grows."""
    connection = await asyncpg.connect(filled_url)
    try:
        async with connection.transaction():
            await use_tenant(connection, TENANT)
            await connection.execute(f"set local plan_cache_mode = {plan}")
            explained = await _explain(connection, statements(file)[name], parameters)
    finally:
        await connection.close()
    scanned = {
        node["Relation Name"] for node in _nodes(explained) if node["Node Type"] == "Seq Scan"
    }

    assert scanned & BIG_TABLES == set()


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
async def test_promise_8_a_change_of_a_basket_reads_no_searches_of_others(
    plan: str, filled_url: str
) -> None:
    """Whatever is added and removed, its searches are found by their keys."""
    parameters = (1, 1, "user1", [1], '[{"id": 1, "searches": [{}]}]', [1], [datetime.now(UTC)])
    connection = await asyncpg.connect(filled_url)
    try:
        async with connection.transaction():
            await use_tenant(connection, TENANT)
            await connection.execute(f"set local plan_cache_mode = {plan}")
            explained = await _explain(connection, statements("baskets")["change"], parameters)
    finally:
        await connection.close()
    reads = [
        node
        for node in _nodes(explained)
        if node.get("Relation Name") == "dated_selection" and node["Node Type"] != "ModifyTable"
    ]

    assert reads
    assert all("Index Cond" in node for node in reads)


async def _explain(
    connection: Connection, statement: str, parameters: tuple[Any, ...]
) -> dict[str, Any]:
    """Return the plan of a prepared statement, which is executed by name as in production."""
    sql = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
    await connection.execute(f"prepare hot as {sql}")
    literals = ", ".join(_literal(value) for value in parameters)
    (row,) = await connection.fetch(f"explain (format json) execute hot ({literals})")
    return dict(json.loads(row[0])[0]["Plan"])


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return "'{" + ",".join(map(str, value)) + "}'"
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else f"'{value}'"

"""Promise 8: cost follows the change, and while nothing changes no order is read."""

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import running_platform
from tests.promises.process import ALL_MESSAGES_SENT, locked, until
from tests.support.servers import FreshBroker

SUB_ORDERS = 20
RELAY_WAITS = (
    "exists (select from pg_locks where not granted and relation = 'rs_order.outbox'::regclass)"
)
"""A statement of the relay waits for the lock of the outbox."""
RECONCILER_IS_IDLE = """
    bool_and(due_at > now() + interval '1 minute')
    and bool_or(body::json ->> 'step' = 'recount') from rs_order.outbox where due_at is not null
"""
"""The reconciler's run that the first order started is over: the next one is due in a quarter of an hour.

Between two slices the outbox has no step of a run. Therefore the step of the next run must be there.
"""
EVENTS_ARE_NUMBERED = "count(*) = count(position) from event"
RELAY_CHECKS = 2
"""The relay's checks are up to six seconds apart, so everything that runs each second has run by then."""
_WAITING_FOR_TABLES = """
    select distinct relation::regclass::text as name from pg_locks
    where not granted and relation in (
        select oid from pg_class where relnamespace = 'order_project1'::regnamespace)
"""


async def test_w22_promise_8_cost_of_orders_that_wait_is_nothing(
    platform_broker: FreshBroker, database_url: str
) -> None:
    """While orders wait for storage, the relay checks the outbox, and no statement uses a tenant's table.

    All tables of the tenant are locked meanwhile, so a statement that uses one would wait.
    """
    async with (
        running_platform(
            platform_broker,
            database_url,
            archive=None,
            synthetic=(SyntheticDataset(name="DS", products=SUB_ORDERS, size=100_000),),
            faults=Faults(silence=True),
            files_bucket_size_mb=0.05,
            max_storage_files_jobs_per_user=0,
        ) as platform,
        platform.service(),
    ):
        await platform.peer.order("*")
        await until(database_url, f"count(*) = {SUB_ORDERS} from sub_order where state = 'RUNNING'")
        await until(database_url, ALL_MESSAGES_SENT)
        await until(database_url, RECONCILER_IS_IDLE)
        await until(database_url, EVENTS_ARE_NUMBERED)
        await platform.sandbox.wait_for_restore(SUB_ORDERS)
        tables = {
            row["name"]
            for row in await platform.rows(
                "select table_name as name from information_schema.tables"
                " where table_schema = current_schema"
            )
        }
        await _until_relay_waits(database_url)  # until then a last look for events may go on
        async with locked(database_url, f"lock table {', '.join(tables)} in access exclusive mode"):
            for _ in range(RELAY_CHECKS):
                await _until_relay_waits(database_url)
            waiting = [row["name"] for row in await platform.rows(_WAITING_FOR_TABLES)]

    assert tables >= {"orders", "sub_order", "data_file"}
    assert waiting == []


async def _until_relay_waits(database_url: str) -> None:
    async with locked(database_url, "lock table rs_order.outbox in access exclusive mode"):
        await until(database_url, RELAY_WAITS)

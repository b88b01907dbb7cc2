"""One recall serves all: what storage was asked for isn't asked for another order (waiting.md T7 to T9)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from rs_order.core.reason_texts import Language, text_of
from rs_order.core.shared_steps import DeleteFilesStep, ExpireOrderStep, StopSubOrdersStep
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.reasons import reasons_of
from rs_order.store.pool import Pool
from rs_order.store.progress import Progress
from rs_order.store.unit_of_work import retry_on_conflict
from tests.integration.app_harness import AppHarness, an_actor
from tests.integration.conftest import TENANT
from tests.integration.recall_harness import Arrival, Recalls, asked_by_20_users
from tests.support.clock import NOW
from tests.support.polling import LOCK_WAITS, eventually
from tests.support.rows import TenantRows


@pytest.fixture
def recalls(pool: Pool, rows: TenantRows) -> Recalls:
    return Recalls(AppHarness(pool, max_storage_files_jobs_per_user=0), rows, pool)


async def test_a_later_order_joins_and_the_answer_settles_both(recalls: Recalls) -> None:
    """It asks only for what nobody has asked for (T7)."""
    first = await recalls.started("jane", "a", "b")
    second = await recalls.started("john", "b", "c")

    assert await recalls.requests() == [(2, ["a", "b"]), (2, ["c"])]

    await recalls.app.storage_answers("a", "b", "c")

    assert await recalls.app.status(first) == await recalls.app.status(second) == "DONE"
    assert await recalls.joined() == 0


async def test_inputs_of_processes_are_joined_and_join(recalls: Recalls) -> None:
    """Storage doesn't know what a file is for."""
    first = await recalls.started("jane", "a", "b")
    process = await recalls.processed("john", "b", "c")
    await recalls.start("john")
    last = await recalls.started("joe", "c")

    assert await recalls.requests() == [(2, ["a", "b"]), (2, ["c"])]

    await recalls.app.storage_answers("a", "b", "c")

    assert await recalls.app.sub_orders(process) == [("PROCESSING", "PROCESSING")]
    assert await recalls.app.status(first) == await recalls.app.status(last) == "DONE"
    assert await recalls.joined() == 0


async def test_sub_orders_that_start_together_ask_once(recalls: Recalls) -> None:
    """Both are the same owner's, and start in one pass."""
    await recalls.order("jane", "a", "b")
    await recalls.order("jane", "b", "c")
    await recalls.start("jane")

    assert sorted(await recalls.requests()) == [(2, ["a", "b"]), (2, ["c"])]


async def test_what_was_answered_is_asked_again(recalls: Recalls) -> None:
    """Nobody knows how long it stays."""
    await recalls.started("jane", "a")
    await recalls.app.storage_answers("a")
    await recalls.started("john", "a")

    assert await recalls.requests() == [(2, ["a"])] * 2


async def test_a_request_names_the_longest_availability(recalls: Recalls) -> None:
    """That of all who need the file when it leaves, those included that aren't started (T7)."""
    await recalls.order("john", "a", hours=5)
    jane = await recalls.started("jane", "a", "b")
    await recalls.start("john")

    assert sorted(await recalls.requests()) == [(2, ["b"]), (5, ["a"])]

    await recalls.started("joe", "b", hours=3)
    recalls.app.clock.move(hours=1)
    await recalls.remind(jane)

    assert sorted((await recalls.requests())[2:]) == [(3, ["b"]), (5, ["a"])]


async def test_who_needs_it_much_longer_asks_when_the_answer_has_come(recalls: Recalls) -> None:
    """Of several, the one that needs it longest asks for all of them (T7)."""
    await recalls.started("jane", "a", "b", hours=10)
    await recalls.started("little longer", "a", hours=15)
    before = await recalls.requests()
    longer = await recalls.started("longer", "a", hours=16)
    longest = await recalls.started("longest", "a", "b", hours=17)

    assert await recalls.requests() == before == [(10, ["a", "b"])]

    await recalls.app.storage_answers("a")

    assert await recalls.requests() == [*before, (17, ["a"])]
    assert await recalls.app.status(longer) == "DONE"

    await recalls.app.storage_answers("a", "b")

    assert await recalls.requests() == [*before, (17, ["a"]), (17, ["b"])]
    assert await recalls.app.status(longest) == "DONE"


async def test_an_error_puts_it_in_error_for_all(recalls: Recalls) -> None:
    """The error names the one that asked; a retry asks anew."""
    first = await recalls.started("jane", "a")
    second = await recalls.started("john", "a")
    await recalls.reject("a", first)

    assert await recalls.app.status(first) == await recalls.app.status(second) == "FAILED"
    assert await recalls.joined() == 0

    await recalls.app.actions.retry(an_actor("john"), second)
    await recalls.app.run()

    assert await recalls.requests() == [(2, ["a"])] * 2

    await recalls.reject("a", first)

    assert await recalls.app.status(second) == "RUNNING"


async def test_an_error_that_answers_another_request_is_old(recalls: Recalls) -> None:
    """It names neither the one that waits nor the one that asked."""
    old = await recalls.order("joe", "other")
    first = await recalls.started("jane", "a")
    second = await recalls.started("john", "a")
    await recalls.reject("a", old)

    assert await recalls.app.status(first) == await recalls.app.status(second) == "RUNNING"
    assert await recalls.joined() == 1


End = Callable[[Recalls, OrderId], Awaitable[None]]


async def _delete(recalls: Recalls, order: OrderId) -> None:
    await recalls.app.application.orders.cancel.handle(TENANT, [order])
    await recalls.app.run(DeleteFilesStep)


async def _pause(recalls: Recalls, order: OrderId) -> None:
    await recalls.app.actions.pause(an_actor("jane"), order)
    await recalls.app.run(StopSubOrdersStep)


async def _expire(recalls: Recalls, order: OrderId) -> None:
    await recalls.app.rows(
        "update orders set expires_at = $2 where id = $1 returning id",
        order,
        recalls.app.clock.now(),
    )
    await recalls.app.do(ExpireOrderStep(order).to(TENANT).body)
    await recalls.app.run(DeleteFilesStep)


async def _give_up(recalls: Recalls, order: OrderId) -> None:
    """The sub-order that asked gives up, while those that joined have time left."""
    recalls.app.clock.move(hours=49)
    await recalls.app.rows(
        "update sub_order set asked_at = $2 where order_id <> $1 returning id",
        order,
        recalls.app.clock.now(),
    )
    await recalls.remind(order)


ENDS = {"deleted": _delete, "paused": _pause, "expired": _expire, "gave up": _give_up}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_storage_is_reminded_when_the_first_order_is_away(recalls: Recalls, end: End) -> None:
    """Of those that joined, the next one that reminds takes over, and the others join it (T8)."""
    first = await recalls.started("jane", "a", "b")
    second = await recalls.started("john", "a", "b")
    third = await recalls.started("joe", "a")
    recalls.app.clock.move(hours=1)
    await recalls.remind(second)
    asked_by_first = await recalls.requests()
    await end(recalls, first)
    recalls.app.clock.move(hours=1)
    await recalls.remind(third)
    await recalls.remind(second)
    await recalls.remind(third)

    assert asked_by_first == [(2, ["a", "b"])]
    assert (await recalls.requests())[1:] == [(2, ["a"]), (2, ["b"]), (2, ["a"])]

    await recalls.app.storage_answers("a", "b")

    assert await recalls.app.status(second) == await recalls.app.status(third) == "DONE"
    assert await recalls.joined() == 0


async def test_the_first_order_joins_when_it_is_resumed(recalls: Recalls) -> None:
    """Another one has asked meanwhile."""
    first = await recalls.started("jane", "a")
    second = await recalls.started("john", "a")
    await _pause(recalls, first)
    recalls.app.clock.move(hours=1)
    await recalls.remind(second)
    await recalls.app.actions.resume(an_actor("jane"), first)
    await recalls.app.run()

    assert await recalls.requests() == [(2, ["a"])] * 2

    await recalls.app.storage_answers("a")

    assert await recalls.app.status(first) == await recalls.app.status(second) == "DONE"


async def test_a_paused_order_that_joined_is_settled(recalls: Recalls) -> None:
    """As those that asked are."""
    await recalls.started("john", "a")
    joined = await recalls.started("jane", "a")
    await _pause(recalls, joined)
    await recalls.app.storage_answers("a")

    assert await recalls.app.files(joined) == {"a": "AVAILABLE"}
    assert await recalls.joined() == 0


async def test_nothing_of_a_deleted_order_stays_joined(recalls: Recalls) -> None:
    await recalls.started("john", "a")
    joined = await recalls.started("jane", "a")
    await _delete(recalls, joined)

    assert await recalls.joined() == 0


async def test_files_count_for_who_asked(pool: Pool, rows: TenantRows) -> None:
    """The use of the other is what it asked for itself; each file has 10 bytes (T8)."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=0, jobs_pool_size=10)
    recalls = Recalls(app, rows, pool)
    await recalls.started("jane", "a", "b")
    await recalls.started("john", "b", "c", "d")
    uses = await app.rows("select owner, used_bytes from rs_order.share order by owner")
    joined = await app.rows("select joined_files, joined_bytes from sub_order order by id")
    awaited = await app.application.shared.forecasts.of(TENANT)

    assert [(row["owner"], row["used_bytes"]) for row in uses] == [
        ("", 40),
        ("jane", 20),
        ("john", 20),
    ]
    assert [tuple(row.values()) for row in joined] == [(0, 0), (1, 10)]
    assert awaited.awaited_bytes == 40


async def test_sub_orders_that_joined_give_no_sample(recalls: Recalls) -> None:
    """Storage was asked before them, so their time tells nothing (decision 0040)."""
    await recalls.started("jane", "a")
    recalls.app.clock.move(hours=1)
    await recalls.started("john", "a")
    recalls.app.clock.move(hours=1)
    await recalls.app.storage_answers("a")
    samples = await recalls.app.rows("select settled_at - asked_at as took from restore_sample")

    assert [row["took"] for row in samples] == [timedelta(hours=2)]


class ProcessDied(Exception):
    """The process of a unit of work died before its commit."""


async def test_an_asker_that_fails_leaves_the_request_to_the_other(
    recalls: Recalls, pool: Pool
) -> None:
    """The other waits for the end of the first one's transaction."""
    await recalls.order("jane", "a")
    john = await recalls.order("john", "a")
    (jane,) = await recalls.app.rows("select id from sub_order where owner = 'jane'")
    with contextlib.suppress(ProcessDied):
        async with recalls.app.store.unit_of_work(TENANT) as uow:
            (loaded,) = await uow.sub_orders.load([SubOrderId(jane["id"])])
            await uow.recalls.pending([loaded.id])
            loaded.start(recalls.app.clock.now())
            await uow.sub_orders.save([loaded], recalls.app.clock.now())
            other = asyncio.create_task(recalls.start("john"))
            await eventually(lambda: pool.fetch(LOCK_WAITS), "the other waits")
            raise ProcessDied
    await other

    assert await recalls.requests() == [(2, ["a"])]
    assert await recalls.app.sub_orders(john) == [("STORAGE", "RUNNING")]


@pytest.mark.parametrize("attempt", range(5))
async def test_two_instances_ask_once(recalls: Recalls, pool: Pool, attempt: int) -> None:
    """Two orders start at the same moment, with the same files in another order (T7)."""
    names = [f"{attempt}-{number}" for number in range(200)]
    await recalls.order("jane", *names)
    await recalls.order("john", *reversed(names))
    other = Recalls(AppHarness(pool, max_storage_files_jobs_per_user=0), recalls.rows, pool)
    await asyncio.gather(recalls.start("jane"), other.start("john"))
    asked = Counter(await recalls.asked())

    assert asked == dict.fromkeys(names, 1)


@pytest.mark.parametrize(
    ("first", "requests"),
    [
        pytest.param("the order joins", 1, id="the answer settles what joined before it"),
        pytest.param("the answer comes", 2, id="who comes after the answer asks again"),
    ],
)
async def test_an_order_joins_while_the_answer_comes(
    recalls: Recalls, pool: Pool, first: str, requests: int
) -> None:
    """Both wait for the order that asked, and the later of them learns what the first one did."""
    jane = await recalls.started("jane", "a")
    john = await recalls.order("john", "a")
    acts: dict[str, Callable[[], Awaitable[None]]] = {
        "the order joins": lambda: recalls.start("john"),
        "the answer comes": lambda: retry_on_conflict(lambda: recalls.app.storage_answers("a")),
    }
    async with recalls.app.store.unit_of_work(TENANT) as uow:
        await uow.orders.lock([jane])
        tasks = [asyncio.ensure_future(acts.pop(first)())]
        await eventually(lambda: _waiting(pool, 1), "the first one waits")
        (last,) = acts.values()
        tasks.append(asyncio.ensure_future(last()))
        await eventually(lambda: _waiting(pool, 2), "both wait")
    await asyncio.gather(*tasks)

    assert len(await recalls.requests()) == requests

    await recalls.app.storage_answers(*["a"] * (requests - 1))

    assert await recalls.app.status(jane) == await recalls.app.status(john) == "DONE"


async def _waiting(pool: Pool, number: int) -> bool:
    return len(await pool.fetch(LOCK_WAITS)) == number


@pytest.mark.parametrize("arrival", Arrival, ids=[one.value for one in Arrival])
async def test_20_orders_of_20_users_ask_once(recalls: Recalls, arrival: Arrival) -> None:
    """All want the same files (T9). tests/benchmarks/one_recall.py does it with 10,000."""
    sub_orders = [[f"{part}-{number}" for number in range(50)] for part in range(10)]

    asked = await asked_by_20_users(recalls, sub_orders, arrival)

    assert asked == {name: 1 for names in sub_orders for name in names}


async def test_the_reason_says_that_another_order_asked(recalls: Recalls, pool: Pool) -> None:
    """It names nobody."""
    orders = [await recalls.started(owner, "a") for owner in ("jane", "john")]
    progress = Progress(pool, slots_per_user=0, silent_after=timedelta(minutes=30))
    facts = await progress.facts(TENANT, orders, NOW)
    first, second = (
        [text_of(reasons_of(facts[order], 0).reason, language) for language in Language]
        for order in orders
    )

    assert second == [
        f"{first[0]} Another order had asked for some of them: they come for both.",
        f"{first[1]} Une autre commande en avait demandé une partie : elle arrive pour les deux.",
    ]

    (page,) = await progress.sub_orders(TENANT, orders[1], None, NOW, limit=1)

    assert page.group.joined

"""Quotes that steps make: in slices, again after a crash, and never at work for ever (faces.md 9)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rs_order.contracts.order_messages import OrderRequest
from rs_order.core.errors import QuoteRejected
from rs_order.core.shared_steps import MakeQuoteStep, ReconcileStep
from rs_order.domain.identity import Caller
from rs_order.domain.quotes import QuoteFailure, QuoteState
from rs_order.domain.tallies import MOST_FILES
from rs_order.ports import RemoteRejection, RemoteUnavailable
from rs_order.quotes.make import (
    PAGE_PRODUCTS,
    TAKES_OVER,
    AskAboutFiles,
    MakeQuotes,
    QuoteSizes,
    ReadForQuotes,
)
from rs_order.reconcile.rebuild_steps import HANDLING, RebuildRemotePageStep
from rs_order.requests.estimate import Estimator
from rs_order.requests.retention import PurgeInboxStep
from rs_order.store.quotes import StoredQuote
from tests.integration.app_harness import TENANT, AppHarness, one_file
from tests.support.clock import NOW
from tests.support.rows import OWNER

JANE = Caller(TENANT, OWNER, "REGISTERED_USER")
REQUEST = OrderRequest(queries=["*"])
DOWN = RemoteUnavailable("rs-catalog", "down")


def products(app: AppHarness, number: int) -> None:
    """Let the catalog have so many products, each with a file of 10 bytes."""
    app.catalog.products = [one_file(f"f{n}") for n in range(number)]


def made_by(app: AppHarness, **sizes: Any) -> MakeQuotes:
    """Return the use case with other sizes."""
    shared = app.application.shared
    estimator = Estimator(shared.clients.users, shared.datasets, shared.links, app.clock)
    reader = ReadForQuotes(app.catalog, None, shared.datasets, estimator, app.store)
    return MakeQuotes(
        app.application.quotes.begin,
        app.store,
        reader,
        AskAboutFiles(None),
        shared.forecasts,
        clock=app.clock,
        retries=shared.retries,
        slots=2,
        sizes=QuoteSizes(**{"batch_bytes": 10**8, **sizes}),
    )


async def stored(app: AppHarness, quote: StoredQuote) -> StoredQuote:
    found = await app.store.quote(TENANT, quote.owner, quote.id)
    assert found is not None
    return found


async def document(app: AppHarness, quote: StoredQuote) -> dict[str, Any]:
    found = await stored(app, quote)
    assert found.state is QuoteState.READY
    return dict(found.document or {})


async def test_a_large_quote_is_read_in_part(app: AppHarness) -> None:
    """Pages with 20,000 files of 25,000, one in each step. The rest is in proportion."""
    products(app, 25_000)
    quote = await app.application.quotes.make.answer(JANE, REQUEST)
    at_first = len(app.catalog.read)
    await app.run(MakeQuoteStep)
    made = await document(app, quote)

    assert quote.state is QuoteState.AT_WORK
    assert at_first == 0
    assert app.catalog.read == list(range(MOST_FILES // PAGE_PRODUCTS))
    assert (made["exact"], made["files"], made["bytes"]) == (False, 25_000, 250_000)
    assert made["where"]["nearline"] == {"files": 25_000, "bytes": 250_000}
    assert made["where"]["basis"].startswith("catalog flags of 20000 of 25000 files")
    assert made["subOrders"]["min"] <= 5 <= made["subOrders"]["max"]


async def test_a_step_that_comes_again_does_nothing(app: AppHarness) -> None:
    """Each slice is read once, and only one chain of steps remains."""
    products(app, 25_000)
    quote = await app.application.quotes.begin.begin(JANE, REQUEST)
    bodies = []
    while steps := await app.steps(MakeQuoteStep):
        bodies.append(steps[0])
        await app.run_one(MakeQuoteStep)
        read = len(app.catalog.read)
        for body in bodies:
            await app.do(body)

        assert len(app.catalog.read) == read
        assert len(await app.steps(MakeQuoteStep)) <= 1

    assert (await stored(app, quote)).state is QuoteState.READY


async def test_two_processes_at_one_slice_write_it_once(app: AppHarness) -> None:
    """The slower one changes nothing, and sends no step."""
    products(app, 3)
    quote = await app.application.quotes.begin.begin(JANE, REQUEST)
    (body,) = await app.steps(MakeQuoteStep)
    await app.run_one(MakeQuoteStep)
    let_go = app.catalog.hold()
    app.catalog.reached.clear()
    (following,) = await app.steps(MakeQuoteStep)
    slower = asyncio.create_task(app.do(following))
    await app.catalog.reached.wait()
    faster = asyncio.create_task(app.run(MakeQuoteStep))
    let_go.set()
    await asyncio.gather(slower, faster)
    slices = (await stored(app, quote)).slices
    await app.do(body)

    assert await app.steps(MakeQuoteStep) == []
    assert slices == (await stored(app, quote)).slices == 2


async def test_a_quote_of_a_process_that_died_is_made_by_its_step(app: AppHarness) -> None:
    """The step is written with the quote, and due after the time that its caller waits."""
    products(app, 3)
    app.catalog.hold()
    answering = asyncio.create_task(app.application.quotes.make.answer(JANE, REQUEST))
    await app.catalog.reached.wait()
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    app.catalog.may_answer = None
    await app.run(MakeQuoteStep)
    (row,) = await app.rows("select id, state from quote")
    app.clock.move(seconds=TAKES_OVER.total_seconds())
    await app.run(MakeQuoteStep)
    (later,) = await app.rows("select state, document->>'files' as files from quote")

    assert row["state"] == QuoteState.AT_WORK
    assert later == {"state": QuoteState.READY, "files": "3"}


async def test_a_caller_waits_no_longer_than_twenty_seconds(app: AppHarness) -> None:
    """Then steps go on at the page that was reached, and the first step does nothing."""
    products(app, 4)
    make = made_by(app, page_products=2, answer_seconds=0.2)
    search = app.catalog.search

    async def slow(*arguments: Any, **named: Any) -> Any:
        if named["page"] == 1 and app.catalog.read == [0]:
            await asyncio.Event().wait()
        return await search(*arguments, **named)

    app.catalog.search = slow  # type: ignore[method-assign]
    quote = await make.answer(JANE, REQUEST)
    app.catalog.search = search  # type: ignore[method-assign]
    await app.run(MakeQuoteStep)
    app.clock.move(seconds=TAKES_OVER.total_seconds())
    await app.run(MakeQuoteStep)

    assert quote.state is QuoteState.AT_WORK
    assert (await document(app, quote))["files"] == 4
    assert app.catalog.read == [0, 1]


async def test_a_lost_step_is_written_again(app: AppHarness) -> None:
    """By the reconciler, like the steps of orders."""
    products(app, 3)
    quote = await app.application.quotes.begin.begin(JANE, REQUEST)
    await app.rows("delete from rs_order.outbox where body::json ->> 'step' = 'make-quote'")
    app.clock.move(minutes=16)
    await app.application.reconcile.resume(TENANT)
    for wait in (timedelta(), HANDLING):
        app.clock.move(seconds=wait.total_seconds())
        await app.run(ReconcileStep)
        await app.run(RebuildRemotePageStep)
    await app.run(MakeQuoteStep)

    assert (await stored(app, quote)).state is QuoteState.READY


async def test_a_quote_fails_after_an_hour(app: AppHarness) -> None:
    """Whatever became of its steps: one that comes later does nothing, and the reconciler leaves it."""
    products(app, 3)
    quote = await app.application.quotes.begin.begin(JANE, REQUEST)
    app.clock.move(hours=1)
    await app.run(MakeQuoteStep)
    shown = (await stored(app, quote)).at(app.clock.now())
    async with app.store.unit_of_work(TENANT) as uow:
        stalled = await uow.quotes.stalled(app.clock.now() + timedelta(seconds=1), 0, 10)
        lately = await uow.quotes.stalled(NOW + timedelta(minutes=16), 0, 10)
        limits = await uow.quotes.limits(OWNER, app.clock.now())

    assert app.catalog.read == []
    assert (shown.state, shown.failure) == (QuoteState.FAILED, QuoteFailure.NOT_MADE)
    assert (stalled, lately) == ([], [(quote.id, 0)])
    assert limits.at_work == 0


@pytest.mark.parametrize("comes_back", [True, False], ids=["comes back", "stays down"])
async def test_a_quote_waits_for_the_catalog(app: AppHarness, *, comes_back: bool) -> None:
    """As long as an order does; then it fails with a code."""
    products(app, 3)
    quote = await app.application.quotes.begin.begin(JANE, REQUEST)
    app.catalog.error = DOWN
    for _ in range(20):
        await app.run(MakeQuoteStep)
        app.clock.move(minutes=1)
        if comes_back:
            app.catalog.error = None
    found = await stored(app, quote)

    assert await app.steps(MakeQuoteStep) == []
    assert found.failure is (None if comes_back else QuoteFailure.CATALOG_UNREACHABLE)
    assert found.state is (QuoteState.READY if comes_back else QuoteState.FAILED)
    assert found.attempts == 0 or not comes_back


async def test_a_search_that_is_rejected(app: AppHarness) -> None:
    """A step fails the quote. A caller who waits gets the failure, and no quote is kept."""
    app.catalog.error = RemoteRejection("rs-catalog", 400, "no such attribute")
    quote = await app.application.quotes.begin.begin(JANE, REQUEST)
    await app.run(MakeQuoteStep)
    failed = await stored(app, quote)
    with pytest.raises(QuoteRejected) as raised:
        await app.application.quotes.make.answer(JANE, REQUEST)

    assert failed.failure is QuoteFailure.SEARCH_REJECTED
    assert raised.value.code == QuoteFailure.SEARCH_REJECTED
    assert [row["id"] for row in await app.rows("select id from quote")] == [quote.id]


async def test_quotes_are_purged_after_a_day(app: AppHarness) -> None:
    """Whatever their state."""
    products(app, 3)
    old = await app.application.quotes.make.answer(JANE, REQUEST)
    await app.application.quotes.begin.begin(JANE, REQUEST)
    app.clock.move(hours=1)
    young = await app.application.quotes.make.answer(JANE, REQUEST)
    app.clock.move(hours=23, seconds=1)
    await app.do({"step": PurgeInboxStep.name, "round": 1})

    assert old.id != young.id
    assert [row["id"] for row in await app.rows("select id from quote")] == [young.id]


_TEN_MINUTES_EACH = """
insert into restore_sample (asked_at, settled_at, files, bytes, guess, expected_earliest, expected_latest)
select $1::timestamptz - make_interval(hours => n + 1),
       $1::timestamptz - make_interval(hours => n + 1) + make_interval(secs => 540 + 120 * (n % 2)),
       1, 1000, 600, 300, 900
from generate_series(1, 100) n
"""


async def test_a_quote_has_the_time_that_the_samples_tell(app: AppHarness) -> None:
    """Rounded outward, with the measured level. The owner's queue and what is awaited come first."""
    await app.rows(_TEN_MINUTES_EACH, NOW)
    products(app, 2)
    make = made_by(app, batch_bytes=10)
    alone = await document(app, await make.answer(JANE, REQUEST))
    order = await app.order(*(f"f{n}" for n in range(2)))
    await app.run()
    app.clock.move(minutes=2)
    behind = await document(app, await make.answer(JANE, REQUEST))

    assert await app.sub_orders(order)
    assert alone["expected"] == {
        "shortest": "PT5M",
        "longest": "PT15M",
        "level": 1.0,
        "samples": 100,
        "basis": "earlier restores of this project; the level was measured with single sub-orders",
    }
    assert behind["alreadyRequested"]["files"] == 2
    assert behind["expected"]["shortest"] >= "PT5M"

"""The log of events: what is written, in which order it is numbered, and who reads it (faces.md 4.1)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat

from rs_order.actions.rights import Actor
from rs_order.app.events import EventParts
from rs_order.contracts.event_bodies import MEMBERS, EventDto
from rs_order.domain.events import EventType
from rs_order.domain.ids import OrderId
from rs_order.domain.moves import Reason
from rs_order.domain.states import OrderStatus
from rs_order.events.envelope import Envelopes
from rs_order.requests.retention import PurgeInboxStep
from rs_order.store.events import EventFilter, EventLog
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.support.rows import OWNER

ALL = EventFilter()


COMMON = {"orderId", "ordinal", "event", "status", "percent", "files", "correlationId", "links"}


def parts(app: AppHarness) -> EventParts:
    return app.application.shared.events


async def events(
    app: AppHarness, wanted: EventFilter = ALL, after: int = 0
) -> list[dict[str, Any]]:
    """Number the committed events, and return the wanted ones."""
    await parts(app).numbering.number(TENANT)
    page = await parts(app).log.page(TENANT, wanted, after, 1000)
    found = [orjson.loads(event.body) for event in page.events]
    for data in (event["data"] for event in found if event["data"]["event"] in MEMBERS):
        assert data.keys() - {"message"} == COMMON | set(MEMBERS[data["event"]])
    return found


def names(found: Sequence[dict[str, Any]]) -> list[str]:
    return [event["data"]["event"] for event in found]


async def test_the_events_of_an_order(app: AppHarness) -> None:
    """From the request to the last download: each once, without gaps, with the state at its commit."""
    order = await app.order("a", "b")
    await app.run()
    await app.storage_answers("a")
    await app.storage_answers("b")
    await app.run()
    await app.downloaded(order, "a", "b")
    found = await events(app)

    assert names(found) == [
        "order.created",
        "order.listed",
        "suborder.started",
        "order.progress",
        "order.progress",
        "suborder.ready",
        "order.done",
        "order.downloaded",
    ]
    data = [event["data"] for event in found]
    assert [one["ordinal"] for one in data] == list(range(1, 9))
    assert [int(event["sequence"]) for event in found] == list(range(1, 9))
    assert len({event["id"] for event in found}) == 8
    assert [one["percent"] for one in data] == [0, 0, 0, 50, 50, 100, 100, 100]
    assert [one.get("threshold") for one in data[3:5]] == [25, 50]
    assert data[0]["door"] == "basket"
    assert (data[1]["files"]["total"], data[1]["bytes"], data[1]["subOrders"]) == (2, 20, 1)
    assert (data[5]["subOrderFiles"], data[5]["totalSubOrders"]) == (2, 1)
    assert data[6]["files"] == {"total": 2, "available": 2, "delivered": 0, "failed": 0}
    assert data[7]["files"] == {"total": 2, "available": 0, "delivered": 2, "failed": 0}
    assert all(EventDto.model_validate(event).data.order_id == order for event in found)


async def test_the_envelope(app: AppHarness) -> None:
    """A CloudEvent 1.0.2, as the SDK reads it, whose attributes have lower-case names only (E-3)."""
    order = await app.order("a")
    (event,) = await events(app)
    parsed = JSONFormat().read(None, orjson.dumps(event))

    base = "http://localhost:9043/api/v1/rs-order"
    assert list(event) == [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "sequence",
        "partitionkey",
        "correlationid",
        "data",
    ]
    assert all(name.isalnum() and name.islower() for name in event)
    assert event["source"] == f"{base}/{TENANT}"
    assert event["type"] == "rsorder.order.created"
    assert event["subject"] == f"orders/{order}"
    assert event["sequence"] == "000000000000000001"
    assert event["partitionkey"] == f"{TENANT}/order/{order}"
    assert event["correlationid"] == event["data"]["correlationId"] == "c-1"
    assert event["data"]["links"] == {
        "order": f"{base}/user/orders/{order}",
        "progress": f"{base}/user/orders/{order}/progress",
        "download": f"{base}/user/orders/{order}/download",
        "archives": f"{base}/user/orders/{order}/archives",
        "stac": f"{base}/stac/collections/order-{order}",
    }
    assert "owner" not in event["data"]
    assert (parsed.get_id(), parsed.get_subject()) == (event["id"], f"orders/{order}")
    assert parsed.get_data() == event["data"]


@pytest.mark.parametrize(("actor", "by"), [(JANE, "owner"), (ALAN, "administrator")])
async def test_events_of_actions(app: AppHarness, actor: Actor, by: str) -> None:
    """Pause, resume, retry and deletion, and who it was."""
    order = await app.order("a")
    await app.actions.pause(actor, order)
    await app.actions.resume(actor, order)
    await app.run()
    await app.storage_answers(a="broken")
    await app.actions.retry(actor, order)
    await app.run()
    await app.storage_answers("a")
    await app.actions.delete(actor, order)
    found = await events(app)

    said = [
        (name, event["data"].get("by")) for name, event in zip(names(found), found, strict=True)
    ]
    assert said == [
        ("order.created", None),
        ("order.paused", by),
        ("order.resumed", by),
        ("order.listed", None),
        ("suborder.started", None),
        ("order.failed", None),
        ("order.retried", by),
        ("suborder.started", None),
        ("suborder.ready", None),
        ("order.done", None),
        ("order.deleted", None),
    ]
    assert [event["data"]["failed"] for event in found if "failed" in event["data"]] == [1, 0]


async def test_a_cancelled_order(app: AppHarness) -> None:
    """It is paused and deleted in one commit, by a service."""
    order = await app.order("a")
    await app.application.orders.cancel.handle(TENANT, [order])
    found = await events(app)

    assert names(found) == ["order.created", "order.paused", "order.deleted"]
    assert found[1]["data"]["by"] == "service"
    assert [event["data"]["ordinal"] for event in found] == [1, 2, 3]


async def test_an_order_without_products_and_an_expired_one(app: AppHarness) -> None:
    """The first ends with its message. The second expires, which is its last event."""
    await app.order()
    await app.run()
    late = await app.order(products=[one_file("x", external=True)])
    await app.run()
    app.clock.move(days=400)
    await app.run()
    found = await events(app)

    empty = [event["data"] for event in found if event["data"]["orderId"] != late]
    assert [one["event"] for one in empty] == [
        "order.created",
        "order.listed",
        "order.done_with_warning",
    ]
    assert empty[-1]["message"]
    assert names([event for event in found if event["data"]["orderId"] == late]) == [
        "order.created",
        "order.listed",
        "suborder.ready",
        "order.done",
        "order.expired",
    ]


async def test_a_change_that_is_undone_has_no_event(app: AppHarness) -> None:
    """The event is part of the commit (E-1). The next one gets its ordinal."""
    order = await app.order("a")
    with pytest.raises(RuntimeError, match="on purpose"):
        await _pause_and_fail(app, order)
    await app.actions.pause(JANE, order)

    assert names(await events(app)) == ["order.created", "order.paused"]


async def _pause_and_fail(app: AppHarness, order: OrderId) -> None:
    async with app.store.unit_of_work(TENANT) as uow:
        (locked,) = await uow.orders.lock([order])
        locked.move(OrderStatus.PAUSED, reason=Reason.PAUSED, actor=OWNER)
        await uow.orders.save([locked], app.clock.now())
        raise RuntimeError("on purpose")


async def test_an_event_that_commits_late_is_not_missed(app: AppHarness) -> None:
    """Its row is older than that of another order, but its position is later (E-4)."""
    slow = await app.order("a")
    async with app.store.unit_of_work(TENANT) as uow:
        (locked,) = await uow.orders.lock([slow])
        locked.move(OrderStatus.PAUSED, reason=Reason.PAUSED, actor=OWNER)
        await uow.orders.save([locked], app.clock.now())
        quick = await app.order("b")
        first = await events(app)
    later = await events(app, after=2)

    assert [event["data"]["orderId"] for event in first] == [slow, quick]
    assert [(event["sequence"][-1], *names([event])) for event in later] == [("3", "order.paused")]


async def test_several_processes_number_without_gaps(app: AppHarness, pool: Pool) -> None:
    """In small batches, at the same time: each position once, each order in the order of its ordinals."""
    for number in range(20):
        order = await app.order(f"f{number}")
        await app.actions.pause(JANE, order)
    links = await app.application.shared.links.stored(TENANT)
    compose = Envelopes(TENANT, links, "x.").compose

    async def number_all() -> None:
        while (await EventLog(pool).number(TENANT, compose, 3)).events:
            pass

    await asyncio.gather(*(number_all() for _ in range(4)))
    found = await events(app)

    assert [int(event["sequence"]) for event in found] == list(range(1, 41))
    ordinals: dict[int, list[int]] = {}
    for event in found:
        ordinals.setdefault(event["data"]["orderId"], []).append(event["data"]["ordinal"])
    assert set(map(tuple, ordinals.values())) == {(1, 2)}


async def test_pages_of_owners_orders_and_types(app: AppHarness) -> None:
    """A reader continues where the page ended, also when nothing of it was wanted."""
    first, second = await app.order("a"), await app.order("b")
    await app.actions.pause(JANE, first)
    log = parts(app).log
    await parts(app).numbering.number(TENANT)

    page = await log.page(TENANT, EventFilter(owner=OWNER), 0, 2)
    assert ([one.position for one in page.events], page.position) == ([1, 2], 2)
    page = await log.page(TENANT, EventFilter(owner=OWNER), page.position, 2)
    assert ([one.type for one in page.events], page.position) == (["order.paused"], 3)
    page = await log.page(TENANT, EventFilter(owner="john@example.org"), 0, 2)
    assert (page.events, page.position) == ((), 3)
    page = await log.page(TENANT, EventFilter(order_id=second), 0, 2)
    assert [one.position for one in page.events] == [2]
    page = await log.page(TENANT, EventFilter(order_id=second, owner="john@example.org"), 0, 2)
    assert page.events == ()
    page = await log.page(TENANT, EventFilter(types=[EventType.ORDER_PAUSED]), 0, 2)
    assert [one.position for one in page.events] == [3]


async def test_a_look_for_rare_types_is_bounded(
    app: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may be empty although there are wanted events behind it: the next one looks further."""
    monkeypatch.setattr("rs_order.store.events.MOST_LOOKED_AT", 2)
    orders = [await app.order(f"f{number}") for number in range(4)]
    await app.actions.pause(JANE, orders[0])
    await parts(app).numbering.number(TENANT)
    wanted, log = EventFilter(types=[EventType.ORDER_PAUSED]), parts(app).log

    pages = [await log.page(TENANT, wanted, after, 1) for after in (0, 2, 4)]

    assert [page.position for page in pages] == [2, 4, 5]
    assert [len(page.events) for page in pages] == [0, 0, 1]


async def test_a_type_of_a_later_version_is_passed_on(app: AppHarness) -> None:
    """Instances of both versions run during an update. A reader who asks for types doesn't get it."""
    await app.order("a")
    await app.rows("update event set type = 'order.later'")
    found = await events(app)
    wanted = await events(app, EventFilter(types=list(EventType)))

    assert (found[0]["type"], wanted) == ("rsorder.order.later", [])


async def test_old_events_are_purged(app: AppHarness) -> None:
    """With the inbox, after their retention. Positions go on, and the log says what is gone (E-6)."""
    await app.order("a")
    await events(app)
    app.clock.move(days=31)
    await app.order("b")
    await app.do(PurgeInboxStep(1).to(TENANT).body)
    found = await events(app)
    state = await parts(app).log.state(TENANT, app.clock.now())

    assert [int(event["sequence"]) for event in found] == [2]
    assert (state.position, state.purged) == (2, 1)


async def test_events_of_a_process_that_died_are_numbered_by_a_reader(app: AppHarness) -> None:
    """After three seconds; until then the process that committed them does it."""
    await app.order("a")
    feed = parts(app).feed

    assert (await feed.number_overdue(TENANT)).position == 0
    app.clock.move(seconds=4)
    state = await feed.number_overdue(TENANT)
    assert (state.position, state.overdue) == (1, False)


async def test_a_commit_wakes_who_waits(app: AppHarness) -> None:
    """Through the numbering of the same process."""
    numbering, feed = parts(app).numbering, parts(app).feed
    running = asyncio.create_task(numbering.run())
    waiting = asyncio.create_task(feed.until_beyond(TENANT, 0, 60))
    order = await app.order("a")
    await app.application.shared.store.send([])
    async with app.application.shared.store.unit_of_work(TENANT) as uow:
        uow.events.number_later()
    await asyncio.wait_for(waiting, 60)
    await numbering.stop()
    await running

    page = await parts(app).log.page(TENANT, ALL, 0, 10)
    assert [orjson.loads(event.body)["data"]["orderId"] for event in page.events] == [order]


async def test_published_events_are_written_with_their_positions(pool: Pool) -> None:
    """One transaction gives an event its position and writes it to the outbox, as readers get it (E-24)."""
    app = AppHarness(pool, events_amqp=True)
    order = await app.order("a")
    await app.actions.pause(JANE, order)
    assert await app.rows(PUBLISHED_EVENTS) == []
    await parts(app).numbering.number(TENANT)
    await parts(app).numbering.number(TENANT)
    rows = await app.rows(PUBLISHED_EVENTS)

    assert [row["position"] for row in rows] == [1, 2]
    assert all(row["same_transaction"] and row["same_body"] for row in rows)
    assert {row["stream"] for row in rows} == {f"{TENANT}/events/{order}"}


async def test_nothing_is_published_unless_it_is_set(app: AppHarness) -> None:
    """The outbox has no event."""
    await app.order("a")

    assert len(await events(app)) == 1
    assert await app.rows(PUBLISHED_EVENTS) == []


PUBLISHED_EVENTS = """
select event.position, outbox.stream, outbox.xmin = event.xmin as same_transaction,
       outbox.body = event.body as same_body
from rs_order.outbox left join event on event.event_id = outbox.message_id
where outbox.kind = 'ORDER_EVENT' order by outbox.id
"""

"""Deliveries to webhooks: what, in which order, when again, and what receivers cause (E-15 to E-19)."""

import asyncio
import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook

from rs_order.domain.events import EventType
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.subscriptions import SubscriptionScope
from rs_order.domain.subscriptions import Webhook as ShownWebhook
from rs_order.domain.webhooks import (
    Disabled,
    WebhookMode,
    WebhookSecret,
    WebhookState,
)
from rs_order.mails.send import SendMailStep
from rs_order.regards.webhook_receivers import Received, WebhookReceivers
from rs_order.store.planned_mails import DisabledWebhook
from rs_order.store.pool import Pool
from rs_order.store.subscriptions import SubscriptionViews
from rs_order.store.webhooks import NewWebhook, WantedReplay, WebhookViews
from rs_order.subscriptions import dispatcher
from rs_order.subscriptions.dispatcher import Room, WebhooksOfTenant
from rs_order.subscriptions.rounds import SendRound
from rs_order.subscriptions.sealing import SecretSeal
from rs_order.subscriptions.verification import Verify
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.clock import ManualClock
from tests.support.polling import eventually
from tests.support.rows import OWNER

OK = Received(204)
DOWN = Received(503, "later")
HANGS = Received(failure="no complete response within 15 seconds")
SEAL = SecretSeal(base64.b64encode(bytes(32)).decode())
OF_ONE_FILE = ["order.created", "order.listed", "suborder.started", "suborder.ready", "order.done"]


@dataclass
class FakeReceivers:
    """Answers as the test says, by URL; else 204."""

    answers: dict[str, Received] = field(default_factory=dict)
    judge: Callable[[dict[str, Any]], Received | None] = lambda _: None
    handshake: Received = field(default_factory=lambda: Received(405))
    sent: list[tuple[str, Mapping[str, str], dict[str, Any]]] = field(default_factory=list)
    verify: Webhook | None = None
    """Verifies what comes, as the libraries do."""
    _hanging: tuple[str, asyncio.Event] | None = None

    def hang(self, beginning: str) -> asyncio.Event:
        """Let receivers whose URL has this beginning answer only after the returned event is set."""
        self._hanging = beginning, asyncio.Event()
        return self._hanging[1]

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Received:
        event = orjson.loads(body)
        self.sent.append((url, headers, event))
        if self.verify is not None:
            self.verify.verify(body, dict(headers))
            assert from_http_event(HTTPMessage(dict(headers), body)).get_data() == event["data"]
        if self._hanging is not None and url.startswith(self._hanging[0]):
            await self._hanging[1].wait()
        return self.judge(event) or self.answers.get(url, OK)

    async def ask(self, _: str, headers: Mapping[str, str]) -> Received:
        assert headers["WebHook-Request-Origin"] == "localhost"
        return self.handshake


class Sender:
    """A process that sends, with the receivers it sends to."""

    def __init__(self, app: AppHarness, pool: Pool) -> None:
        self.app = app
        self.receivers = FakeReceivers()
        self.views = WebhookViews(pool)
        self._subscriptions = SubscriptionViews(pool)
        receivers = cast("WebhookReceivers", self.receivers)
        verify = Verify(receivers, app.application.shared.links, app.clock, prefix="rsorder.")
        self.send = SendRound(receivers, verify, SEAL, app.clock)
        self.to_number: list[Tenant] = []
        """The tenants whose events should get positions."""
        self.loop = self.another()

    def another(self, send: SendRound | None = None) -> WebhooksOfTenant:
        """Return the loop of another process."""
        return WebhooksOfTenant(
            TENANT,
            self.app.store,
            self.views,
            send=send or self.send,
            number=self.to_number.append,
            clock=self.app.clock,
            room=Room(),
        )

    async def webhook(self, url: str = "https://a.example.org/", **members: Any) -> UUID:
        """Add a webhook; members as of `new_webhook`."""
        (added,) = await self.webhooks([url], **members)
        return added

    async def webhooks(self, urls: Sequence[str], **members: Any) -> list[UUID]:
        """Add webhooks."""
        now = self.app.clock.now()
        added = [new_webhook(url, now, **members) for url in urls]
        async with self.app.store.unit_of_work(TENANT) as uow:
            for one in added:
                await uow.webhooks.add(one, now)
        return [one.id for one in added]

    async def number(self) -> None:
        await self.app.application.shared.events.numbering.number(TENANT)

    async def until_idle(self, loop: WebhooksOfTenant | None = None, *, rounds: int = 100) -> None:
        """Number events and send what is due. The clock goes on by the pauses between rounds only."""
        loop = loop or self.loop
        await self.number()
        for _ in range(rounds):
            before = len(self.receivers.sent)
            await loop.advance()
            await loop.rounds()
            await loop.advance()
            if len(self.receivers.sent) == before:
                return
            self.app.clock.move(seconds=0.5)
        raise AssertionError(f"still busy after {rounds} rounds")

    def names(self, url: str | None = None) -> list[str]:
        """Return the events that were sent, to all receivers or one."""
        return [event["data"]["event"] for to, _, event in self.receivers.sent if url in (None, to)]

    async def shown(self, webhook_id: UUID) -> ShownWebhook:
        """Return a webhook as its owner sees it."""
        found = await self._subscriptions.find(TENANT, webhook_id)
        assert found is not None
        assert found.webhook is not None
        return found.webhook

    async def states(self, webhook_id: UUID) -> list[tuple[str, int]]:
        """Return state and attempts of each delivery, the oldest first."""
        found = await self.views.deliveries(TENANT, webhook_id, state=None, before=None, limit=1000)
        return [(one.state.value, one.attempts) for one in reversed(found)]


def new_webhook(
    url: str,
    now: datetime,
    *,
    types: Sequence[str] | None = None,
    thresholds: Sequence[int] | None = None,
    owner: str = OWNER,
    order: OrderId | None = None,
    state: WebhookState = WebhookState.ACTIVE,
    rate: int | None = None,
    ends_with_order: bool = False,
) -> NewWebhook:
    webhook_id = uuid4()
    return NewWebhook(
        id=webhook_id,
        owner=owner,
        label=None,
        scope=SubscriptionScope.MINE if order is None else SubscriptionScope.ORDER,
        order_id=order,
        types=types,
        thresholds=thresholds,
        url=url,
        mode=WebhookMode.STRUCTURED,
        secret=SEAL.seal(TENANT, webhook_id, WebhookSecret(bytes(32))),
        state=state,
        pending_until=now + timedelta(days=1) if state is WebhookState.PENDING else None,
        allowed_rate=rate,
        ends_with_order=ends_with_order,
    )


@pytest.fixture
async def app(pool: Pool) -> AppHarness:
    """The use cases; a user may have any number of sub-orders at storage."""
    return AppHarness(pool, max_storage_files_jobs_per_user=0)


@pytest.fixture
async def sender(app: AppHarness, pool: Pool) -> Sender:
    return Sender(app, pool)


async def done_order(app: AppHarness, *files: str) -> OrderId:
    order = await app.order(*(files or ("a",)))
    await app.run()
    await app.storage_answers(*(files or ("a",)))
    await app.run()
    return order


async def test_a_webhook_gets_the_events_of_an_order(app: AppHarness, sender: Sender) -> None:
    """In their order, with the bytes of the log, and each once."""
    webhook = await sender.webhook()
    await done_order(app)
    await sender.until_idle()
    await sender.until_idle()
    bodies = [event for _, _, event in sender.receivers.sent]

    assert sender.names() == OF_ONE_FILE
    assert [event["data"]["ordinal"] for event in bodies] == [1, 2, 3, 4, 5]
    logged = await app.rows("select body from event order by position")
    assert bodies == [orjson.loads(row["body"]) for row in logged]
    assert await sender.states(webhook) == [("delivered", 1)] * 5
    shown = await sender.shown(webhook)
    assert (shown.state, shown.backlog, shown.dead) == (WebhookState.ACTIVE, 0, 0)
    assert shown.last_success is not None


async def test_the_next_event_of_an_order_waits_for_the_pause_of_its_receiver_alone(
    app: AppHarness, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent when the pause ends, and not at the next look for what others did."""
    monkeypatch.setattr(dispatcher, "LOOK_SECONDS", 3600.0)
    await sender.webhook()
    await done_order(app)
    await sender.number()

    async def keep_time() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0)
            app.clock.move(seconds=time.monotonic() - began)

    async def all_were_sent() -> bool:
        return sender.names() == OF_ONE_FILE

    keeping = asyncio.create_task(keep_time())
    running = asyncio.create_task(sender.loop.run())
    await eventually(all_were_sent, "all events were sent")
    running.cancel()
    keeping.cancel()
    await asyncio.wait([running, keeping])


async def test_each_gets_what_it_wants(app: AppHarness, sender: Sender) -> None:
    """By owner, order, type and threshold."""
    first = await app.order("a", "b", "c", "d")
    await sender.webhook("https://types/", types=["suborder.*", "order.done"])
    await sender.webhook("https://stranger/", owner="john@example.org")
    await sender.webhook("https://order/", order=first, types=["order.created", "order.done"])
    await sender.webhook("https://half/", types=["order.progress"], thresholds=[50])
    await app.run()
    for name in "abcd":
        await app.storage_answers(name)
    await app.run()
    await done_order(app, "e")
    await sender.until_idle()

    assert sorted(sender.names("https://types/")) == sorted(
        ["suborder.started", "suborder.ready", "order.done"] * 2
    )
    assert sender.names("https://stranger/") == []
    assert sender.names("https://order/") == ["order.created", "order.done"]
    assert sender.names("https://half/") == ["order.progress"]
    (progress,) = [one for to, _, one in sender.receivers.sent if to == "https://half/"]
    assert progress["data"]["threshold"] == 50


async def test_a_webhook_begins_with_the_next_event(app: AppHarness, sender: Sender) -> None:
    """Also if there was another webhook before, and events have no deliveries yet."""
    await done_order(app)
    await sender.number()
    await sender.webhook("https://first/")
    await sender.until_idle()
    await app.order("x")
    await sender.number()
    await sender.webhook("https://second/")
    await app.run()
    await sender.until_idle()

    assert sender.names("https://first/") == OF_ONE_FILE[:3]
    assert sender.names("https://second/") == OF_ONE_FILE[1:3]


async def test_an_event_waits_for_the_one_before(app: AppHarness, sender: Sender) -> None:
    """Of its order only: another order goes on, and so does this one after ten attempts (E-16, E-17)."""
    bad = await app.order("a")
    await app.run()
    await sender.number()
    webhook = await sender.webhook()
    sender.receivers.judge = lambda event: (
        DOWN
        if event["data"]["event"] == "suborder.ready" and event["data"]["orderId"] == bad
        else None
    )
    await app.storage_answers("a")
    await app.run()
    await sender.until_idle()
    while (await sender.shown(webhook)).dead == 0:
        await done_order(app, uuid4().hex)  # so that it isn't struggling
        await sender.until_idle()
        app.clock.move(hours=13)
    await sender.until_idle()
    of_bad = [
        (headers["rs-order-attempt"], event["data"]["event"])
        for _, headers, event in sender.receivers.sent
        if event["data"]["orderId"] == bad
    ]

    assert of_bad[:11] == [
        *((str(number), "suborder.ready") for number in range(1, 11)),
        ("1", "order.done"),
    ]
    assert ("dead", 10) in await sender.states(webhook)
    assert (await sender.shown(webhook)).state is WebhookState.ACTIVE


async def test_a_struggling_receiver(app: AppHarness, sender: Sender) -> None:
    """Five failures in a row: then one request at each step of the schedule, until the first success."""
    sender.receivers.answers["https://a.example.org/"] = HANGS
    webhook = await sender.webhook()
    for name in "abcdef":
        await done_order(app, name)
    times = []
    await sender.number()
    for _ in range(4 * 60):
        before = len(sender.receivers.sent)
        await sender.loop.advance()
        await sender.loop.rounds()
        await sender.loop.advance()
        times += [app.clock.now()] * (len(sender.receivers.sent) - before)
        app.clock.move(minutes=1)
    struggling = await sender.shown(webhook)
    begin = times[0]
    sender.receivers.answers.clear()
    app.clock.move(hours=6)
    await sender.until_idle()

    assert struggling.state is WebhookState.STRUGGLING
    assert struggling.last_failure is not None
    assert struggling.last_failure.answer == HANGS.failure
    assert struggling.backlog == 30
    waited = [(at - begin).total_seconds() / 60 for at in times]
    assert len(waited) == 9  # five, and after 5 s, 5 min, 30 min and 2 h
    assert waited[-1] > 120
    shown = await sender.shown(webhook)
    assert (shown.state, shown.backlog, shown.dead) == (WebhookState.ACTIVE, 0, 0)


async def test_a_receiver_that_never_comes_back(app: AppHarness, sender: Sender) -> None:
    """It gets nothing more after five days; then its owner enables it, and nothing is lost (E-18)."""
    sender.receivers.answers["https://a.example.org/"] = DOWN
    webhook = await sender.webhook()
    await done_order(app, "a")
    for _ in range(7 * 24 * 2):
        await sender.until_idle()
        app.clock.move(minutes=30)
    disabled = await sender.shown(webhook)
    attempts = len(sender.receivers.sent)
    await done_order(app, "b")
    await sender.until_idle()
    nothing_sent = len(sender.receivers.sent) == attempts
    sender.receivers.answers.clear()
    sender.receivers.sent.clear()
    await enable(app, sender, webhook)
    await sender.until_idle()

    assert (disabled.state, disabled.disabled_because) == (
        WebhookState.DISABLED,
        Disabled.NO_SUCCESS,
    )
    assert disabled.dead > 0
    assert nothing_sent
    logged = [row["type"] for row in await app.rows("select type from event")]
    assert sender.names()[0] == "webhook.test"
    assert sorted(sender.names()[1:]) == sorted(logged)
    shown = await sender.shown(webhook)
    assert (shown.state, shown.backlog, shown.dead) == (WebhookState.ACTIVE, 0, 0)


async def enable(app: AppHarness, sender: Sender, webhook: UUID) -> None:
    now, url = app.clock.now(), (await sender.shown(webhook)).url
    async with app.store.unit_of_work(TENANT) as uow:
        await uow.webhooks.make_pending(webhook, url, until=now + timedelta(days=1), due_at=now)


async def test_a_receiver_that_is_gone(app: AppHarness, sender: Sender) -> None:
    """410 ends it at once (E-15)."""
    sender.receivers.answers["https://a.example.org/"] = Received(410, "gone")
    webhook = await sender.webhook()
    await done_order(app)
    await sender.until_idle()
    shown = await sender.shown(webhook)

    assert len(sender.receivers.sent) == 1
    assert (shown.state, shown.disabled_because) == (
        WebhookState.DISABLED,
        Disabled.RECEIVER_GONE,
    )
    assert shown.backlog == 5


@pytest.mark.parametrize(("status", "obeyed"), [(429, True), (503, True), (500, False)])
async def test_a_receiver_that_asks_for_a_pause(
    app: AppHarness, sender: Sender, status: int, obeyed: bool
) -> None:
    """Retry-After is obeyed by the whole webhook, with the statuses for which it counts."""
    url = "https://a.example.org/"
    sender.receivers.answers[url] = Received(status, "", {"Retry-After": "3600"})
    await sender.webhook(url)
    await done_order(app)
    await sender.until_idle(rounds=3) if obeyed else None
    first = len(sender.receivers.sent)
    sender.receivers.answers.clear()
    app.clock.move(minutes=59)
    await sender.until_idle()
    early = len(sender.receivers.sent)
    app.clock.move(minutes=2)
    await sender.until_idle()

    assert early == (first if obeyed else 5)
    assert sender.names()[-1] == "order.done"


async def test_a_process_that_dies(app: AppHarness, sender: Sender) -> None:
    """Between commit and sending, or before it stored what came back: the event is sent, maybe twice."""
    webhook = await sender.webhook()
    await app.order("a")
    await sender.number()
    dying = sender.another()
    await dying.advance()
    await dying.rounds()  # and it never stores the response
    await sender.until_idle()
    meanwhile = await sender.states(webhook)
    app.clock.move(seconds=61)
    await sender.until_idle()
    await dying.advance()

    assert meanwhile == [("waiting", 0)]
    assert sender.names() == ["order.created", "order.created"]
    assert await sender.states(webhook) == [("delivered", 1)]


async def test_processes_share_the_webhooks(app: AppHarness, sender: Sender) -> None:
    """No event is sent twice, and none is left."""
    webhooks = [await sender.webhook(f"https://{number}/") for number in range(10)]
    for name in "abc":
        await done_order(app, name)
    await sender.number()
    loops = [sender.another() for _ in range(3)]
    for _ in range(60):
        for loop in loops:
            await loop.advance()
        for loop in loops:
            await loop.rounds()
            await loop.advance()
        app.clock.move(seconds=0.5)

    for number, webhook in enumerate(webhooks):
        assert await sender.states(webhook) == [("delivered", 1)] * 15
        assert sorted(sender.names(f"https://{number}/")) == sorted(OF_ONE_FILE * 3)


async def test_a_rate_that_a_receiver_allows(app: AppHarness, sender: Sender) -> None:
    """Six in a minute: one each ten seconds."""
    await sender.webhook(rate=6)
    await done_order(app)
    await sender.number()
    for _ in range(35):
        await sender.loop.advance()
        await sender.loop.rounds()
        await sender.loop.advance()
        app.clock.move(seconds=1)

    assert len(sender.receivers.sent) == 4


async def test_a_good_receiver_gets_fewer_than_ten_a_second(
    app: AppHarness, sender: Sender
) -> None:
    """And four at once."""
    await sender.webhook()
    for name in "abcdefghijklmno":
        await app.order(name)
    await sender.number()
    sizes = []
    for _ in range(20):
        before = len(sender.receivers.sent)
        await sender.loop.advance()
        await sender.loop.rounds()
        await sender.loop.advance()
        sizes.append(len(sender.receivers.sent) - before)
        app.clock.move(milliseconds=100)

    assert sum(sizes) == 15
    assert max(sizes) == 4
    assert max(sum(sizes[at : at + 10]) for at in range(10)) < 10


@pytest.mark.parametrize(
    ("handshake", "agreed"),
    [
        (Received(200, "", {"WebHook-Allowed-Origin": "*"}), True),
        (
            Received(
                204, "", {"WebHook-Allowed-Origin": "localhost", "WebHook-Allowed-Rate": "120"}
            ),
            True,
        ),
        (Received(200, "", {"WebHook-Allowed-Origin": "other.example.org"}), False),
        (Received(405), False),
    ],
    ids=["any", "this one", "another", "no handshake"],
)
async def test_a_receiver_agrees(
    app: AppHarness, sender: Sender, handshake: Received, agreed: bool
) -> None:
    """By the handshake, or by taking a test event. It gets what happened since it was added (E-19a)."""
    sender.receivers.handshake = handshake
    sender.receivers.answers["https://a.example.org/"] = DOWN
    webhook = await sender.webhook(state=WebhookState.PENDING)
    await app.order("a")
    await sender.until_idle()
    first = await sender.shown(webhook)
    tested = "webhook.test" in sender.names()
    sender.receivers.answers.clear()
    app.clock.move(minutes=61)
    await sender.until_idle()
    last = await sender.shown(webhook)

    assert first.state is (WebhookState.ACTIVE if agreed else WebhookState.PENDING)
    assert tested is not agreed
    assert last.state is WebhookState.ACTIVE
    assert sender.names()[-1] == "order.created"


async def test_a_receiver_that_never_agrees(app: AppHarness, sender: Sender) -> None:
    """It is asked once an hour for a day, and gets no event."""
    sender.receivers.answers["https://a.example.org/"] = Received(401)
    webhook = await sender.webhook(state=WebhookState.PENDING)
    await done_order(app)
    for _ in range(30):
        await sender.until_idle()
        app.clock.move(hours=1)
    shown = await sender.shown(webhook)

    assert set(sender.names()) == {"webhook.test"}
    assert 23 <= len(sender.names()) <= 25
    assert (shown.state, shown.disabled_because) == (
        WebhookState.DISABLED,
        Disabled.NOT_VERIFIED,
    )


async def test_a_key_that_is_lost(app: AppHarness, sender: Sender) -> None:
    """Nothing is sent unsigned; the deliveries wait for the key."""
    webhook = await sender.webhook()
    await app.order("a")
    other = SecretSeal(base64.b64encode(bytes([1]) * 32).decode())
    receivers = cast("WebhookReceivers", sender.receivers)
    verify = Verify(receivers, app.application.shared.links, app.clock, prefix="")
    await sender.until_idle(sender.another(SendRound(receivers, verify, other, app.clock)))
    sent_without = len(sender.receivers.sent)
    app.clock.move(hours=2)
    await sender.until_idle()

    assert sent_without == 0
    assert await sender.states(webhook) == [("delivered", 1)]


async def test_events_that_a_process_left_without_positions(
    app: AppHarness, sender: Sender
) -> None:
    """It died before it could number them, and nothing else happens in the tenant: the loop has it done."""
    await sender.webhook()
    await app.order("a")
    await sender.loop.advance()
    too_early = list(sender.to_number)
    app.clock.move(seconds=4)
    await sender.loop.advance()
    late = list(sender.to_number)
    await sender.until_idle()
    sender.to_number.clear()
    await sender.loop.advance()

    assert (too_early, late, sender.to_number) == ([], [TENANT], [])
    assert sender.names() == ["order.created"]


async def test_deliveries_go_with_their_events(app: AppHarness, sender: Sender) -> None:
    """The retention of events is theirs."""
    webhook = await sender.webhook()
    await done_order(app)
    await sender.until_idle()
    async with app.store.unit_of_work(TENANT) as uow:
        await uow.events.purge(app.clock.now() + timedelta(days=1), 3)
    left = await sender.states(webhook)

    assert left == [("delivered", 1)] * 2


async def test_e9_a_webhook_that_came_with_an_order_ends_after_it(
    app: AppHarness, sender: Sender
) -> None:
    """It is deleted with the last event. Neither is one that was added later, nor one of a quiet order."""
    ended, quiet = await done_order(app), await app.order("b")
    came = await sender.webhook(order=ended, ends_with_order=True)
    others = {
        await sender.webhook(order=ended),
        await sender.webhook(order=quiet, ends_with_order=True),
    }
    await sender.number()

    remaining = []
    for days in (-1, 1):
        async with app.store.unit_of_work(TENANT) as uow:
            await uow.events.purge(app.clock.now() + timedelta(days=days), 100)
            await uow.webhooks.end_with_orders()
        rows = await app.rows("select id from subscription")
        remaining.append({row["id"] for row in rows})

    assert remaining == [{came, *others}, others]


async def test_nothing_costs_without_webhooks(app: AppHarness, sender: Sender) -> None:
    """No delivery is made, and the first webhook doesn't go through the log."""
    await done_order(app)
    await sender.number()
    made = await app.rows("select position from fan_out")
    await sender.webhook()

    assert made == [{"position": 0}]
    assert await app.rows("select position from fan_out") == [{"position": 5}]


async def test_a_receiver_that_was_off_for_a_day(
    app: AppHarness, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets all events of 100 orders, per order in order, as both libraries read them (acceptance E)."""
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", _TimeOf(app.clock))
    url = "https://a.example.org/"
    await sender.webhook(url)
    orders = [await app.order(f"f{number}") for number in range(100)]
    await app.run()
    await app.storage_answers(*(f"f{number}" for number in range(100)))
    await app.run()
    sender.receivers.answers[url] = HANGS
    await sender.number()
    for _ in range(48):
        await sender.until_idle()
        app.clock.move(minutes=30)
    sender.receivers.answers.clear()
    sender.receivers.sent.clear()
    sender.receivers.verify = Webhook(WebhookSecret(bytes(32)).shown())
    app.clock.move(
        hours=24
    )  # the longest pause that can have begun is of 20 hours, and by chance of 22
    await sender.until_idle(rounds=1000)
    by_order: dict[int, list[int]] = {order: [] for order in orders}
    for _, _, event in sender.receivers.sent:
        by_order[event["data"]["orderId"]].append(event["data"]["ordinal"])

    logged = await app.rows("select order_id, ordinal from event order by order_id, ordinal")
    assert by_order == {
        order: [row["ordinal"] for row in logged if row["order_id"] == order] for order in orders
    }
    assert len(sender.receivers.sent) == len(logged) >= 500


class _TimeOf:
    """Stands for the class ``datetime`` of the library, which refuses what was signed long ago."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self, **_: object) -> datetime:
        return self._clock.now()

    def __getattr__(self, name: str) -> object:
        return getattr(datetime, name)


async def test_receivers_that_hang_cost_the_healthy_one_nothing(
    app: AppHarness, sender: Sender
) -> None:
    """999 of 1,000 never answer. The loop goes on meanwhile, and sends the next event to the healthy one."""
    await sender.webhook("https://healthy/")
    await app.order("a")
    await sender.until_idle()
    await sender.webhooks([f"https://hangs/{number}" for number in range(999)])
    hanging = sender.receivers.hang("https://hangs/")
    await app.order("b")
    await sender.number()

    async def all_have_the_event() -> bool:
        await sender.loop.advance()
        return len(sender.receivers.sent) >= 1001

    await eventually(all_have_the_event, "all have the event")
    await sender.loop.advance()
    app.clock.move(seconds=1)
    await app.order("c")
    await sender.number()

    async def healthy_has_three() -> bool:
        await sender.loop.advance()
        return sender.names("https://healthy/") == ["order.created"] * 3

    await eventually(healthy_has_three, "the healthy one has the next")
    hanging.set()
    await sender.loop.rounds()


async def test_a_late_response_counts(app: AppHarness, sender: Sender) -> None:
    """The loop has stored what else ended meanwhile. It doesn't send the event again."""
    webhook = await sender.webhook("https://slow/")
    answers = sender.receivers.hang("https://slow/")
    await app.order("a")
    await sender.number()
    await sender.loop.advance()
    await eventually(lambda: sender.receivers.sent, "the request")
    await sender.loop.advance()
    answers.set()
    await sender.loop.rounds()
    await sender.until_idle()

    assert await sender.states(webhook) == [("delivered", 1)]
    assert sender.names() == ["order.created"]


async def test_a_replay(app: AppHarness, sender: Sender) -> None:
    """The same ids and bodies, marked as a replay; only what is wanted, and what a webhook wants (E-19)."""
    await done_order(app, "a")
    await sender.number()
    webhook = await sender.webhook(types=["suborder.*", "order.done"])
    await done_order(app, "b")
    await sender.until_idle()
    first = list(sender.receivers.sent)
    sender.receivers.sent.clear()
    counts = [
        await replay(app, webhook, from_position=1),
        await replay(app, webhook, from_position=1),  # it waits already
    ]
    await sender.until_idle()
    again = list(sender.receivers.sent)
    sender.receivers.sent.clear()
    counts += [
        await replay(app, webhook, from_position=7, types={EventType.ORDER_DONE}),
        await replay(app, webhook, since=app.clock.now()),
        await replay(app, webhook, only_dead=True),
    ]
    await sender.until_idle()

    assert counts == [6, 0, 1, 0, 0]
    ids = [event["id"] for _, _, event in again]
    assert len(set(ids)) == 6
    assert {event["id"] for _, _, event in first} <= set(ids)
    assert {headers["rs-order-replay"] for _, headers, _ in again} == {"true"}
    assert "rs-order-replay" not in first[0][1]
    assert sender.names() == ["order.done"]


async def replay(app: AppHarness, webhook: UUID, **wanted: Any) -> int:
    async with app.store.unit_of_work(TENANT) as uow:
        replayed = await uow.webhooks.replay(webhook, WantedReplay(**wanted), app.clock.now())
    return replayed.events


async def test_the_owner_of_a_disabled_webhook_gets_a_mail(app: AppHarness, sender: Sender) -> None:
    """It is planned in the commit that disables it (E-18)."""
    sender.receivers.answers["https://a.example.org/"] = Received(410)
    webhook = await sender.webhook()
    await app.order("a")
    await sender.until_idle()
    (mail,) = await app.rows("select * from mail")
    async with app.store.unit_of_work(TENANT) as uow:
        content = await uow.mails.disabled_webhook(webhook)

    assert (mail["kind"], mail["owner"]) == ("WEBHOOK_DISABLED", OWNER)
    assert len(await app.steps(SendMailStep)) == 1
    assert content == DisabledWebhook("https://a.example.org/", None, Disabled.RECEIVER_GONE)

"""Acts of operators on the index of dead letters: pages, runs, corrections, and who may see what."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import pytest

from rs_order.app.clock import SystemClock
from rs_order.app.dead_letters import dead_letter_services
from rs_order.broker.queue_names import topology
from rs_order.core.errors import DeadLetterRejected, InvalidInput, NotFound, UnknownDeadLetter
from rs_order.dead_letters.routes import DeadLetterServices
from rs_order.dead_letters.runs import LetterRunStep
from rs_order.domain.dead_letters import (
    ANY_DEAD_LETTER,
    DeadLetterFilter,
    LetterAct,
    LetterRun,
    LetterState,
    Operator,
    RunState,
    StoredDeadLetter,
)
from rs_order.domain.identity import INSTANCE
from rs_order.ports import MessageKind
from rs_order.store.audit import Audit, AuditSearch
from rs_order.store.dead_letters import DeadLetterIndex, DeadLetterStore
from rs_order.store.pool import Pool

NAMES = topology(instance_identifier="test")
REQUESTS, STEPS = NAMES.order_requests.name, NAMES.steps.name
BODY = b'{"correlationId": "c", "queries": ["*"], "user": "jo"}'
JANE = Operator("jane@example.org", "rest", "project1", "EXPLOIT", "request-7")
ROOT = Operator("root", "cli")
MANY = 5000


def letter(number: int, **members: object) -> StoredDeadLetter:
    values: dict[str, object] = {
        "id": f"letter-{number}",
        "identity": f"letter-{number}",
        "vhost": "multitenant",
        "queue": f"{REQUESTS}.DLQ",
        "origin": REQUESTS,
        "reason": "invalid-message",
        "detail": "a test",
        "tenant": "project1",
        "order_id": None,
        "step": None,
        "message_id": None,
        "correlation_id": None,
        "died_at": datetime(2026, 1, 1, tzinfo=UTC),
        "times": 1,
        "body": BODY,
        "headers": {"rs-order.letter-id": f"letter-{number}", "odd": {"$text": '"\\u0000"'}},
        "properties": {"message_id": "m"},
    }
    return StoredDeadLetter(**{**values, **members})  # type: ignore[arg-type]  # a table of members


@pytest.fixture
def index(pool: Pool) -> DeadLetterIndex:
    return DeadLetterIndex(pool, SystemClock())


@pytest.fixture
def services(pool: Pool) -> DeadLetterServices:
    return dead_letter_services(DeadLetterStore(pool), SystemClock(), NAMES)


@pytest.fixture
async def many(index: DeadLetterIndex) -> int:
    """Index 5,000 dead letters, every second of project2."""
    for start in range(0, MANY, 1000):
        numbers = range(start, start + 1000)
        await index.add([letter(n, tenant=f"project{1 + n % 2}") for n in numbers])
    return MANY


async def outbox(pool: Pool, kind: MessageKind) -> list[dict[str, object]]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "select body from rs_order.outbox where kind = $1 order by id", kind
        )
    return [orjson.loads(row["body"]) for row in rows]


async def carried_out(
    services: DeadLetterServices, run: LetterRun, slices: int = 1000
) -> LetterRun:
    """Handle the steps of a run, each twice as after a redelivery."""
    for _ in range(slices):
        if run.state is not RunState.RUNNING:
            break
        for _ in range(2):
            await services.runs.handle(INSTANCE, LetterRunStep(run.id, run.last_number))
        run = await services.runs.find(run.id, ROOT)
    return run


async def test_every_dead_letter_can_be_listed(services: DeadLetterServices, many: int) -> None:
    """F29: pages of 1000 show all 5,000 once, and a filter that matches none shows none."""
    seen: list[str] = []
    page = await services.acts.list(ANY_DEAD_LETTER, ROOT, 1000)
    seen += [one.id for one in page.letters]
    while page.more:
        page = await services.acts.list(ANY_DEAD_LETTER, ROOT, 1000, after=seen[-1])
        seen += [one.id for one in page.letters]
    nothing = await services.acts.list(DeadLetterFilter(reason="other"), ROOT, 1000)

    assert seen == [f"letter-{number}" for number in range(many)]
    assert nothing.letters == []


async def test_a_run_replays_what_matches_in_slices(
    services: DeadLetterServices, pool: Pool, many: int
) -> None:
    """Each matching letter is replayed once, also if steps come twice; later letters aren't part of it."""
    run = await services.runs.start(
        LetterAct.REPLAY, DeadLetterFilter(tenant="project1"), ROOT, rate=1000
    )
    began = await carried_out(services, run, slices=2)
    await DeadLetterIndex(pool, SystemClock()).add([letter(MANY)])

    ended = await carried_out(services, began)

    assert (began.done, began.left, began.state) == (400, 2100, RunState.RUNNING)
    assert (ended.total, ended.done, ended.left, ended.state) == (2500, 2500, 0, RunState.DONE)
    assert len(await outbox(pool, MessageKind.REPLAY)) == 2500
    remaining = await services.acts.list(DeadLetterFilter(tenant="project1"), ROOT, 10)
    assert [one.id for one in remaining.letters] == [f"letter-{MANY}"]


async def test_a_replay_keeps_to_its_rate(
    services: DeadLetterServices, index: DeadLetterIndex, pool: Pool
) -> None:
    """At ten per second, five messages are due a tenth of a second after each other."""
    await index.add([letter(number) for number in range(5)])

    await services.acts.replay([f"letter-{number}" for number in range(5)], ROOT, rate=10)

    async with pool.acquire() as connection:
        seconds = await connection.fetch(
            "select extract(epoch from due_at - min(due_at) over ())::float8 as at"
            " from rs_order.outbox where due_at is not null order by due_at"
        )
    assert [round(row["at"], 1) for row in seconds] == [0.0, 0.1, 0.2, 0.3]


async def test_a_cancelled_run_stops(services: DeadLetterServices, pool: Pool, many: int) -> None:
    """Dead letters that were handled stay so. The others stay open, and the next step changes nothing."""
    run = await services.runs.start(LetterAct.DISCARD, ANY_DEAD_LETTER, ROOT, because="a test")
    await carried_out(services, run, slices=1)

    cancelled = await services.runs.cancel(run.id, ROOT)
    await services.runs.handle(INSTANCE, LetterRunStep(run.id, cancelled.last_number))

    assert (cancelled.state, cancelled.done) == (RunState.CANCELLED, 200)
    page = await services.acts.list(ANY_DEAD_LETTER, ROOT, MANY)
    assert len(page.letters) == many - 200


async def test_a_run_leaves_what_cannot_be_replayed(
    services: DeadLetterServices, index: DeadLetterIndex
) -> None:
    """It counts the rejections and keeps their reasons."""
    await index.add([letter(0, origin=None), letter(1, origin="queue.of.old"), letter(2)])
    await index.save_missing("multitenant", ["queue.of.old"])

    run = await services.runs.start(LetterAct.REPLAY, ANY_DEAD_LETTER, ROOT)
    ended = await carried_out(services, run)

    assert (ended.done, ended.rejected) == (1, 2)
    assert "queue.of.old, which does not exist" in ended.rejections["letter-1"]


CORRECTIONS = (
    (REQUESTS, b'{"correlationId": "c", "queries": 1}', "queries: Input should be a valid list"),
    (REQUESTS, b"{}", "correlationId is mandatory!"),
    (REQUESTS, b"not JSON", "The body is not JSON"),
    (STEPS, b'{"step": "nothing"}', "There is no step 'nothing'."),
    (STEPS, b'{"step": "expire-order"}', "orderId: Field required"),
)


@pytest.mark.parametrize(("origin", "body", "fault"), CORRECTIONS)
async def test_a_wrong_correction_is_refused(
    services: DeadLetterServices, index: DeadLetterIndex, origin: str, body: bytes, fault: str
) -> None:
    """The text names the member, and the letter stays as it is."""
    await index.add([letter(0, origin=origin)])

    with pytest.raises(InvalidInput, match=fault):
        await services.acts.replay_corrected("letter-0", body, ROOT)

    kept = await services.acts.find("letter-0", ROOT)
    assert (kept.state, kept.body) == (LetterState.OPEN, BODY)


async def test_two_operators_replay_one_letter(
    services: DeadLetterServices, index: DeadLetterIndex, pool: Pool
) -> None:
    """One replay, and one clear answer."""
    await index.add([letter(0)])
    attempts = (services.acts.replay_corrected("letter-0", BODY, who) for who in (JANE, ROOT))

    results: Sequence[object] = await asyncio.gather(*attempts, return_exceptions=True)

    (late,) = (one for one in results if isinstance(one, Exception))
    assert isinstance(late, DeadLetterRejected)
    assert "Dead letter letter-0 was replayed by " in str(late)
    assert len(await outbox(pool, MessageKind.REPLAY)) == 1


async def test_operators_of_a_project_see_only_theirs(
    services: DeadLetterServices, index: DeadLetterIndex
) -> None:
    """Letters of others and of no project don't exist for them, nor do the runs of others."""
    await index.add([letter(0), letter(1, tenant="project2"), letter(2, tenant=None)])
    run = await services.runs.start(LetterAct.DISCARD, ANY_DEAD_LETTER, ROOT, because="a test")

    page = await services.acts.list(ANY_DEAD_LETTER, JANE, 10)

    assert [one.id for one in page.letters] == ["letter-0"]
    for hidden in ("letter-1", "letter-2"):
        with pytest.raises(UnknownDeadLetter, match=hidden):
            await services.acts.replay([hidden], JANE)
    with pytest.raises(InvalidInput, match="tenant"):
        await services.acts.list(DeadLetterFilter(tenant="project2"), JANE, 10)
    with pytest.raises(NotFound):
        await services.runs.cancel(run.id, JANE)
    theirs = await services.runs.start(LetterAct.DISCARD, ANY_DEAD_LETTER, JANE, because="a test")
    assert theirs.total == 1


async def test_entries_of_the_audit_say_who_started_a_run(
    services: DeadLetterServices, index: DeadLetterIndex, pool: Pool
) -> None:
    await index.add([letter(0), letter(1)])
    run = await services.runs.start(LetterAct.DISCARD, ANY_DEAD_LETTER, JANE, because="a test")

    await carried_out(services, run)

    entries = await Audit(pool).page(AuditSearch(), limit=2)
    assert [(one.actor, one.door, one.role, one.correlation_id) for one in entries] == [
        (JANE.name, "rest", "EXPLOIT", "request-7")
    ] * 2


async def test_a_lost_acknowledgement_brings_nothing_back(
    services: DeadLetterServices, index: DeadLetterIndex
) -> None:
    """A closed letter with our id that appears again is to be deleted; one of a Java service is new."""
    java = letter(1, headers={})
    await index.add([letter(0), java])
    await services.acts.discard(["letter-0", "letter-1"], ROOT, "a test")
    await index.left_queue(["letter-0", "letter-1"])

    to_delete = await index.add([letter(0), java])

    assert to_delete == {"letter-0"}
    (again,) = (await services.acts.list(ANY_DEAD_LETTER, ROOT, 10)).letters
    assert again.identity == "letter-1"
    assert again.id.startswith("letter-1-")

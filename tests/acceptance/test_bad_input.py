"""Bad input: each message gets its exact response or becomes a dead letter; other messages are unaffected."""

import json
from collections import Counter
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from rs_order.broker.queue_names import topology
from tests.acceptance.peer import CANCELS, REQUESTS
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import (
    CANCEL_QUEUE,
    EVE_01,
    EVE_01_BYTES,
    FILE_REFERENCE_QUEUE,
    FILE_REFERENCES,
    REQUEST_QUEUE,
    dead_letter_with,
    failure_notification,
    new_user,
    put_in_queue,
    until_rows,
)
from tests.support.mutations import mutated
from tests.support.polling import LOCK_WAITS, eventually
from tests.support.reused_broker import INSTANCE

NO_QUERY = "[NotEmpty] list of queries should not be empty at queries: rejected value [{}]."
NO_DATA_TYPE = (
    "[NotEmpty] There should be at least one datatype to order. DataType can be RAWDATA or "
    "QUICKLOOK at filters.dataTypes: rejected value [null]."
)
NO_USER = "[INVALID_CONTENT] User should be present at user: rejected value [null]."
LONG_USER = "[Size] user must not exceed 128 characters. at user: rejected value [{}]."
LONG_CORRELATION_ID = (
    "[Size] provided correlationId must not exceed 255 characters. at correlationId: "
    "rejected value [{}]."
)
PATTERN = "[Pattern] {} at filters.filenameRegExp: rejected value [{}]."
HEADERS = {"regards.tenant": TENANT, "mark": "kept"}
STEPS = "rs-order.steps"


def request(platform: Platform, **members: Any) -> dict[str, Any]:
    """Return a valid request of a new user, changed by members; Ellipsis leaves a member out."""
    body = {
        "correlationId": f"test-{uuid4()}",
        "queries": [EVE_01],
        "user": new_user(platform),
        **members,
    }
    return {name: value for name, value in body.items() if value is not ...}


async def send(platform: Platform, body: dict[str, Any]) -> str:
    """Publish a request, and return the correlation id of its responses."""
    await platform.peer.send(REQUESTS, json.dumps(body).encode())
    return str(body["correlationId"])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"queries": ...}, NO_QUERY.format("null")),
        ({"queries": None}, NO_QUERY.format("null")),
        ({"queries": []}, NO_QUERY.format("[]")),
        ({"queries": [None]}, NO_QUERY.format("[]")),
        ({"filters": {}}, NO_DATA_TYPE),
        ({"filters": {"dataTypes": None}}, NO_DATA_TYPE),
        ({"filters": {"dataTypes": []}}, NO_DATA_TYPE),
        ({"filters": {"dataTypes": ["RAW", "rawdata", None]}}, NO_DATA_TYPE),
        ({"filters": {"dataTypes": [["RAWDATA"], {}, 1]}}, NO_DATA_TYPE),
        ({"filters": {"datatypes": ["RAWDATA"]}}, NO_DATA_TYPE),
        ({"user": ...}, NO_USER),
        ({"user": None}, NO_USER),
        ({"user": "u" * 129}, LONG_USER.format("u" * 129)),
        (
            {"filters": {"dataTypes": ["RAWDATA"], "filenameRegExp": "(?=x)a"}},
            PATTERN.format("invalid perl operator: (?=", "(?=x)a"),
        ),
        (
            {"filters": {"dataTypes": ["RAWDATA"], "filenameRegExp": r"(a)\1"}},
            PATTERN.format(r"invalid escape sequence: \1", r"(a)\1"),
        ),
        (
            {"filters": {"dataTypes": ["RAWDATA"], "filenameRegExp": "("}},
            PATTERN.format("missing ): (", "("),
        ),
    ],
    ids=[
        "no queries",
        "queries null",
        "queries empty",
        "only null queries",
        "filters empty",
        "data types null",
        "data types empty",
        "unknown data types only",
        "data types that are not strings",
        "data types misspelt",
        "no user",
        "user null",
        "user too long",
        "look-ahead",
        "back reference",
        "not a pattern",
    ],
)
async def test_malformed_content_is_denied_with_its_reason(
    members: dict[str, Any], message: str, platform: Platform
) -> None:
    """The response is DENIED and INVALID_CONTENT, with the text of amqp.md 2.3."""
    correlation_id = await send(platform, request(platform, **members))
    final = await platform.peer.until_final(correlation_id)

    assert final.body == {
        "status": "DENIED",
        "correlationId": correlation_id,
        "message": message,
        "errorType": "INVALID_CONTENT",
        "errors": 1,
    }


async def test_an_unknown_user_is_forbidden(platform: Platform) -> None:
    """rs-admin doesn't know the user: FORBIDDEN, with the text that peers' tests assert."""
    correlation_id = await send(platform, request(platform, user="unknownUser"))
    final = await platform.peer.until_final(correlation_id)

    assert final.body == {
        "status": "DENIED",
        "correlationId": correlation_id,
        "message": "[FORBIDDEN] Unknown user : unknownUser at user: rejected value [null].",
        "errorType": "FORBIDDEN",
        "errors": 1,
    }


async def test_several_violations_come_in_one_response(platform: Platform) -> None:
    """The message has a sentence for each violation, and ``errors`` counts them."""
    correlation_id = f"{uuid4()}".ljust(256, "c")
    body = request(
        platform,
        correlationId=correlation_id,
        queries=[],
        user="u" * 129,
        filters={"filenameRegExp": "a**"},
    )
    final = await platform.peer.until_final(await send(platform, body))

    assert final.body == {
        "status": "DENIED",
        "correlationId": correlation_id,
        "message": ", ".join(
            [
                NO_QUERY.format("[]"),
                NO_DATA_TYPE,
                LONG_CORRELATION_ID.format(correlation_id),
                LONG_USER.format("u" * 129),
                PATTERN.format("bad repetition operator: **", "a**"),
            ]
        ),
        "errorType": "INVALID_CONTENT",
        "errors": 5,
    }
    assert final.correlation_id is None


async def test_a_too_long_correlation_id_is_denied(platform: Platform) -> None:
    """The response has it in the body, but not in the AMQP property, which can't hold it."""
    correlation_id = f"{uuid4()}".ljust(256, "c")
    final = await platform.peer.until_final(
        await send(platform, request(platform, correlationId=correlation_id))
    )

    assert final.body == {
        "status": "DENIED",
        "correlationId": correlation_id,
        "message": LONG_CORRELATION_ID.format(correlation_id),
        "errorType": "INVALID_CONTENT",
        "errors": 1,
    }
    assert final.correlation_id is None


@pytest.mark.parametrize(
    ("filler", "fits"), [("c", True), ("é", False)], ids=["255 bytes", "more bytes than a property"]
)
async def test_w13_the_longest_fields_pass(filler: str, fits: bool, platform: Platform) -> None:
    """255 and 128 characters are accepted and stored; the property is set if the id fits in it."""
    user = new_user(platform, f"{uuid4().hex}@example.org".rjust(128, "u"))
    correlation_id = f"{uuid4()}".ljust(255, filler)
    body = request(platform, correlationId=correlation_id, user=user)
    final = await platform.peer.until_final(await send(platform, body))
    (order,) = await platform.rows(
        "select owner from orders where correlation_id = $1", correlation_id
    )

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]
    assert final.correlation_id == (correlation_id if fits else None)
    assert order["owner"] == user


@pytest.mark.parametrize(
    "members",
    [
        {"sizeLimitInBytes": str(EVE_01_BYTES)},
        {"sizeLimitInBytes": None, "filters": None},
        {"queries": [None, EVE_01, None]},
        {"filters": {"dataTypes": ["RAWDATA", "SOMETHING", None], "filenameRegExp": None}},
        {"unknown": {"deep": [1, None]}, "filters": {"dataTypes": ["RAWDATA"], "more": 1}},
        {"correlationId": 20_240_101},
        {"correlationId": True},
        {"correlationId": ""},
    ],
    ids=[
        "quoted number",
        "nulls",
        "null queries",
        "unknown data type beside a known one",
        "unknown members",
        "number for a string",
        "boolean for a string",
        "empty correlation id",
    ],
)
async def test_tolerated_forms_of_a_request_are_accepted(
    members: dict[str, Any], platform: Platform
) -> None:
    """The tolerance of amqp.md 1.8: such requests are granted and end DONE."""
    body = request(platform, **members)
    written = {True: "true"}.get(body["correlationId"], str(body["correlationId"]))
    await platform.peer.send(REQUESTS, json.dumps(body).encode())
    await platform.peer.until_final(written)

    assert platform.peer.statuses(written) == ["GRANTED", "SUBORDER_DONE", "DONE"]


@pytest.mark.parametrize(
    ("limit", "granted"), [(EVE_01_BYTES, True), (EVE_01_BYTES - 1, False), (-1, False)]
)
async def test_the_size_limit_is_inclusive(limit: int, granted: bool, platform: Platform) -> None:
    """A selection of exactly the limit is accepted; one byte more is rejected with both numbers."""
    correlation_id = await send(platform, request(platform, sizeLimitInBytes=limit))
    await platform.peer.until_final(correlation_id)
    first = platform.peer.responses(correlation_id)[0]

    assert (first.status == "GRANTED") is granted
    if not granted:
        assert first.body == {
            "status": "DENIED",
            "correlationId": correlation_id,
            "message": (
                "ExceededBasketSizeException: The size of the basket [4159 bytes] exceeds the "
                f"maximum size allowed [{limit} bytes]. Please review the order requested so that "
                "it does not exceed the maximum size configured."
            ),
            "errorType": "ORDER_LIMIT_REACHED",
        }


@pytest.mark.parametrize(
    ("query", "error_type", "message"),
    [
        (
            "productId:NOTHING",
            "EMPTY_ORDER",
            "EmptySelectionException: This selection contains no file that can be ordered",
        ),
        (
            "productId:(",
            "INTERNAL_ERROR",
            (
                "CatalogSearchException: Error applying search queries. Please correct your "
                "requests. Maybe your queries contains unknown attributes"
            ),
        ),
    ],
    ids=["finds nothing", "not a query"],
)
async def test_a_useless_query_fails_the_request(
    query: str, error_type: str, message: str, platform: Platform
) -> None:
    """FAILED is the first and only response, even if another query is valid."""
    correlation_id = await send(platform, request(platform, queries=[EVE_01, query]))
    await platform.peer.until_final(correlation_id)

    assert [one.body for one in platform.peer.responses(correlation_id)] == [
        {
            "status": "FAILED",
            "correlationId": correlation_id,
            "message": message,
            "errorType": error_type,
        }
    ]


async def test_a_megabyte_of_query_is_answered(platform: Platform) -> None:
    """Size alone is no reason to reject a request."""
    names = " OR ".join(f"NONE_{number:07d}" for number in range(63_000))
    query = f"productId:(EVE_01 OR {names})"
    correlation_id = await send(platform, request(platform, queries=[query]))
    await platform.peer.until_final(correlation_id)

    assert len(query) > 1_000_000
    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


def _body(**members: Any) -> bytes:
    """Return a request with an unknown user: it must not get as far as the check of the user."""
    valid = {"correlationId": f"bad-{uuid4()}", "queries": [EVE_01], "user": "nobody@example.org"}
    return json.dumps({**valid, **members}).encode()


UNREADABLE_REQUESTS = [
    pytest.param(b"", "not-converted-message", id="empty"),
    pytest.param(b"not JSON", "not-converted-message", id="not JSON"),
    pytest.param(b'{"correlationId": "x"', "not-converted-message", id="truncated"),
    pytest.param(b'{"correlationId": "x"} {}', "not-converted-message", id="trailing data"),
    pytest.param(b"\xff\xfe{}", "not-converted-message", id="not UTF-8"),
    pytest.param(b"null", "not-converted-message", id="null"),
    pytest.param(b'["a list"]', "not-converted-message", id="a list"),
    pytest.param(b"[" * 100_000, "not-converted-message", id="nested too deep"),
    pytest.param(_body(queries=EVE_01), "not-converted-message", id="queries is a string"),
    pytest.param(_body(queries=[{}]), "not-converted-message", id="a query is an object"),
    pytest.param(_body(filters=[]), "not-converted-message", id="filters is a list"),
    pytest.param(
        _body(filters={"dataTypes": "RAWDATA"}),
        "not-converted-message",
        id="data types is a string",
    ),
    pytest.param(_body(sizeLimitInBytes="ten"), "not-converted-message", id="limit is a string"),
    pytest.param(_body(sizeLimitInBytes=2**63), "not-converted-message", id="limit over 64 bits"),
    pytest.param(_body(sizeLimitInBytes=1.5), "not-converted-message", id="limit is a fraction"),
    pytest.param(_body(user={"email": "x"}), "not-converted-message", id="user is an object"),
    pytest.param(_body(correlationId=["x"]), "not-converted-message", id="correlationId is a list"),
    pytest.param(_body(user="nul\0nul"), "not-converted-message", id="U+0000"),
    pytest.param(_body(user="\ud800"), "not-converted-message", id="half a surrogate pair"),
    pytest.param(_body(correlationId=None), "invalid-message", id="correlationId null"),
    pytest.param(b"{}", "invalid-message", id="empty object"),
]


@pytest.mark.parametrize(("body", "reason"), UNREADABLE_REQUESTS)
async def test_what_cannot_be_answered_is_a_dead_letter(
    body: bytes, reason: str, platform: Platform
) -> None:
    """The sender is unknown: the message is kept unchanged with its reason, and operators are notified."""
    await platform.peer.send(REQUESTS, body, HEADERS)
    dead_letter = await dead_letter_with(platform, REQUEST_QUEUE, body)
    (notification,) = await platform.sandbox.notifications.wait_for(1)

    assert dead_letter.headers["rs-order.reason"] == reason
    assert dead_letter.headers["x-death-queue"] == REQUEST_QUEUE
    assert dead_letter.headers["x-original-exchange"] == REQUESTS
    assert dead_letter.headers["x-exception-message"]
    assert {name: dead_letter.headers[name] for name in HEADERS} == HEADERS
    assert dead_letter.content_type == "application/json"
    label = {"not-converted-message": "conversion", "invalid-message": "invalid"}[reason]
    assert notification.tenant == TENANT
    assert notification.body == failure_notification(1, **{label: 1})


@pytest.mark.parametrize(
    ("headers", "reason", "label"),
    [
        ({"mark": "kept"}, "missing-tenant", "tenant"),
        ({"regards.tenant": "", "mark": "kept"}, "missing-tenant", "tenant"),
        ({"regards.tenant": 7, "mark": "kept"}, "missing-tenant", "tenant"),
        ({"regards.tenant": "nowhere", "mark": "kept"}, "unknown-tenant", "unknown"),
        ({"regards.tenant": 'x"; drop', "mark": "kept"}, "unknown-tenant", "unknown"),
    ],
    ids=["none", "empty", "not a string", "unknown", "not a name"],
)
@pytest.mark.parametrize(
    ("exchange", "queue"),
    [(REQUESTS, REQUEST_QUEUE), (CANCELS, CANCEL_QUEUE)],
    ids=["order", "cancel"],
)
async def test_a_message_without_a_known_tenant_is_a_dead_letter(
    *,
    exchange: str,
    queue: str,
    headers: dict[str, Any],
    reason: str,
    label: str,
    platform: Platform,
) -> None:
    """The message is kept, and the operators of the installation are notified."""
    body = json.dumps({"correlationId": f"{uuid4()}", "orderId": 1}).encode()
    await platform.peer.send(exchange, body, headers)
    dead_letter = await dead_letter_with(platform, queue, body)
    (notification,) = await platform.sandbox.notifications.wait_for(1)

    assert dead_letter.headers["rs-order.reason"] == reason
    assert dead_letter.headers["x-death-queue"] == queue
    assert {name: dead_letter.headers.get(name) for name in headers} == headers
    assert notification.tenant == "instance"
    assert notification.body == failure_notification(1, **{label: 1})


async def _is_empty(platform: Platform, queue: str) -> bool:
    """True if the broker has delivered all messages of a queue."""
    declared = await platform.peer.channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count == 0


async def test_w13_valid_requests_beside_invalid_ones_are_granted(platform: Platform) -> None:
    """In one batch: each valid request ends DONE, each invalid one is DENIED or becomes a dead letter."""
    good = [request(platform) for _ in range(4)]
    denied = [request(platform, queries=[]), request(platform, user="unknownUser")]
    unreadable = [b"not JSON", b"[]", b"{}"]
    batch = [
        json.dumps(good[0]).encode(),
        unreadable[0],
        json.dumps(denied[0]).encode(),
        json.dumps(good[1]).encode(),
        unreadable[1],
        json.dumps(denied[1]).encode(),
        unreadable[2],
        json.dumps(good[2]).encode(),
    ]
    holder = await asyncpg.connect(platform.database_url)
    try:
        async with holder.transaction():
            # The first request waits for this lock; the messages after it form one batch.
            await holder.execute(f"lock table order_{TENANT}.order_request")
            await send(platform, good[3])
            await until_rows(platform, LOCK_WAITS)
            for message in batch:
                await platform.peer.send(REQUESTS, message)
            await eventually(lambda: _is_empty(platform, REQUEST_QUEUE), "all messages delivered")
    finally:
        await holder.close()
    for body in good:
        await platform.peer.until_final(body["correlationId"])
    answers = [await platform.peer.until_final(body["correlationId"]) for body in denied]
    for message in unreadable:
        await dead_letter_with(platform, REQUEST_QUEUE, message)
    (notification,) = await platform.sandbox.notifications.wait_for(1)

    for body in good:
        statuses = platform.peer.statuses(body["correlationId"])
        assert statuses == ["GRANTED", "SUBORDER_DONE", "DONE"]
    assert [answer.status for answer in answers] == ["DENIED", "DENIED"]
    assert [answer.body["errorType"] for answer in answers] == ["INVALID_CONTENT", "FORBIDDEN"]
    assert notification.body == failure_notification(3, conversion=2, invalid=1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not JSON", "not-converted-message"),
        (b'{"correlationId": "c"}', "invalid-message"),
        (b'{"orderId": 1}', "invalid-message"),
        (b'{"orderId": "one", "correlationId": "c"}', "not-converted-message"),
        (
            json.dumps({"orderId": 1, "correlationId": "c" * 256}).encode(),
            "invalid-message",
        ),
    ],
    ids=["not JSON", "no order", "no correlationId", "order is a string", "correlationId too long"],
)
async def test_a_bad_cancel_request_is_a_dead_letter(
    body: bytes, reason: str, platform: Platform
) -> None:
    """It gets no response; a valid one right behind it is carried out."""
    correlation_id = await send(platform, request(platform))
    order_id = (await platform.peer.until_final(correlation_id)).body["orderId"]
    await platform.peer.send(CANCELS, body, HEADERS)
    await platform.peer.cancel(order_id)
    dead_letter = await dead_letter_with(platform, CANCEL_QUEUE, body)
    await until_rows(
        platform, "select 1 from orders where id = $1 and status = 'DELETED'", order_id
    )

    assert dead_letter.headers["rs-order.reason"] == reason
    assert dead_letter.headers["x-death-queue"] == CANCEL_QUEUE
    assert dead_letter.headers["mark"] == "kept"


async def test_irrelevant_file_events_are_dropped_and_counted(platform: Platform) -> None:
    """Events of other tenants or unused types are only counted; an unreadable one becomes a dead letter."""
    before = await dropped(platform)
    foreign = b'{"type": "AVAILABLE", "checksum": "abc"}'
    await platform.peer.send(FILE_REFERENCES, foreign, {"regards.tenant": "elsewhere"})
    await platform.peer.send(FILE_REFERENCES, b"not JSON", {"regards.tenant": "elsewhere"})
    for kind in ("STORED", "COPIED", "FULLY_DELETED", "SOMETHING_NEW", None):
        await platform.peer.send(
            FILE_REFERENCES, json.dumps({"type": kind, "checksum": "abc"}).encode()
        )
    await platform.peer.send(FILE_REFERENCES, b'{"type": "AVAILABLE"}')
    await platform.peer.send(FILE_REFERENCES, b"not JSON", HEADERS)
    dead_letter = await dead_letter_with(platform, FILE_REFERENCE_QUEUE, b"not JSON")
    after = await dropped(platform)

    assert dead_letter.headers["rs-order.reason"] == "not-converted-message"
    assert dead_letter.headers["x-death-queue"] == FILE_REFERENCE_QUEUE
    assert after["foreign-tenant"] - before.get("foreign-tenant", 0) == 2
    assert after["unused-type"] - before.get("unused-type", 0) == 6


@pytest.mark.parametrize(
    ("body", "tenant", "reason"),
    [
        (b"not JSON", TENANT, "not-converted-message"),
        (b"[]", TENANT, "not-converted-message"),
        (b'{"orderId": 1}', TENANT, "not-converted-message"),
        (b'{"step": "unknown"}', TENANT, "not-converted-message"),
        (b'{"step": "complete-order"}', TENANT, "invalid-message"),
        (b'{"step": "schedule", "owner": 5}', TENANT, "invalid-message"),
        (b'{"step": "tidy", "round": 1}', "nowhere", "unknown-tenant"),
    ],
    ids=[
        "not JSON",
        "a list",
        "no step",
        "unknown step",
        "no arguments",
        "wrong argument",
        "unknown tenant",
    ],
)
async def test_an_unreadable_step_is_a_dead_letter(
    body: bytes, tenant: str, reason: str, platform: Platform
) -> None:
    """An unreadable step becomes a dead letter at once; the steps behind it are done."""
    await put_in_queue(platform, STEPS, body, {"regards.tenant": tenant, "mark": "kept"})
    correlation_id = await send(platform, request(platform))
    dead_letter = await dead_letter_with(platform, STEPS, body)
    final = await platform.peer.until_final(correlation_id)

    assert dead_letter.headers["rs-order.reason"] == reason
    assert dead_letter.headers["x-death-queue"] == STEPS
    assert dead_letter.headers["mark"] == "kept"
    assert final.status == "DONE"


async def dropped(platform: Platform) -> dict[str, float]:
    """Return the number of dropped messages of the file queue by reason, from the Prometheus metrics."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{platform.port}/actuator/prometheus")
    counted = {}
    for line in answer.text.splitlines():
        if line.startswith("rs_order_messages_dropped_total") and FILE_REFERENCE_QUEUE in line:
            counted[line.partition('reason="')[2].partition('"')[0]] = float(line.split()[-1])
    return counted


MUTATED: dict[str, dict[str, Any]] = {
    "order_requests": {
        "correlationId": "mutated-NUMBER",
        "user": "mutated-NUMBER@example.org",
        "queries": [EVE_01],
        "filters": {"dataTypes": ["RAWDATA"], "filenameRegExp": ".*"},
        "sizeLimitInBytes": 1,
    },
    "order_cancels": {"correlationId": "mutated-NUMBER", "orderId": 999_999_999},
    "file_references": {"type": "AVAILABLE", "checksum": "mutated", "message": "m"},
    "processing_results": {
        "batchCorrelationId": f"{TENANT}:1:1",
        "executionCorrelationId": "e",
        "processInfo": {"a": "b"},
        "finalStatus": "SUCCESS",
        "outputs": [{"url": "file:///a", "name": "a", "size": 1}],
        "messages": ["m"],
    },
    "process_rights": {
        "type": "DELETE",
        "oldValue": {"pluginConfiguration": {"businessId": str(uuid4())}},
        "newValue": {"pluginConfiguration": {"businessId": str(uuid4())}},
    },
    "file_reference_updates": {"checksum": "mutated"},
}
"""A valid message for each queue of peers. NUMBER makes each mutation another request."""


@pytest.mark.parametrize("queue", MUTATED)
async def test_mutated_messages_are_all_accounted_for(queue: str, platform: Platform) -> None:
    """Each one has an effect, is a dead letter with a reason, or is dropped and counted; none is a defect."""
    name = getattr(topology(instance_identifier=INSTANCE), queue).name
    bodies = [
        body.replace(b"NUMBER", str(number).encode())
        for number, body in enumerate(mutated(MUTATED[queue]))
    ]
    before = counters_of(name)
    (stored,) = await platform.rows("select count(*) from order_request")
    for body in bodies:
        await put_in_queue(platform, name, body, {"regards.tenant": TENANT})
    await eventually(
        lambda: sum((counters_of(name) - before).values()) >= len(bodies), f"{name} is handled"
    )
    counted = counters_of(name) - before
    (now_stored,) = await platform.rows("select count(*) from order_request")
    await eventually(
        lambda: platform.rows(
            "select 1 where not exists (select from order_request where state = 'RECEIVED')"
        ),
        "every request is decided",
    )

    assert counted["unexpected-batch-failure"] == 0
    assert counted.total() == len(bodies)
    if queue == "order_requests":
        assert now_stored["count"] - stored["count"] == counted["acknowledged"]


def counters_of(queue: str) -> Counter[str]:
    """Return the messages of a queue that were dead-lettered, by reason, and those only acknowledged."""
    found: Counter[str] = Counter()
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            if sample.labels.get("queue") != queue:
                continue
            if sample.name == "rs_order_acknowledged_total":
                found["acknowledged"] += int(sample.value)
            if sample.name == "rs_order_dead_lettered_total":
                found[sample.labels["reason"]] += int(sample.value)
                found["acknowledged"] -= int(sample.value)
    return found

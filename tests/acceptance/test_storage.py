"""Events of storage: normal, repeated, late, contradictory or missing; their metrics and traces."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rs_order import traces
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.peer import REQUESTS
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import (
    EVE_01,
    FILE_REFERENCE_QUEUE,
    FILE_REFERENCES,
    fence,
    md5_of,
    new_user,
    until_rows,
)
from tests.support.polling import eventually
from tests.support.servers import FreshBroker


async def test_w2_unanswered_restores_are_retried_given_up_and_repaired_by_a_late_event(
    broker: FreshBroker, database_url: str
) -> None:
    """Requested again after 30 and 60 minutes, ERROR after 4 hours; the late event makes the order DONE."""
    faults = Faults(silence=True)
    async with (
        running_platform(broker, database_url, faults=faults, storage_silence_hours=4) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order(EVE_01)
        order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
        for asks, hours in ((1, 0.0), (2, 0.6), (3, 1.7)):
            platform.clock.ahead = timedelta(hours=hours)
            await until_rows(platform, "select 1 from sub_order where asks = $1", asks)
        await platform.sandbox.restores.wait_for_requests(3)

        platform.clock.ahead = timedelta(hours=4.1)
        failed = await platform.peer.until_final(correlation_id)
        (file,) = await platform.rows("select state, reason from data_file")

        assert (failed.status, failed.body["errors"]) == ("FAILED", 1)
        assert "downloadLink" not in failed.body
        assert dict(file) == {"state": "ERROR", "reason": "Storage gave no answer for 4 hours."}

        platform.sandbox.restores.release()
        await platform.peer.until(correlation_id, "DONE")

        assert platform.peer.statuses(correlation_id) == [
            "GRANTED",
            "FAILED",
            "SUBORDER_DONE",
            "DONE",
        ]
        assert len(await platform.zip_of(order_id)) == 1


async def test_an_unanswered_order_expires_and_a_late_event_changes_nothing(
    broker: FreshBroker, database_url: str
) -> None:
    """An automatic order of one sub-order lives 6 hours (domain.md 4.7); peers get no message (O11)."""
    faults = Faults(silence=True)
    async with (
        running_platform(broker, database_url, faults=faults) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order(EVE_01)
        await platform.peer.until(correlation_id, "GRANTED")
        await platform.sandbox.restores.wait_for_requests(1)
        platform.clock.ahead = timedelta(hours=6.1)
        await until_rows(platform, "select 1 from orders where status = 'EXPIRED'")
        platform.sandbox.restores.release()
        platform.sandbox.faults.silence = False
        await fence(platform)

        assert platform.peer.statuses(correlation_id) == ["GRANTED"]
        assert not await platform.rows(
            "select 1 from data_file where order_id = (select min(id) from orders)"
        )


async def test_an_error_of_an_earlier_request_does_not_answer_a_retry(platform: Platform) -> None:
    """The event names the request that it answers. It comes again before the answer to the retry's own."""
    user, faults = new_user(platform), platform.sandbox.faults
    sent = platform.sandbox.events_since()
    faults.storage_errors = {md5_of("eve_01.txt"): "tape is broken"}
    correlation_id = await platform.peer.order(EVE_01, user=user)
    order_id = (await platform.peer.until(correlation_id, "FAILED")).body["orderId"]
    errors = platform.sandbox.events_since(sent[-1].number if sent else 0)
    faults.storage_errors, faults.silence = {}, True
    asked = len(platform.sandbox.restores.requests)
    async with platform.client(user) as client:
        assert (await client.put(f"/user/orders/{order_id}/retry")).status_code == 200
    await platform.sandbox.restores.wait_for_requests(asked + 1)

    for event in errors:
        platform.sandbox.send(event.event)
    faults.silence = False
    platform.sandbox.restores.release()
    await platform.peer.until(correlation_id, "DONE")

    assert [event.event.body["type"] for event in errors] == ["AVAILABILITY_ERROR"]
    assert platform.peer.statuses(correlation_id) == ["GRANTED", "FAILED", "SUBORDER_DONE", "DONE"]


async def test_events_sent_three_times_count_once(platform: Platform) -> None:
    """Each response is sent once, however often storage repeats an event."""
    platform.sandbox.faults.duplicates = 3
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    await platform.peer.until_final(correlation_id)
    await fence(platform)

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_unrelated_events_change_nothing(platform: Platform) -> None:
    """Most events have other types or other checksums."""
    platform.sandbox.faults.noise = 5
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    await platform.peer.until_final(correlation_id)

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_w5_a_checksum_shared_by_several_files_is_requested_once(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Two products with the same content: two files, one restore request, one event for both (W5)."""
    maker = ArchiveMaker(tmp_path)
    (first,) = maker.product("DS", "A")
    (second,) = maker.product("DS", "B")
    maker.give_same_content(first, second)
    async with (
        running_platform(broker, database_url, archive=maker.write()) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*")
        final = await platform.peer.until_final(correlation_id)
        (request,) = platform.sandbox.restores.requests
        states = await platform.rows("select name, state from data_file order by name")

        assert final.status == "DONE"
        assert request.checksums == (maker.checksum(first),)
        assert [tuple(row) for row in states] == [(first, "AVAILABLE"), (second, "AVAILABLE")]


async def test_w11_an_error_after_available_counts_while_the_sub_order_runs(
    platform: Platform,
) -> None:
    """AVAILABLE followed by an error counts as ERROR; after the end of the order nothing changes."""
    platform.sandbox.faults.silence = True
    user = new_user(platform)
    correlation_id = await platform.peer.order(EVE_01, "productId:EVE_02", user=user)
    order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await platform.sandbox.restores.wait_for_requests(1)
    (first, second) = platform.sandbox.restores.requests[0].checksums
    await _publish_event(platform, "AVAILABLE", first)
    await _until_state(platform, order_id, first, "AVAILABLE")
    await _publish_event(platform, "AVAILABILITY_ERROR", first, message="tape was eaten")
    await _until_state(platform, order_id, first, "ERROR")
    await _publish_event(platform, "AVAILABLE", second)
    final = await platform.peer.until_final(correlation_id)
    await _publish_event(platform, "AVAILABILITY_ERROR", second, message="too late")
    platform.sandbox.faults.silence = False
    await fence(platform)
    files = await platform.rows(
        "select checksum, state, reason from data_file where order_id = $1", order_id
    )

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "FAILED"]
    assert final.body == {
        "status": "FAILED",
        "orderId": order_id,
        "correlationId": correlation_id,
        "message": f"Order of user {user} is finished with some warnings.",
        "downloadLink": final.body["downloadLink"],
        "errorType": "INTERNAL_ERROR",
        "errors": 1,
        "totalSubOrders": 1,
    }
    assert {tuple(row) for row in files} == {
        (first, "ERROR", "tape was eaten"),
        (second, "AVAILABLE", None),
    }


async def test_a_checksum_that_storage_does_not_know_is_an_error(platform: Platform) -> None:
    """Storage reports it at once; the file keeps the text as its reason."""
    platform.sandbox.faults.silence = True
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    await platform.sandbox.restores.wait_for_requests(1)
    (checksum,) = platform.sandbox.restores.requests[0].checksums
    text = f"file with checksum {checksum} does not exists."
    await _publish_event(platform, "AVAILABILITY_ERROR", checksum, message=text)
    final = await platform.peer.until_final(correlation_id)
    (file,) = await platform.rows(
        "select state, reason from data_file where order_id = $1", final.body["orderId"]
    )

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "FAILED"]
    assert "downloadLink" not in final.body
    assert dict(file) == {"state": "ERROR", "reason": text}


async def test_files_that_storage_never_reports_fail_alone(
    broker: FreshBroker, database_url: str
) -> None:
    """The other file stays available; a late event makes the order DONE, with one response."""
    async with (
        running_platform(broker, database_url, storage_silence_hours=4) as platform,
        platform.service(),
    ):
        platform.sandbox.faults.silence = True
        correlation_id = await platform.peer.order(EVE_01, "productId:EVE_02")
        await platform.sandbox.restores.wait_for_requests(1)
        (reported, unreported) = platform.sandbox.restores.requests[0].checksums
        await _publish_event(platform, "AVAILABLE", reported)
        await until_rows(platform, "select 1 from orders where available_files = 1")
        platform.clock.ahead = timedelta(hours=4.1)
        partial = await platform.peer.until_final(correlation_id)
        for _ in range(3):
            await _publish_event(platform, "AVAILABLE", unreported)
        await platform.peer.until(correlation_id, "DONE")
        platform.sandbox.faults.silence = False
        await fence(platform)
        (order,) = await platform.rows(
            "select status, available_files, error_files from orders where correlation_id = $1",
            correlation_id,
        )

        assert partial.body["errors"] == 1
        assert "downloadLink" in partial.body
        assert platform.peer.statuses(correlation_id) == [
            "GRANTED",
            "SUBORDER_DONE",
            "FAILED",
            "DONE",
        ]
        assert dict(order) == {"status": "DONE", "available_files": 2, "error_files": 0}


async def _publish_event(platform: Platform, kind: str, checksum: str, **members: str) -> None:
    """Publish an event as storage does, without the simulated storage."""
    body = {"type": kind, "checksum": checksum, **members}
    await platform.peer.send(FILE_REFERENCES, json.dumps(body).encode())


async def _until_state(platform: Platform, order_id: int, checksum: str, state: str) -> None:
    await until_rows(
        platform,
        "select 1 from data_file where order_id = $1 and checksum = $2 and state = $3",
        order_id,
        checksum,
        state,
    )


async def test_only_internal_files_are_requested_from_storage(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Attached internal files are too; external files and files of rs-dam are available at once."""
    maker = ArchiveMaker(tmp_path)
    maker.product("DS", "tape")
    maker.product("DS", "web", location="external")
    maker.attach("DS", "notes.txt", "dam")
    maker.attach("DS", "calibration.dat", "nearline")
    faults = Faults(silence=True)
    async with (
        running_platform(broker, database_url, archive=maker.write(), faults=faults) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*")
        await platform.sandbox.restores.wait_for_requests(1)
        (request,) = platform.sandbox.restores.requests
        files = await platform.rows(
            "select name, f.state, kind from data_file f join sub_order s on s.id = sub_order_id"
        )

        assert {(row["name"], row["state"], row["kind"]) for row in files} == {
            ("tape_0.dat", "PENDING", "STORAGE"),
            ("calibration.dat", "PENDING", "STORAGE"),
            ("web_0.dat", "AVAILABLE", "EXTERNAL"),
            ("notes.txt", "AVAILABLE", "EXTERNAL"),
        }
        assert set(request.checksums) == {
            maker.checksum("tape_0.dat"),
            maker.checksum("calibration.dat"),
        }
        assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE"]


async def test_2500_files_are_requested_in_three_messages(
    broker: FreshBroker, database_url: str
) -> None:
    """Each has at most 1000 distinct checksums and its own group; none is repeated (amqp.md 3.2)."""
    dataset = SyntheticDataset(name="MANY", products=2500)
    async with (
        running_platform(
            broker, database_url, archive=None, synthetic=(dataset,), faults=Faults(silence=True)
        ) as platform,
        platform.service(),
    ):
        await platform.peer.order("dataset:MANY")
        await platform.sandbox.restores.wait_for_requests(3)
        requests = platform.sandbox.restores.requests
        requested = [checksum for request in requests for checksum in request.checksums]

        assert sorted(len(request.checksums) for request in requests) == [500, 1000, 1000]
        assert len(set(requested)) == 2500
        assert len({request.group_id for request in requests}) == 3
        assert {request.availability_hours for request in requests} == {2}


async def test_metrics_of_an_order(platform: Platform) -> None:
    """A scrape after an order was downloaded: what was counted for it, and that nothing waits any more."""
    before = await _metrics(platform)
    final = await platform.peer.until_final(await platform.peer.order(EVE_01))
    downloaded = await platform.download(final.body["orderId"])
    await until_rows(platform, "select from data_file where state = 'DOWNLOADED'")
    after = await _metrics(platform)

    def added(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert added('rs_order_request_granted_seconds_count{tenant="project1"}') == 1
    assert added('rs_order_sub_order_done_seconds_count{tenant="project1"}') == 1
    assert added('rs_order_download_bytes_total{kind="zip"}') == len(downloaded.content) > 0
    assert after['rs_order_component_up{component="db"}'] == 1
    assert after[f'rs_order_queue_consumers{{queue="{FILE_REFERENCE_QUEUE}"}}'] == 1
    assert after[f'rs_order_queue_oldest_seconds{{queue="{FILE_REFERENCE_QUEUE}"}}'] == 0
    assert after['rs_order_dead_letters{queue="regards.DLQ",vhost="multitenant"}'] == 0
    assert after['rs_order_outbox_oldest_seconds{state="rejected"}'] == 0
    assert after['rs_order_restores_in_flight{tenant="project1"}'] == 0
    assert after["rs_order_pool_size"] == platform.settings.database_pool_size
    assert after["rs_order_pool_waiting"] == 0
    assert added('rs_order_remote_call_seconds_count{outcome="ok",service="rs-catalog"}') > 0


async def test_one_trace_from_the_request_to_the_last_response(platform: Platform) -> None:
    """Steps, calls of services and responses belong to the sender's trace, though storage begins its own."""
    exported = InMemorySpanExporter()
    stop = traces.start(SimpleSpanProcessor(exported))
    try:
        correlation_id = "traced"
        await platform.peer.send(
            REQUESTS,
            json.dumps(
                {"correlationId": correlation_id, "queries": [EVE_01], "user": "jane@example.org"}
            ).encode(),
            {"regards.tenant": "project1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
        )
        order = (await platform.peer.until_final(correlation_id)).body["orderId"]
        headers = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01"}
        async with platform.client("jane@example.org") as client:
            await client.get(f"/user/orders/{order}/download", headers=headers)
        await eventually(lambda: _ended(exported, "HTTP GET"), "the request has ended")
    finally:
        stop()
    ways = _ways(exported.get_finished_spans())
    responses = platform.peer.responses(correlation_id)
    granted = f"{'a' * 32} > handle OrderRequestEventHandler > step grant-requests"
    completed = f"{granted} > step complete-order"

    assert ways[f"{granted} > call rs-catalog"] == 1
    assert ways[f"{completed} > call rs-dam"] == 1
    assert ways[f"{completed} > step schedule > publish RESTORE_REQUEST"] == 1
    assert ways[f"{granted} > publish ORDER_RESPONSE"] == len(responses) == 3
    assert {str(one.headers["traceparent"])[:36] for one in responses} == {f"00-{'a' * 32}-"}
    assert ways[f"{'c' * 32} > HTTP GET > call rs-storage"] == 1
    assert [way for way in ways if "step recount > publish STEP > step recount" in way] == []


def _ended(exported: InMemorySpanExporter, name: str) -> bool:
    return any(span.name == name for span in exported.get_finished_spans())


def _ways(spans: Sequence[ReadableSpan]) -> Counter[str]:
    """Count the spans by the id of their trace and the names from its root to them."""
    by_id = {span.context.span_id: span for span in spans}

    def way(span: ReadableSpan) -> str:
        parent = by_id.get(span.parent.span_id) if span.parent else None
        return f"{way(parent) if parent else f'{span.context.trace_id:032x}'} > {span.name}"

    return Counter(map(way, spans))


async def _metrics(platform: Platform) -> dict[str, float]:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{platform.port}/actuator/prometheus")
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}

"""Orders whose files are outputs of a process: domain.md 5 and 8, and fact 11 of section 20."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from rs_order.demo.servers.lifecycle import Servers
from rs_order.sandbox import amqp_wire
from rs_order.sandbox.amqp_wire import Event
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.process_catalog import RightsChange
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.platform import TENANT, Platform, running_platform
from tests.acceptance.processing import (
    Ordered,
    a_process,
    act,
    dataset_urn,
    order,
)
from tests.support.polling import eventually
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import FreshBroker, fresh_database

SHARED_DEAD_LETTERS = "regards.DLQ"


@pytest.fixture(scope="module")
async def module_platform(
    servers: Servers,
    _database_admin: asyncpg.Connection,
    _reused_broker: ReusedBroker,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Platform]:
    """Datasets of ten products, of three with two files each, of two external ones; pages of 4."""
    maker = ArchiveMaker(tmp_path_factory.mktemp("processing"))
    for number in range(10):
        maker.product("TEN", f"T{number}")
    for number in range(3):
        maker.product("THREE", f"H{number}", 2)
    for number in range(2):
        maker.product("EXTERNAL", f"E{number}", location="external")
    maker.product("ATTACHED", "A0")
    maker.attach("ATTACHED", "stored.txt", "nearline")
    maker.attach("ATTACHED", "dam.txt", "dam")
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(
            broker,
            database_url,
            archive=maker.write(),
            batch_size=4,
            max_storage_files_jobs_per_user=0,
            remote_deadline=2,
        ) as platform,
        platform.service(),
    ):
        yield platform


@pytest.fixture
async def platform(module_platform: Platform) -> AsyncIterator[Platform]:
    module_platform.sandbox.faults.nearline_seconds = 0.02
    yield module_platform
    module_platform.reset_sandbox()
    module_platform.clock.ahead = timedelta()


def checksums(platform: Platform, *names: str) -> list[str]:
    files = [
        file
        for holding in platform.sandbox.holdings
        for file in (holding.file_named(name) for name in names)
        if file
    ]
    assert len(files) == len(names)
    return [file.checksum for file in files]


@pytest.mark.parametrize(
    ("scope", "cardinality", "limit", "executions"),
    [
        ("FEATURE", "ONE_PER_INPUT_FILE", 1, 10),
        ("SUBORDER", "ONE_PER_FEATURE", 4, 3),
        ("SUBORDER", "ONE_PER_EXECUTION", 5, 2),
    ],
)
async def test_fact_11_the_limit_of_a_process_splits_its_executions(
    scope: str, cardinality: str, limit: int, executions: int, platform: Platform
) -> None:
    """Fact 11: so many executions, one SUBORDER_DONE per sub-order, then DONE, whatever the page size."""
    process = a_process(platform, scope, cardinality, limit_type="FILES", limit=limit)
    ordered = await order(platform, "TEN", process)

    assert await ordered.until_final() == "DONE"
    assert len(ordered.executions) == executions
    assert platform.peer.statuses(ordered.correlation_id) == ["SUBORDER_DONE"] * executions + [
        "DONE"
    ]
    numbers = sorted(int(one.correlation_id.rpartition("-")[2]) for one in _batches(ordered))
    assert numbers == list(range(1, executions + 1))


def _batches(ordered: Ordered) -> list[Any]:
    found = {one.batch.correlation_id: one.batch for one in ordered.executions}
    return list(found.values())


async def test_fact_11_a_process_that_forbids_a_split_accepts_an_exact_fit(
    platform: Platform,
) -> None:
    """Fact 11: ten products with a limit of ten make one execution."""
    process = a_process(
        platform,
        "SUBORDER",
        "ONE_PER_EXECUTION",
        limit_type="FEATURES",
        limit=10,
        forbids_split=True,
    )
    ordered = await order(platform, "TEN", process)

    assert await ordered.until_final() == "DONE"
    assert len(ordered.executions) == 1


async def test_w4_fact_11_a_forbidden_split_fails_the_order_with_the_whole_message(
    platform: Platform,
) -> None:
    """Fact 11: with a limit of one there is no execution; the order is FAILED with the whole long message."""
    process = a_process(
        platform,
        "SUBORDER",
        "ONE_PER_EXECUTION",
        limit_type="FEATURES",
        limit=1,
        forbids_split=True,
    )
    ordered = await order(platform, "TEN", process)

    assert await ordered.until_final() == "FAILED"
    (row,) = await platform.rows("select message, sub_orders from orders where id = $1", ordered.id)
    assert row["message"] == (
        f"order={ordered.id} processUuid={process.id} Suborder interrupted because one of the "
        'following limit was reached : "MAX_EXTERNAL_BUCKET_FILE_COUNT" = false, '
        '"MAX_STORAGE_BUCKET_SIZE" = false, process info "FILES" = false, '
        'process info "FEATURES" = true, process info "BYTES" (size limit) = false\n'
        ". The order cannot be processed because the parameter forbidSplitInSuborders is active. "
        "Please decrease the number of items ordered or contact the administrator for more "
        "information."
    )
    assert row["sub_orders"] == 0
    assert ordered.executions == []


async def test_batch_and_execution_requests_follow_the_contract(platform: Platform) -> None:
    """With the user and role of the owner; each input has the ids that results refer to."""
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    await ordered.until_final()
    batch = _batches(ordered)[0]
    (call,) = [
        one
        for one in platform.sandbox.calls.recent("rs-processing")
        if one.path == "/batch" and one.email == ordered.owner
    ]
    selection = await platform.rows(
        "select selection.id from dataset_selection selection join basket on basket.id = basket_id"
        " where order_id = $1",
        ordered.id,
    )

    assert (call.role, call.tenant) == ("REGISTERED_USER", TENANT)
    assert batch.parameters == {"epsg": "4326"}
    assert batch.correlation_id == f"order-{ordered.id}_dsSel-{selection[0]['id']}_subOrder-1"
    assert len(ordered.executions) == 3
    for execution in ordered.executions:
        urn = execution.inputs[0]["metadata"]["featureId"]
        assert json.loads(execution.correlation_id) == {
            "user": ordered.owner,
            "featureId": ["defined", urn],
        }
        assert [one["inputCorrelationId"] for one in execution.inputs] == [
            f"file:/{batch.correlation_id}/{urn}/{one['fileName']}" for one in execution.inputs
        ]
        first = execution.inputs[0]
        assert first["localRelativePath"] == f"{urn}/{first['fileName']}"
        assert first["metadata"] == {"internal": "true", "featureId": urn}
        assert (first["bytes"], first["parameterName"]) == (1000, "")


async def test_outputs_are_downloaded_and_announced_as_delivered(platform: Platform) -> None:
    """The zip has the outputs, checked by SHA-256; rs-processing is notified of each delivered output."""
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "THREE", process)
    await ordered.until_final()
    rows = await platform.rows(
        "select name, url, checksum_algorithm, data_type from data_file where order_id = $1"
        " order by id",
        ordered.id,
    )
    answer = await platform.download(ordered.id, ordered.owner)
    await platform.sandbox.executions.wait_for_downloaded(6)

    assert answer.status_code == 200
    assert b"NOTICE.txt" not in answer.content
    assert {row["checksum_algorithm"] for row in rows} == {"SHA-256"}
    assert {row["data_type"] for row in rows} == {"OTHER"}
    assert platform.sandbox.executions.downloaded == [row["url"] for row in rows]
    assert set((await ordered.states()).values()) == {"DOWNLOADED"}


async def test_an_output_that_is_not_delivered_is_not_announced(platform: Platform) -> None:
    """After a download that fails its checksum rs-processing isn't notified; another one has the rest."""
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "ATTACHED", process)
    await ordered.until_final()
    (row,) = await platform.rows(
        "select url from data_file where order_id = $1 and output_key is not null", ordered.id
    )
    path = platform.sandbox.executions.folder / row["url"].partition(":")[2]
    path.write_bytes(b"something else")
    with pytest.raises(httpx.RemoteProtocolError):
        await platform.download(ordered.id, ordered.owner)
    await platform.download(ordered.id, ordered.owner)

    await ordered.until_states(DOWNLOADED=2, DOWNLOAD_ERROR=1)
    assert platform.sandbox.executions.downloaded == []


async def test_attached_files_are_ordered_beside_the_outputs(platform: Platform) -> None:
    """They have sub-orders of their own, for storage and for rs-dam, and are no inputs of the process."""
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE")
    ordered = await order(platform, "ATTACHED", process)

    assert await ordered.until_final() == "DONE"
    kinds = await platform.rows("select kind from sub_order where order_id = $1", ordered.id)
    assert sorted(row["kind"] for row in kinds) == ["EXTERNAL", "PROCESSING", "STORAGE"]
    assert [len(one.inputs) for one in ordered.executions] == [1]


@pytest.mark.parametrize(("scope", "batches"), [("FEATURE", 2), ("SUBORDER", 1)])
async def test_external_inputs_are_processed_without_storage(
    scope: str, batches: int, platform: Platform
) -> None:
    """There is no restore request; scope FEATURE has a sub-order for each product (5.2)."""
    process = a_process(platform, scope, "ONE_PER_FEATURE")
    ordered = await order(platform, "EXTERNAL", process)

    assert await ordered.until_final() == "DONE"
    assert len(_batches(ordered)) == batches
    assert {one.inputs[0]["metadata"]["internal"] for one in ordered.executions} == {"false"}
    assert platform.sandbox.restores.requested == 0


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ({"processing_status": "FAILURE"}, "The process ended with FAILURE."),
        (
            {"processing_status": "CANCELLED", "processing_messages": ["by an operator"]},
            "The process ended with CANCELLED: by an operator",
        ),
        ({"processing_status": "TIMED_OUT"}, "The process ended with TIMED_OUT."),
        ({"empty_outputs": True}, "The process made no file."),
        ({"wrong_input_ids": True}, "The process made no file for it."),
    ],
    ids=["failure", "cancelled", "timed out", "no outputs", "unknown inputs"],
)
async def test_w29_all_outputs_failed_is_failed(
    faults: dict[str, Any], reason: str, platform: Platform
) -> None:
    """The status follows from the outputs, not from their number of inputs; each has its reason."""
    platform.sandbox.faults.become(Faults(nearline_seconds=0.02, **faults))
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    assert platform.peer.statuses(ordered.correlation_id) == ["FAILED"]
    assert await ordered.reasons() == {reason}


async def test_w25_inputs_with_an_output_keep_it_when_others_have_none(platform: Platform) -> None:
    """One of six outputs is missing: five available, one failed, DONE_WITH_WARNING."""
    platform.sandbox.faults.missing_outputs = 1
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "DONE_WITH_WARNING"
    states = list((await ordered.states()).values())
    assert (states.count("AVAILABLE"), states.count("PROCESSING_ERROR")) == (5, 1)


async def test_w26_a_result_changes_only_the_outputs_of_its_own_execution(
    platform: Platform,
) -> None:
    """After the result of one product the outputs of the other two stay pending."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    first, *others = await ordered.until_executions(3)
    platform.sandbox.executions.run_again(first)

    await ordered.until_states(AVAILABLE=1, PENDING=2, PROCESSING_ERROR=0)
    (row,) = await platform.rows("select state from sub_order where order_id = $1", ordered.id)
    assert row["state"] == "PROCESSING"
    for execution in others:
        platform.sandbox.executions.run_again(execution)
    assert await ordered.until_final() == "DONE"


async def test_w27_sub_order_1_is_not_sub_order_10(platform: Platform) -> None:
    """A result for the first doesn't match the tenth, whose id begins with the same text."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION", limit_type="FILES", limit=1)
    ordered = await order(platform, "TEN", process)
    executions = await ordered.until_executions(10)
    (first,) = [one for one in executions if one.batch.correlation_id.endswith("_subOrder-1")]
    platform.sandbox.executions.run_again(first)

    await ordered.until_states(AVAILABLE=1, PENDING=9)


async def test_w28_a_forecast_of_zero_bytes_does_not_end_the_order(platform: Platform) -> None:
    """Outputs with a forecast size of 0 bytes stay pending until their results arrive."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE", forecast="0b")
    ordered = await order(platform, "THREE", process)
    first, *others = await ordered.until_executions(3)
    platform.sandbox.executions.run_again(first)
    await ordered.until_states(AVAILABLE=1, PENDING=2)

    assert "DONE" not in platform.peer.statuses(ordered.correlation_id)
    for execution in others:
        platform.sandbox.executions.run_again(execution)
    assert await ordered.until_final() == "DONE"


@pytest.mark.parametrize("status", [403, 503])
async def test_w7_a_batch_that_cannot_be_created_fails_the_outputs(
    status: int, platform: Platform
) -> None:
    """At once when rejected, after the time limit when unavailable; each output has the reason."""
    platform.sandbox.faults.batch_status = status
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    (reason,) = await ordered.reasons()
    assert reason is not None
    assert f"status {status}: Sandbox: batches are rejected" in reason


@pytest.mark.parametrize("forecast", ["999999999g", "*999999999999999999"])
async def test_an_absurd_forecast_does_not_fail_the_order(
    forecast: str, platform: Platform
) -> None:
    """Only the percentage is wrong until the results arrive."""
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE", forecast=forecast)
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "DONE"


async def test_resume_restarts_the_time_limit_for_an_unavailable_rs_processing(
    platform: Platform,
) -> None:
    """After the pause rs-processing has the full time again."""
    platform.sandbox.faults.batch_status = 503
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    unavailable = "select from process_batch where order_id = $1 and unavailable_since is not null"
    await eventually(lambda: platform.rows(unavailable, ordered.id), "a failed attempt")
    await act(platform, ordered, "pause")
    platform.clock.ahead = timedelta(minutes=30)
    await act(platform, ordered, "resume")
    await eventually(lambda: platform.rows(unavailable, ordered.id), "another failed attempt")
    platform.sandbox.faults.batch_status = None

    assert await ordered.until_final() == "DONE"


async def test_a_batch_is_retried_while_rs_processing_is_unavailable(platform: Platform) -> None:
    """rs-processing recovers within the time limit: the order ends DONE."""
    platform.sandbox.faults.batch_status = 503
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    await eventually(
        lambda: platform.rows(
            "select from process_batch where order_id = $1 and attempts > 0", ordered.id
        ),
        "a failed attempt",
    )
    platform.sandbox.faults.batch_status = None

    assert await ordered.until_final() == "DONE"


async def test_w7_without_any_input_nothing_is_executed(platform: Platform) -> None:
    """Storage fails all inputs: no batch, no execution, FAILED with storage's reason."""
    names = [f"H{product}_{file}.dat" for product in range(3) for file in range(2)]
    platform.sandbox.faults.storage_errors = dict.fromkeys(
        checksums(platform, *names), "tape is broken"
    )
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    assert await ordered.reasons() == {"No input of its process could be had. tape is broken"}
    assert ordered.executions == []


async def test_w7_executions_get_the_available_inputs(platform: Platform) -> None:
    """A product that lost one of two files is processed with the other; one that lost both isn't."""
    lost = checksums(platform, "H0_0.dat", "H1_0.dat", "H1_1.dat")
    platform.sandbox.faults.storage_errors = dict.fromkeys(lost, "tape is broken")
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "DONE_WITH_WARNING"
    inputs = sorted(sorted(one["fileName"] for one in e.inputs) for e in ordered.executions)
    assert inputs == [["H0_1.dat"], ["H2_0.dat", "H2_1.dat"]]
    assert sorted((await ordered.states()).values()) == [
        "AVAILABLE",
        "AVAILABLE",
        "PROCESSING_ERROR",
    ]


async def test_w7_no_result_for_48_hours_fails_and_a_late_result_is_applied(
    platform: Platform,
) -> None:
    """The order ends FAILED with a reason; the late result then makes it DONE."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    (execution,) = await ordered.until_executions(1)
    platform.clock.ahead = timedelta(hours=49)

    assert await ordered.until_final() == "FAILED"
    assert await ordered.reasons() == {"The process gave no result for 48 hours."}

    platform.sandbox.executions.run_again(execution)
    await platform.peer.until(ordered.correlation_id, "DONE")
    assert platform.peer.statuses(ordered.correlation_id) == ["FAILED", "SUBORDER_DONE", "DONE"]
    await ordered.check_counters()


async def test_w7_a_process_starts_without_an_input_that_storage_never_reports(
    platform: Platform,
) -> None:
    """After storage's time limit the executions get the available inputs."""
    platform.sandbox.faults.silent_checksums = set(checksums(platform, "H0_0.dat"))
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await eventually(
        lambda: platform.rows(
            "select from process_input where order_id = $1 group by order_id"
            " having count(*) filter (where state = 'PENDING') = 1",
            ordered.id,
        ),
        "one pending input",
    )
    platform.clock.ahead = timedelta(hours=49)

    assert await ordered.until_final() == "DONE"
    assert [len(one.inputs) for one in ordered.executions] == [5]


async def test_a_result_received_three_times_counts_once(platform: Platform) -> None:
    """One SUBORDER_DONE, one DONE."""
    platform.sandbox.faults.duplicates = 3
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "THREE", process)
    await ordered.until_final()
    await _fence(platform)

    assert platform.peer.statuses(ordered.correlation_id) == ["SUBORDER_DONE", "DONE"]
    await ordered.check_counters()


async def test_an_intermediate_status_changes_nothing(platform: Platform) -> None:
    """RUNNING isn't final: the outputs stay pending."""
    platform.sandbox.faults.processing_status = "RUNNING"
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await ordered.until_executions(1)
    await _fence(platform)

    assert set((await ordered.states()).values()) == {"PENDING"}


async def _fence(platform: Platform) -> None:
    """Wait for another order to end: results sent before have been handled by then."""
    platform.sandbox.faults.processing_status = "SUCCESS"
    platform.sandbox.faults.processing_silence = False
    ordered = await order(platform, "ATTACHED", a_process(platform, "FEATURE", "ONE_PER_FEATURE"))
    await ordered.until_final()


async def test_w27_a_result_of_a_deleted_order_is_acknowledged(platform: Platform) -> None:
    """The order is cancelled while it is processed: its rows are deleted, the late result changes nothing."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    (execution,) = await ordered.until_executions(1)
    await platform.peer.cancel(ordered.id)
    await eventually(
        lambda: platform.rows(
            "select from orders where id = $1 and status = 'DELETED' and not exists ("
            " select from data_file where order_id = $1) and not exists ("
            " select from process_batch where order_id = $1)",
            ordered.id,
        ),
        "files and batches of the order deleted",
    )
    platform.sandbox.executions.run_again(execution)
    await _fence(platform)

    (row,) = await platform.rows("select status from orders where id = $1", ordered.id)
    assert row["status"] == "DELETED"
    assert platform.peer.responses(ordered.correlation_id) == []
    assert await _dead_letters(platform) == 0


async def _dead_letters(platform: Platform) -> int:
    queue = await platform.peer.channel.declare_queue(SHARED_DEAD_LETTERS, passive=True)
    return int(queue.declaration_result.message_count or 0)


@pytest.mark.parametrize(
    "batch",
    ["somebody-else", "order-1_dsSel-1_subOrder-1x", "order-999999_dsSel-1_subOrder-1", None],
)
async def test_a_result_of_another_batch_is_acknowledged(
    batch: str | None, platform: Platform
) -> None:
    """A result of a batch that isn't ours is ignored, whatever else it has (decisions.md, 6.12)."""
    platform.sandbox.send(Event(amqp_wire.EXECUTION_RESULT, TENANT, {"batchCorrelationId": batch}))
    await _fence(platform)

    assert await _dead_letters(platform) == 0


async def test_an_unreadable_result_of_a_known_batch_is_a_dead_letter(platform: Platform) -> None:
    """The operator can correct and replay it; the order waits meanwhile."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    (execution,) = await ordered.until_executions(1)
    body = {
        "batchCorrelationId": execution.batch.correlation_id,
        "executionCorrelationId": execution.correlation_id,
        "processInfo": {"scope": "SUBORDER", "unused": None},
        "finalStatus": "SUCCESS",
        "outputs": [{"url": "file:/a", "name": "a", "size": 2**63}],
    }
    platform.sandbox.send(Event(amqp_wire.EXECUTION_RESULT, TENANT, body))
    dead_letter = await platform.peer.dead_letter(SHARED_DEAD_LETTERS)

    assert json.loads(dead_letter.body) == body
    assert dead_letter.headers["rs-order.reason"] == "not-converted-message"
    assert "outputs.0.size" in str(dead_letter.headers)
    assert set((await ordered.states()).values()) == {"PENDING"}


async def test_w3_an_unknown_process_fails_the_order(platform: Platform) -> None:
    """rs-processing answers 200 with an empty body."""
    process_id = uuid4()
    ordered = await order(platform, "THREE", process_id)

    assert await ordered.until_final() == "FAILED"
    (row,) = await platform.rows("select message from orders where id = $1", ordered.id)
    assert row["message"] == f"Error retrieving process id {process_id}"


async def test_w3_a_process_with_an_invalid_description_fails_the_order(platform: Platform) -> None:
    """One of its seven keys is missing; the order doesn't stay PENDING."""
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE", info={"sizeForecast": None})
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    (row,) = await platform.rows("select message from orders where id = $1", ordered.id)
    assert row["message"].startswith(
        f"Unparsable process infos: order={ordered.id} user={ordered.owner} dsSel="
    )


async def test_w42_a_paused_order_starts_no_process(platform: Platform) -> None:
    """Its inputs become available meanwhile; its batch is created only after the resume."""
    platform.sandbox.faults.silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await platform.sandbox.restores.wait_for_pending(6)
    await act(platform, ordered, "pause")
    platform.sandbox.faults.silence = False
    platform.sandbox.restores.release()
    await eventually(
        lambda: platform.rows(
            "select from process_input where order_id = $1 group by order_id"
            " having count(*) filter (where state = 'PENDING') = 0",
            ordered.id,
        ),
        "every input available",
    )
    await _fence(platform)
    (row,) = await platform.rows("select state from sub_order where order_id = $1", ordered.id)
    assert row["state"] == "READY"
    assert _batches(ordered) == []

    await act(platform, ordered, "resume")
    assert await ordered.until_final() == "DONE"
    assert len(ordered.executions) == 1


async def test_w42_a_pause_stops_the_creation_of_a_batch(platform: Platform) -> None:
    """The creation fails and is retried: the pause makes the sub-order READY again."""
    platform.sandbox.faults.batch_status = 503
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await eventually(
        lambda: platform.rows(
            "select from process_batch where order_id = $1 and attempts > 0", ordered.id
        ),
        "a failed attempt",
    )
    await act(platform, ordered, "pause")
    await eventually(
        lambda: platform.rows(
            "select from sub_order where order_id = $1 and state = 'READY'", ordered.id
        ),
        "the sub-order is READY again",
    )
    platform.sandbox.faults.batch_status = None

    await act(platform, ordered, "resume")
    assert await ordered.until_final() == "DONE"
    assert len(ordered.executions) == 1


async def test_w42_results_settle_a_paused_order(platform: Platform) -> None:
    """A process that runs continues during the pause."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    (execution,) = await ordered.until_executions(1)
    await act(platform, ordered, "pause")
    platform.sandbox.executions.run_again(execution)

    assert await ordered.until_final() == "DONE"


@pytest.mark.parametrize(
    ("kind", "datasets", "all_datasets", "kept"),
    [
        ("CREATE", [], False, {"THREE", "TEN"}),
        ("UPDATE", ["TEN"], False, {"TEN"}),
        ("UPDATE", [], True, {"THREE", "TEN"}),
        ("DELETE", [], False, set()),
    ],
    ids=["created", "one dataset left", "all datasets", "deleted"],
)
async def test_w39_a_change_of_rights_removes_a_process_from_the_baskets_that_may_not_use_it(
    kind: str, datasets: list[str], all_datasets: bool, kept: set[str], platform: Platform
) -> None:
    """A process for all datasets stays everywhere; baskets that were ordered count too (B11)."""
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE")
    orders = {name: await order(platform, name, process) for name in ("THREE", "TEN")}
    for ordered in orders.values():
        await ordered.until_final()
    change = RightsChange.model_validate(
        {
            "tenant": TENANT,
            "type": kind,
            "datasets": [dataset_urn(platform, name) for name in datasets],
            "all_datasets": all_datasets,
        }
    )
    platform.sandbox.publish_rights(process.id, change)

    async def attached() -> set[str]:
        rows = await platform.rows(
            "select order_id from basket join dataset_selection selection on basket_id = basket.id"
            " where process_id = $1",
            process.id,
        )
        ids = {row["order_id"] for row in rows}
        return {name for name, ordered in orders.items() if ordered.id in ids}

    async def as_expected() -> bool:
        return await attached() == kept

    await _fence(platform)
    await eventually(as_expected, f"{kept} keep the process")


async def test_a_running_process_frees_the_slot_of_its_owner(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """With one slot, the restore request of the second goes out while the first is still processed."""
    maker = ArchiveMaker(tmp_path)
    for number in range(3):
        maker.product("DS", f"P{number}")
    async with (
        running_platform(
            broker, database_url, archive=maker.write(), max_storage_files_jobs_per_user=1
        ) as platform,
        platform.service(),
    ):
        platform.sandbox.faults.processing_silence = True
        process = a_process(platform, "FEATURE", "ONE_PER_FEATURE", limit_type="FILES", limit=1)
        ordered = await order(platform, "DS", process)
        executions = await ordered.until_executions(3)
        for execution in executions:
            platform.sandbox.executions.run_again(execution)

        assert await ordered.until_final() == "DONE"

"""Orders whose files a process makes: domain.md 5 and 8, and fact 11 of section 20."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management
from rs_order.sandbox import amqp_wire
from rs_order.sandbox.amqp_wire import Event
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
from tests.support.servers import FreshBroker, fresh_broker, fresh_database

SHARED_LETTERS = "regards.DLQ"


@pytest.fixture(scope="module")
async def module_platform(
    servers: Servers,
    _database_admin: asyncpg.Connection,
    _management: Management,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Platform]:
    """Ten products of one file; three of two; two external ones. Pages of 4, no gate."""
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
        fresh_broker(_management, servers.amqp_url, servers.management_url or "") as broker,
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
    module_platform.sandbox.reset()
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
async def test_fact_11_the_limit_of_a_process_cuts_its_executions(
    scope: str, cardinality: str, limit: int, executions: int, platform: Platform
) -> None:
    """Fact 11: so many executions, one SUBORDER_DONE per sub-order, DONE at the end, pages of 4 or not."""
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


async def test_fact_11_a_process_that_forbids_a_split_takes_what_fits_exactly(
    platform: Platform,
) -> None:
    """Fact 11: ten products and a limit of ten: one execution."""
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
    """Fact 11: a limit of one: no execution, FAILED, and the message is kept whole, however long."""
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


async def test_batch_and_executions_are_asked_for_as_the_contract_says(platform: Platform) -> None:
    """As the user with his role; every input described, with the ids that results will name."""
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
    """The zip holds what the process made, checked by its SHA-256, and rs-processing may delete it."""
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "THREE", process)
    await ordered.until_final()
    rows = await platform.rows(
        "select name, url, checksum_algorithm, data_type from data_file where order_id = $1"
        " order by id",
        ordered.id,
    )
    made = await platform.download(ordered.id, ordered.owner)
    await platform.sandbox.executions.wait_for_downloaded(6)

    assert made.status_code == 200
    assert b"NOTICE.txt" not in made.content
    assert {row["checksum_algorithm"] for row in rows} == {"SHA-256"}
    assert {row["data_type"] for row in rows} == {"OTHER"}
    assert platform.sandbox.executions.downloaded == [row["url"] for row in rows]
    assert set((await ordered.states()).values()) == {"DOWNLOADED"}


async def test_an_output_that_is_not_delivered_is_not_announced(platform: Platform) -> None:
    """Another file in its place: a failed download tells rs-processing nothing."""
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "ATTACHED", process)
    await ordered.until_final()
    (row,) = await platform.rows(
        "select url from data_file where order_id = $1 and output_key is not null", ordered.id
    )
    path = platform.sandbox.executions.folder / row["url"].partition(":")[2]
    path.write_bytes(b"something else")
    await platform.download(ordered.id, ordered.owner)

    await ordered.until_states(DOWNLOADED=2, DOWNLOAD_ERROR=1)
    assert platform.sandbox.executions.downloaded == []


async def test_attached_files_are_ordered_beside_the_outputs(platform: Platform) -> None:
    """One sub-order of the stored one, one of rs-dam's, one of the process; none is an input."""
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
    """Nothing is asked of storage; scope FEATURE has a sub-order for each product (5.2)."""
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
    ids=["failure", "cancelled", "timed out", "nothing made", "of unknown inputs"],
)
async def test_w29_all_outputs_failed_is_failed(
    faults: dict[str, Any], reason: str, platform: Platform
) -> None:
    """Decided on the outputs, not by comparing them with inputs; each says why."""
    for name, value in faults.items():
        setattr(platform.sandbox.faults, name, value)
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    assert platform.peer.statuses(ordered.correlation_id) == ["FAILED"]
    assert await ordered.reasons() == {reason}


async def test_w25_inputs_with_an_output_keep_it_when_others_have_none(platform: Platform) -> None:
    """One of six isn't made: five available, one failed, DONE_WITH_WARNING."""
    platform.sandbox.faults.missing_outputs = 1
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "DONE_WITH_WARNING"
    states = list((await ordered.states()).values())
    assert (states.count("AVAILABLE"), states.count("PROCESSING_ERROR")) == (5, 1)


async def test_w26_a_result_touches_the_outputs_of_its_own_execution_only(
    platform: Platform,
) -> None:
    """One product's result comes: the other two of the sub-order stay awaited."""
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
    """A result of the first is not given to the tenth, whose name begins alike."""
    platform.sandbox.faults.processing_silence = True
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION", limit_type="FILES", limit=1)
    ordered = await order(platform, "TEN", process)
    executions = await ordered.until_executions(10)
    (first,) = [one for one in executions if one.batch.correlation_id.endswith("_subOrder-1")]
    platform.sandbox.executions.run_again(first)

    await ordered.until_states(AVAILABLE=1, PENDING=9)


async def test_w28_a_forecast_of_nothing_does_not_end_the_order(platform: Platform) -> None:
    """Outputs of 0 bytes to come are awaited all the same."""
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
async def test_w7_a_batch_that_can_not_be_made_fails_the_outputs(
    status: int, platform: Platform
) -> None:
    """A refusal at once, trouble when patience ends: the order ends, and each output says why."""
    platform.sandbox.faults.batch_status = status
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    (reason,) = await ordered.reasons()
    assert reason is not None
    assert f"status {status}: Sandbox: batches are rejected" in reason


@pytest.mark.parametrize("forecast", ["999999999g", "*999999999999999999"])
async def test_a_forecast_of_nonsense_costs_no_order(forecast: str, platform: Platform) -> None:
    """Nothing comes of it but a percentage that is wrong until the results are there."""
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE", forecast=forecast)
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "DONE"


async def test_trouble_from_before_a_pause_is_forgotten(platform: Platform) -> None:
    """After it, rs-processing is given as much time as at first."""
    platform.sandbox.faults.batch_status = 503
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    in_trouble = "select from process_batch where order_id = $1 and unavailable_since is not null"
    await eventually(lambda: platform.rows(in_trouble, ordered.id), "an attempt in vain")
    await act(platform, ordered, "pause")
    platform.clock.ahead = timedelta(minutes=30)
    await act(platform, ordered, "resume")
    await eventually(lambda: platform.rows(in_trouble, ordered.id), "another attempt in vain")
    platform.sandbox.faults.batch_status = None

    assert await ordered.until_final() == "DONE"


async def test_a_batch_in_trouble_is_asked_for_again(platform: Platform) -> None:
    """rs-processing comes back before patience ends: the order is done."""
    platform.sandbox.faults.batch_status = 503
    process = a_process(platform, "SUBORDER", "ONE_PER_FEATURE")
    ordered = await order(platform, "THREE", process)
    await eventually(
        lambda: platform.rows(
            "select from process_batch where order_id = $1 and attempts > 0", ordered.id
        ),
        "an attempt in vain",
    )
    platform.sandbox.faults.batch_status = None

    assert await ordered.until_final() == "DONE"


async def test_w7_without_any_input_nothing_is_executed(platform: Platform) -> None:
    """Storage can deliver none: no batch, no execution, FAILED with storage's reason."""
    names = [f"H{product}_{file}.dat" for product in range(3) for file in range(2)]
    platform.sandbox.faults.storage_errors = dict.fromkeys(
        checksums(platform, *names), "tape is broken"
    )
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    assert await ordered.reasons() == {"No input of its process could be had. tape is broken"}
    assert ordered.executions == []


async def test_w7_executions_get_the_inputs_that_could_be_had(platform: Platform) -> None:
    """Of two products one loses a file, one both: the first is processed with the rest of it."""
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


async def test_w7_no_result_for_48_hours_fails_and_a_late_one_is_honoured(
    platform: Platform,
) -> None:
    """The order ends FAILED with a reason; the result that comes after all mends it."""
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


async def test_w7_storage_silent_about_an_input_begins_the_process_without_it(
    platform: Platform,
) -> None:
    """After storage's patience the executions get what there is."""
    platform.sandbox.faults.silent_checksums = set(checksums(platform, "H0_0.dat"))
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await eventually(
        lambda: platform.rows(
            "select from process_input where order_id = $1 group by order_id"
            " having count(*) filter (where state = 'PENDING') = 1",
            ordered.id,
        ),
        "one input awaited",
    )
    platform.clock.ahead = timedelta(hours=49)

    assert await ordered.until_final() == "DONE"
    assert [len(one.inputs) for one in ordered.executions] == [5]


async def test_a_result_that_comes_three_times_counts_once(platform: Platform) -> None:
    """One SUBORDER_DONE, one DONE."""
    platform.sandbox.faults.duplicates = 3
    process = a_process(platform, "SUBORDER", "ONE_PER_INPUT_FILE")
    ordered = await order(platform, "THREE", process)
    await ordered.until_final()
    await _fence(platform)

    assert platform.peer.statuses(ordered.correlation_id) == ["SUBORDER_DONE", "DONE"]
    await ordered.check_counters()


async def test_an_intermediate_status_changes_nothing(platform: Platform) -> None:
    """RUNNING is no end: the outputs stay awaited."""
    platform.sandbox.faults.processing_status = "RUNNING"
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await ordered.until_executions(1)
    await _fence(platform)

    assert set((await ordered.states()).values()) == {"PENDING"}


async def _fence(platform: Platform) -> None:
    """Take another order to its end: results sent before have been handled by then."""
    platform.sandbox.faults.processing_status = "SUCCESS"
    platform.sandbox.faults.processing_silence = False
    ordered = await order(platform, "ATTACHED", a_process(platform, "FEATURE", "ONE_PER_FEATURE"))
    await ordered.until_final()


async def test_w27_a_result_of_a_deleted_order_is_acknowledged(platform: Platform) -> None:
    """Cancelled while it is processed: its slots and rows go, and the late result changes nothing."""
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
        "files and batches of the deleted order gone",
    )
    platform.sandbox.executions.run_again(execution)
    await _fence(platform)

    (row,) = await platform.rows("select status from orders where id = $1", ordered.id)
    assert row["status"] == "DELETED"
    assert platform.peer.responses(ordered.correlation_id) == []
    assert await _letters(platform) == 0


async def _letters(platform: Platform) -> int:
    queue = await platform.peer.channel.declare_queue(SHARED_LETTERS, passive=True)
    return int(queue.declaration_result.message_count or 0)


@pytest.mark.parametrize(
    "batch",
    ["somebody-else", "order-1_dsSel-1_subOrder-1x", "order-999999_dsSel-1_subOrder-1", None],
)
async def test_a_result_of_another_batch_is_acknowledged(
    batch: str | None, platform: Platform
) -> None:
    """Whatever else it holds: it isn't ours (decisions.md, 6.12)."""
    platform.sandbox.send(Event(amqp_wire.EXECUTION_RESULT, TENANT, {"batchCorrelationId": batch}))
    await _fence(platform)

    assert await _letters(platform) == 0


async def test_a_result_of_ours_that_can_not_be_read_is_a_dead_letter(platform: Platform) -> None:
    """It can be replayed when it is mended; the order waits meanwhile."""
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
    letter = await platform.peer.dead_letter(SHARED_LETTERS)

    assert json.loads(letter.body) == body
    assert letter.headers["rs-order.reason"] == "not-converted-message"
    assert "outputs.0.size" in str(letter.headers)
    assert set((await ordered.states()).values()) == {"PENDING"}


async def test_w3_an_unknown_process_fails_the_order(platform: Platform) -> None:
    """rs-processing answers 200 with an empty body."""
    process_id = uuid4()
    ordered = await order(platform, "THREE", process_id)

    assert await ordered.until_final() == "FAILED"
    (row,) = await platform.rows("select message from orders where id = $1", ordered.id)
    assert row["message"] == f"Error retrieving process id {process_id}"


async def test_w3_a_process_that_can_not_be_understood_fails_the_order(platform: Platform) -> None:
    """One of its seven keys is missing; the order doesn't stay PENDING."""
    process = a_process(platform, "FEATURE", "ONE_PER_FEATURE", info={"sizeForecast": None})
    ordered = await order(platform, "THREE", process)

    assert await ordered.until_final() == "FAILED"
    (row,) = await platform.rows("select message from orders where id = $1", ordered.id)
    assert row["message"].startswith(
        f"Unparsable process infos: order={ordered.id} user={ordered.owner} dsSel="
    )


async def test_w42_a_paused_order_starts_no_process(platform: Platform) -> None:
    """Its inputs are brought meanwhile; its batch is made only after it was resumed."""
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
        "every input brought",
    )
    await _fence(platform)
    (row,) = await platform.rows("select state from sub_order where order_id = $1", ordered.id)
    assert row["state"] == "READY"
    assert _batches(ordered) == []

    await act(platform, ordered, "resume")
    assert await ordered.until_final() == "DONE"
    assert len(ordered.executions) == 1


async def test_w42_a_pause_that_comes_while_a_batch_is_made_stops_it(platform: Platform) -> None:
    """The batch is tried again and again in vain: the pause puts the sub-order back in the queue."""
    platform.sandbox.faults.batch_status = 503
    process = a_process(platform, "SUBORDER", "ONE_PER_EXECUTION")
    ordered = await order(platform, "THREE", process)
    await eventually(
        lambda: platform.rows(
            "select from process_batch where order_id = $1 and attempts > 0", ordered.id
        ),
        "an attempt in vain",
    )
    await act(platform, ordered, "pause")
    await eventually(
        lambda: platform.rows(
            "select from sub_order where order_id = $1 and state = 'READY'", ordered.id
        ),
        "the sub-order back in the queue",
    )
    platform.sandbox.faults.batch_status = None

    await act(platform, ordered, "resume")
    assert await ordered.until_final() == "DONE"
    assert len(ordered.executions) == 1


async def test_w42_results_settle_a_paused_order(platform: Platform) -> None:
    """What rs-processing was asked for goes on."""
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
async def test_w39_a_change_of_rights_takes_a_process_from_the_baskets_that_may_not_use_it(
    kind: str, datasets: list[str], all_datasets: bool, kept: set[str], platform: Platform
) -> None:
    """Linked to all datasets, it stays everywhere; baskets of orders that are made count too (B11)."""
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

    async def as_wanted() -> bool:
        return await attached() == kept

    await _fence(platform)
    await eventually(as_wanted, f"{kept} keep the process")


async def test_a_process_gives_its_slot_back_while_it_is_at_work(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """With a gate of one the second is asked of storage while the first is processed, not while it waits."""
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

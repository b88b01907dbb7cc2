"""What storage says, says twice, says late, or doesn't say."""

import json
from datetime import timedelta
from pathlib import Path

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.platform import Platform, platform
from tests.acceptance.shared_platform import EVE_01, FILE_REFERENCES, fence, new_user, until_rows
from tests.support.servers import FreshBroker


async def test_w2_silence_is_asked_again_given_up_and_mended_by_a_late_answer(
    broker: FreshBroker, database_url: str
) -> None:
    """Asked again after 30 and 60 minutes, ERROR after 4 hours; the late word makes the order DONE."""
    faults = Faults(silence=True)
    async with (
        platform(broker, database_url, faults=faults, storage_silence_hours=4) as here,
        here.service(),
    ):
        correlation_id = await here.peer.order(EVE_01)
        order_id = (await here.peer.until(correlation_id, "GRANTED")).body["orderId"]
        for asks, hours in ((1, 0.0), (2, 0.6), (3, 1.7)):
            here.clock.ahead = timedelta(hours=hours)
            await until_rows(here, "select 1 from sub_order where asks = $1", asks)
        await here.sandbox.restores.wait_for_requests(3)

        here.clock.ahead = timedelta(hours=4.1)
        failed = await here.peer.until_final(correlation_id)
        (file,) = await here.rows("select state, reason from data_file")

        assert (failed.status, failed.body["errors"]) == ("FAILED", 1)
        assert "downloadLink" not in failed.body
        assert dict(file) == {"state": "ERROR", "reason": "Storage gave no answer for 4 hours."}

        here.sandbox.restores.release()
        await here.peer.until(correlation_id, "DONE")

        assert here.peer.statuses(correlation_id) == [
            "GRANTED",
            "FAILED",
            "SUBORDER_DONE",
            "DONE",
        ]
        assert len(await here.zip_of(order_id)) == 1


async def test_a_silent_order_expires_and_a_late_answer_changes_nothing_any_more(
    broker: FreshBroker, database_url: str
) -> None:
    """An automatic order of one sub-order lives 6 hours (domain.md 4.7); peers are told nothing (O11)."""
    faults = Faults(silence=True)
    async with platform(broker, database_url, faults=faults) as here, here.service():
        correlation_id = await here.peer.order(EVE_01)
        await here.peer.until(correlation_id, "GRANTED")
        await here.sandbox.restores.wait_for_requests(1)
        here.clock.ahead = timedelta(hours=6.1)
        await until_rows(here, "select 1 from orders where status = 'EXPIRED'")
        here.sandbox.restores.release()
        here.sandbox.faults.silence = False
        await fence(here)

        assert here.peer.statuses(correlation_id) == ["GRANTED"]
        assert not await here.rows(
            "select 1 from data_file where order_id = (select min(id) from orders)"
        )


async def test_events_sent_three_times_count_once(here: Platform) -> None:
    """Nothing is told twice, however often storage says it."""
    here.sandbox.faults.duplicates = 3
    correlation_id = await here.peer.order(EVE_01, user=new_user(here))
    await here.peer.until_final(correlation_id)
    await fence(here)

    assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_events_of_others_change_nothing(here: Platform) -> None:
    """Other types and other checksums are most of what comes."""
    here.sandbox.faults.noise = 5
    correlation_id = await here.peer.order(EVE_01, user=new_user(here))
    await here.peer.until_final(correlation_id)

    assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_w5_a_checksum_that_several_files_share_is_asked_once(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Two products with the same content are two files, one question, one answer for both (W5)."""
    maker = ArchiveMaker(tmp_path)
    (first,) = maker.product("DS", "A")
    (second,) = maker.product("DS", "B")
    maker.give_same_content(first, second)
    async with platform(broker, database_url, archive=maker.write()) as here, here.service():
        correlation_id = await here.peer.order("*")
        final = await here.peer.until_final(correlation_id)
        (request,) = here.sandbox.restores.requests
        states = await here.rows("select name, state from data_file order by name")

        assert final.status == "DONE"
        assert request.checksums == (maker.checksum(first),)
        assert [tuple(row) for row in states] == [(first, "AVAILABLE"), (second, "AVAILABLE")]


async def test_w11_storage_changes_its_mind_while_a_sub_order_runs(here: Platform) -> None:
    """AVAILABLE then ERROR counts as ERROR; once the order has ended, nothing is taken back."""
    here.sandbox.faults.silence = True
    user = new_user(here)
    correlation_id = await here.peer.order(EVE_01, "productId:EVE_02", user=user)
    order_id = (await here.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await here.sandbox.restores.wait_for_requests(1)
    (first, second) = here.sandbox.restores.requests[0].checksums
    await _say(here, "AVAILABLE", first)
    await _until_state(here, order_id, first, "AVAILABLE")
    await _say(here, "AVAILABILITY_ERROR", first, message="tape was eaten")
    await _until_state(here, order_id, first, "ERROR")
    await _say(here, "AVAILABLE", second)
    final = await here.peer.until_final(correlation_id)
    await _say(here, "AVAILABILITY_ERROR", second, message="too late")
    here.sandbox.faults.silence = False
    await fence(here)
    files = await here.rows(
        "select checksum, state, reason from data_file where order_id = $1", order_id
    )

    assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "FAILED"]
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


async def test_a_checksum_that_storage_does_not_know_is_an_error(here: Platform) -> None:
    """Storage says so at once, with a text that the file keeps."""
    here.sandbox.faults.silence = True
    correlation_id = await here.peer.order(EVE_01, user=new_user(here))
    await here.sandbox.restores.wait_for_requests(1)
    (checksum,) = here.sandbox.restores.requests[0].checksums
    text = f"file with checksum {checksum} does not exists."
    await _say(here, "AVAILABILITY_ERROR", checksum, message=text)
    final = await here.peer.until_final(correlation_id)
    (file,) = await here.rows(
        "select state, reason from data_file where order_id = $1", final.body["orderId"]
    )

    assert here.peer.statuses(correlation_id) == ["GRANTED", "FAILED"]
    assert "downloadLink" not in final.body
    assert dict(file) == {"state": "ERROR", "reason": text}


async def test_a_partly_silent_storage_ends_the_order_partly(
    broker: FreshBroker, database_url: str
) -> None:
    """The silent file is given up alone; its late answer turns the order into a whole one, told once."""
    async with (
        platform(broker, database_url, storage_silence_hours=4) as here,
        here.service(),
    ):
        here.sandbox.faults.silence = True
        correlation_id = await here.peer.order(EVE_01, "productId:EVE_02")
        await here.sandbox.restores.wait_for_requests(1)
        (answered, silent) = here.sandbox.restores.requests[0].checksums
        await _say(here, "AVAILABLE", answered)
        await until_rows(here, "select 1 from orders where available_files = 1")
        here.clock.ahead = timedelta(hours=4.1)
        partly = await here.peer.until_final(correlation_id)
        for _ in range(3):
            await _say(here, "AVAILABLE", silent)
        await here.peer.until(correlation_id, "DONE")
        here.sandbox.faults.silence = False
        await fence(here)
        (order,) = await here.rows(
            "select status, available_files, error_files from orders where correlation_id = $1",
            correlation_id,
        )

        assert partly.body["errors"] == 1
        assert "downloadLink" in partly.body
        assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "FAILED", "DONE"]
        assert dict(order) == {"status": "DONE", "available_files": 2, "error_files": 0}


async def _say(here: Platform, kind: str, checksum: str, **members: str) -> None:
    """Say something as storage does, whatever the simulated storage thinks of it."""
    body = {"type": kind, "checksum": checksum, **members}
    await here.peer.send(FILE_REFERENCES, json.dumps(body).encode())


async def _until_state(here: Platform, order_id: int, checksum: str, state: str) -> None:
    await until_rows(
        here,
        "select 1 from data_file where order_id = $1 and checksum = $2 and state = $3",
        order_id,
        checksum,
        state,
    )


async def test_internal_external_and_attached_files_go_their_own_ways(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Attached internal files are asked of storage, external and DAM files are there at once."""
    maker = ArchiveMaker(tmp_path)
    maker.product("DS", "tape")
    maker.product("DS", "web", location="external")
    maker.attach("DS", "notes.txt", "dam")
    maker.attach("DS", "calibration.dat", "nearline")
    faults = Faults(silence=True)
    async with (
        platform(broker, database_url, archive=maker.write(), faults=faults) as here,
        here.service(),
    ):
        correlation_id = await here.peer.order("*")
        await here.sandbox.restores.wait_for_requests(1)
        (request,) = here.sandbox.restores.requests
        files = await here.rows(
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
        assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE"]


async def test_2500_files_are_asked_in_three_messages(
    broker: FreshBroker, database_url: str
) -> None:
    """At most 1000 distinct checksums each, each with a group of its own, none twice (amqp.md 3.2)."""
    dataset = SyntheticDataset(name="MANY", products=2500)
    async with (
        platform(
            broker, database_url, archive=None, synthetic=(dataset,), faults=Faults(silence=True)
        ) as here,
        here.service(),
    ):
        await here.peer.order("dataset:MANY")
        await here.sandbox.restores.wait_for_requests(3)
        requests = here.sandbox.restores.requests
        asked = [checksum for request in requests for checksum in request.checksums]

        assert sorted(len(request.checksums) for request in requests) == [500, 1000, 1000]
        assert len(set(asked)) == 2500
        assert len({request.group_id for request in requests}) == 3
        assert {request.availability_hours for request in requests} == {2}

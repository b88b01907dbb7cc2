"""The zip of the complete service: who may download it, and its content when a quota is exceeded."""

import asyncio
import io
import zipfile

from rs_order.downloads.range_places import PlaceLimits
from rs_order.sandbox.faults import Quota
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.downloading import only_file, ordered
from tests.support.polling import eventually

CONNECTIONS = 10
"""The service's database connections (tests/acceptance/platform.py)."""


async def test_an_unserved_project_is_not_found(here: Platform) -> None:
    """A valid token of an unserved project gets 404 with the reason."""
    async with here.client("jane@example.org", tenant="elsewhere") as client:
        answer = await client.get("/user/orders/1/download")

    assert answer.status_code == 404
    assert answer.json() == {"messages": ["There is no project elsewhere here"]}


async def test_an_order_of_another_project_is_not_found(here: Platform) -> None:
    """An order number is only valid in its project."""
    jane = new_user(here)
    done = await here.peer.until_final(await here.peer.order(EVE_01, user=jane))

    async with here.client(jane, tenant="project2") as client:
        answer = await client.get(f"/user/orders/{done.body['orderId']}/download")

    assert answer.status_code == 404


async def test_rest_14_zip_and_fact_12_the_quota_message_of_storage_is_in_the_notice(
    here: Platform,
) -> None:
    """Fact 12: if storage answers 429, the zip is sent and its NOTICE.txt has storage's message.

    rest.md 14, ZIP.
    """
    jane = new_user(here)
    order_id = await ordered(here, jane, EVE_01)
    file = await only_file(here, order_id)
    here.sandbox.faults.quotas = {jane: Quota(max_files=0)}

    answer = await here.download(order_id, jane)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/octet-stream")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["NOTICE.txt"]
        assert archive.read("NOTICE.txt").decode() == (
            f"Failed to download file ({file['name']}): "
            f"Download quota of 0 exceeded (by 1) for user {jane}.."
        )
    row = await only_file(here, order_id)
    assert (row["state"], row["reason_code"]) == ("AVAILABLE", "quota-exceeded")


async def test_w21_downloads_hold_no_connection_to_the_database(here: Platform) -> None:
    """With more downloads than database connections the service still answers other calls.

    A user gets few parts of an archive at once. The other downloads of it wait for a place.
    """
    jane = new_user(here)
    order_id = await ordered(here, jane, EVE_01)
    file = await only_file(here, order_id)
    here.sandbox.faults.slow_bytes_per_second = file["size"] / 20
    before = here.sandbox.calls.counters["rs-storage"]
    paths = [f"/user/orders/{order_id}/download", f"/orders/files/{file['id']}"]

    async with here.client(jane) as client:
        under_way = [
            asyncio.create_task(client.get(paths[number % 2])) for number in range(2 * CONNECTIONS)
        ]
        await eventually(
            lambda: (
                here.sandbox.calls.counters["rs-storage"] - before
                >= CONNECTIONS + PlaceLimits().of_archive
            ),
            "all single files and some archives asked of storage",
        )
        answer = await client.get("/orders/files/-1")
        ended = [download for download in under_way if download.done()]
        for download in under_way:
            download.cancel()
        await asyncio.wait(under_way)

    assert answer.status_code == 404
    assert ended == []

"""An order is deleted or cancelled during a download of its files (domain.md 21.15)."""

import asyncio
import hashlib

import httpx
import pytest

from rs_order.sandbox.faults import Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, EVE_01_BYTES, new_user, state_of, until_rows
from tests.api.downloading import only_file, ordered

_GONE = """
select 1 from orders where id = $1 and status = $2 and available_files = 1
  and not exists (select from data_file where order_id = $1)
  and not exists (select from sub_order where order_id = $1)
"""


@pytest.mark.parametrize("removal", ["deleted", "cancelled"])
@pytest.mark.parametrize("way", ["zip", "single file"])
async def test_a_download_of_a_removed_order(way: str, removal: str, here: Platform) -> None:
    """A file is delivered completely, a zip is cut. Neither restores the file or its counters."""
    jane = new_user(here)
    order_id = await ordered(here, jane, EVE_01)
    file = await only_file(here, order_id)
    here.sandbox.faults.slow_bytes_per_second = EVE_01_BYTES / 60
    before = here.sandbox.calls.counters[Service.STORAGE]
    path = {
        "zip": f"/user/orders/{order_id}/download",
        "single file": f"/orders/files/{file['id']}",
    }
    async with here.client(jane) as client:
        download = asyncio.create_task(client.get(path[way]))
        await here.sandbox.calls.wait_for(Service.STORAGE, before + 1)
        if removal == "deleted":
            assert (await client.delete(f"/user/orders/{order_id}")).status_code == 200
        else:
            await here.peer.cancel(order_id)
        await until_rows(here, _GONE, order_id, "DELETED")
        under_way = not download.done()
        here.sandbox.faults.slow_bytes_per_second = None
        (answer,) = await asyncio.gather(download, return_exceptions=True)
        again = await client.get(path[way])

    assert under_way
    if way == "zip":
        assert isinstance(answer, httpx.RemoteProtocolError)
    else:
        assert isinstance(answer, httpx.Response)
        checksum = hashlib.md5(answer.content, usedforsecurity=False).hexdigest()
        assert checksum == file["checksum"]
    assert again.status_code == {"zip": 204, "single file": 404}[way]
    assert await state_of(here, order_id) == "DELETED"
    assert await here.rows(_GONE, order_id, "DELETED")

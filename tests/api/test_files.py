"""Downloads of single files from the complete service (rest.md 10.1 and 14, domain.md 11.2)."""

import hashlib
from urllib.parse import urlsplit

import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Quota, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, EVE_01_BYTES, new_user
from tests.api.downloading import files_of, only_file, ordered, until_state
from tests.support.polling import eventually

EXTERNAL = "productId:SRS_19960106"
"""A file that is only referenced by its URL; the catalog has neither its size nor its checksum."""
ATTACHED = "productId:EIT_20040301T000010"
"""A nearline file, and a file attached to its dataset, which rs-dam stores."""


@pytest.mark.parametrize("role", ["REGISTERED_USER", "PROJECT_ADMIN", "INSTANCE_ADMIN"])
async def test_rest_14_file_owner_and_administrators_may_download_it(
    here: Platform, role: str
) -> None:
    """200 with storage's media type and right bytes, then DOWNLOADED; repeatable (rest.md 14, file)."""
    jane = new_user(here)
    file = await only_file(here, await ordered(here, jane, EVE_01))

    async with here.client(jane if role == "REGISTERED_USER" else new_user(here), role) as client:
        first = await client.get(f"/orders/files/{file['id']}")
        row = await until_state(here, file["id"], "DOWNLOADED")
        again = await client.get(f"/orders/files/{file['id']}")

    for answer in (first, again):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Content-Length"] == str(EVE_01_BYTES)
        assert answer.headers["Content-Disposition"] == 'attachment; filename="eve_01.txt"'
        md5 = hashlib.md5(answer.content, usedforsecurity=False).hexdigest()
        assert md5 == file["checksum"]
    assert row["reason"] is None


async def test_rest_14_file_wrong_owner_is_403(here: Platform) -> None:
    """The 403 has no body, and no other service is called (rest.md 14, file)."""
    file = await only_file(here, await ordered(here, new_user(here), EVE_01))

    async with here.client(new_user(here)) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    assert (answer.status_code, answer.content) == (403, b"")


async def test_rest_14_file_unknown_id_is_404(here: Platform) -> None:
    """The message is the contract's (rest.md 14, file)."""
    async with here.client(new_user(here)) as client:
        answer = await client.get("/orders/files/-12")

    assert answer.status_code == 404
    assert answer.json() == {"messages": ["Data file with id: -12 doesn't exist."]}


async def test_rest_14_file_pending_is_202_on_both_addresses(here: Platform) -> None:
    """Download managers retry later; here the retry works once storage has answered (rest.md 14, file)."""
    here.sandbox.faults.silence = True
    jane = new_user(here)
    correlation_id = await here.peer.order(EVE_01, user=jane)
    order_id = (await here.peer.until(correlation_id, "GRANTED")).body["orderId"]
    (file,) = await eventually(lambda: files_of(here, order_id), "the file")
    await eventually(
        lambda: file["checksum"] in here.sandbox.restores.pending, "storage asked for the file"
    )

    async with here.client(jane) as client:
        metalink = await client.get(f"/user/orders/{order_id}/metalink/download")
        public = metalink.text.split("<url")[1].split(">")[1].split("<")[0].replace("&amp;", "&")
        plain = await client.get(f"/orders/files/{file['id']}")
    async with httpx.AsyncClient(trust_env=False, timeout=60) as nobody:
        address = public.replace("http://localhost:9043", f"http://127.0.0.1:{here.port}")
        answers = [plain, await nobody.get(address), await nobody.head(address)]
        for answer in answers:
            assert (answer.status_code, answer.content) == (202, b"")
            assert 5 <= int(answer.headers["Retry-After"]) <= 300
        async with here.client(jane) as client:
            progress = await client.get(urlsplit(plain.headers["Location"]).path)
        assert progress.json()["reason"]["code"] == "storage-restoring"

        here.sandbox.restores.release()
        await here.peer.until_final(correlation_id)
        assert (await nobody.head(address)).status_code == 200
        answer = await nobody.get(address)

    assert len(answer.content) == EVE_01_BYTES
    await until_state(here, file["id"], "DOWNLOADED")
    # The owner's quota is charged, although the caller is anonymous.
    assert here.sandbox.calls.recent("rs-storage")[-1].email == jane


async def test_file_that_storage_cannot_deliver_is_422(here: Platform) -> None:
    """No download is attempted."""
    checksum = "0b8bb8b3a4e57b0b3e6f2b1d7a3d3e0a"
    jane = new_user(here)
    manifest_checksum = (await only_file(here, await ordered(here, new_user(here), EVE_01)))[
        "checksum"
    ]
    here.sandbox.faults.storage_errors = {manifest_checksum: "tape is broken", checksum: "x"}
    file = await only_file(here, await ordered(here, jane, EVE_01))

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    assert (answer.status_code, answer.content) == (422, b"")


async def test_w16_a_downloaded_external_file_ends_the_wait_of_its_order(here: Platform) -> None:
    """Its state, its sub-order and its order change."""
    jane = new_user(here)
    order_id = await ordered(here, jane, EXTERNAL)
    file = await only_file(here, order_id)

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    assert answer.status_code == 200
    assert len(answer.content) == 719
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{file["name"]}"'
    await until_state(here, file["id"], "DOWNLOADED")
    (order,) = await here.rows("select waiting_sub_orders from orders where id = $1", order_id)
    assert order["waiting_sub_orders"] == 0


async def test_w16_external_file_that_cannot_be_downloaded(here: Platform) -> None:
    """500 without a body, and the file is in DOWNLOAD_ERROR."""
    here.sandbox.faults.outages = {Service.EXTERNAL: Outage(mode=OutageMode.STATUS, status=404)}
    jane = new_user(here)
    file = await only_file(here, await ordered(here, jane, EXTERNAL))

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    assert (answer.status_code, answer.content) == (500, b"")
    row = await until_state(here, file["id"], "DOWNLOAD_ERROR")
    assert row["reason"] == "Server returned HTTP error code 404"


async def test_file_attached_to_a_dataset(here: Platform) -> None:
    """It is read from rs-dam."""
    jane = new_user(here)
    files = await files_of(here, await ordered(here, jane, ATTACHED))
    attached = next(file for file in files if file["url"].endswith("/dam"))

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{attached['id']}")

    assert (answer.status_code, len(answer.content)) == (200, 5993)
    await until_state(here, attached["id"], "DOWNLOADED")


async def test_an_exceeded_quota_leaves_the_file_available_and_frees_the_slot(
    here: Platform,
) -> None:
    """429 with storage's text as the file's reason; the sub-order frees its slot (decisions.md, Quota)."""
    jane = new_user(here)
    here.sandbox.faults.quotas = {jane: Quota(max_files=0)}
    file = await only_file(here, await ordered(here, jane, EVE_01))

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    text = f"Download quota of 0 exceeded (by 1) for user {jane}."
    assert (answer.status_code, answer.text) == (429, text)
    noted = "select 1 from data_file where id = $1 and reason_code = 'quota-exceeded'"
    await eventually(lambda: here.rows(noted, file["id"]), "the reason")
    row = await until_state(here, file["id"], "AVAILABLE")
    (sub_order,) = await here.rows(
        "select state, quota_exceeded from sub_order where id = $1", file["sub_order_id"]
    )
    assert row["reason"] == text
    assert dict(sub_order) == {"state": "WAITING", "quota_exceeded": True}

    here.sandbox.faults.quotas = {}
    async with here.client(jane) as client:
        assert (await client.get(f"/orders/files/{file['id']}")).status_code == 200
    await until_state(here, file["id"], "DOWNLOADED")


@pytest.mark.parametrize(
    ("outage", "status", "reason"),
    [
        (OutageMode.DOWN, 500, "Server returned no content"),
        (OutageMode.STATUS, 503, "Server returned HTTP error code 503"),
    ],
)
async def test_failing_storage(
    here: Platform, outage: OutageMode, status: int, reason: str
) -> None:
    """Unreachable: 500 without a body. Otherwise storage's status. A new request retries the file."""
    jane = new_user(here)
    file = await only_file(here, await ordered(here, jane, EVE_01))
    here.sandbox.faults.outages = {Service.STORAGE: Outage(mode=outage)}

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")
        row = await until_state(here, file["id"], "DOWNLOAD_ERROR")
        here.sandbox.faults.outages = {}
        again = await client.get(f"/orders/files/{file['id']}")

    assert answer.status_code == status
    assert (answer.content == b"") is (outage is OutageMode.DOWN)
    assert (row["reason"], again.status_code) == (reason, 200)
    await until_state(here, file["id"], "DOWNLOADED")


async def test_w20_file_without_length(here: Platform) -> None:
    """Storage may omit the Content-Length."""
    jane = new_user(here)
    file = await only_file(here, await ordered(here, jane, EVE_01))
    here.sandbox.faults.without_length = {file["checksum"]}

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    assert len(answer.content) == EVE_01_BYTES
    await until_state(here, file["id"], "DOWNLOADED")


@pytest.mark.parametrize("way", ["file", "zip"])
async def test_no_false_done_wrong_content_is_in_the_history(here: Platform, way: str) -> None:
    """It is never DOWNLOADED. The order's history names it once, however often it fails (decisions.md)."""
    jane = new_user(here)
    order_id = await ordered(here, jane, EVE_01)
    file = await only_file(here, order_id)
    here.sandbox.faults.wrong_bytes = {file["checksum"]}

    async with here.client(jane) as client:
        if way == "zip":
            assert (await client.get(f"/user/orders/{order_id}/download")).status_code == 200
        for _ in range(2):
            answer = await client.get(f"/orders/files/{file['id']}")
            assert (answer.status_code, answer.content) == (500, b"")
    row = await until_state(here, file["id"], "DOWNLOAD_ERROR")
    history = await here.rows(
        "select data_file_id, sub_order_id, before, after, reason, actor from history"
        " where order_id = $1 and data_file_id is not null",
        order_id,
    )

    assert row["reason_code"] == "wrong-content"
    assert row["reason"].startswith("Wrong content: MD5 is ")
    assert [dict(line) for line in history] == [
        {
            "data_file_id": file["id"],
            "sub_order_id": file["sub_order_id"],
            "before": "AVAILABLE",
            "after": "DOWNLOAD_ERROR",
            "reason": "wrong-content",
            "actor": jane,
        }
    ]


@pytest.mark.parametrize("fault", ["truncated", "cut"])
async def test_file_of_which_storage_sends_half(here: Platform, fault: str) -> None:
    """Nothing of a small file is sent. The reason has the number of received bytes."""
    jane = new_user(here)
    file = await only_file(here, await ordered(here, jane, EVE_01))
    setattr(here.sandbox.faults, fault, {file["checksum"]})

    async with here.client(jane) as client:
        answer = await client.get(f"/orders/files/{file['id']}")

    assert (answer.status_code, answer.content) == (500, b"")
    row = await until_state(here, file["id"], "DOWNLOAD_ERROR")
    assert row["reason"] == (
        "Cannot completely retrieve data file from storage, "
        f"only {EVE_01_BYTES // 2}/{EVE_01_BYTES} bytes"
    )

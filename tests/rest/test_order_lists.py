"""Lists of an order's files for download tools (faces.md M-2, M-7, M-8)."""

import csv
import hashlib
import io
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from rs_order.app.rest import RestServices
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.list_formats import ListKind, list_format
from rs_order.downloads.order_lists import Layout
from rs_order.downloads.order_zip import OrderDeleted
from rs_order.ports import ContentHashes
from tests.rest.conftest import HOST, NOW
from tests.rest.downloading_tools import LIST, Desk
from tests.rest.fake_downloads import DEMO, ORDER, DownloadableOrder, incompressible, md5
from tests.rest.order_tokens import BAD_TOKENS, order_token
from tests.rest.test_zip_download import as_caller
from tests.support.polling import eventually
from tests.support.tools import ARIA2, CURL, WGET, Tool

KINDS = ("txt", "aria2", "curl", "md5", "sha256", "json", "csv")
MD5SUM = Tool("md5sum", "coreutils")
SHA256SUM = Tool("sha256sum", "coreutils")
WRONG_CHECKSUM = 32
"""The exit status of aria2."""

NAMES = {
    "a&b.nc": "a&b.nc",
    "é.nc": "é.nc",
    "c:d.nc": "c_d.nc",
    "twice.nc": "twice.nc",
    "TWICE.nc": "TWICE (1).nc",
    "-rf": "-rf",
    "--help": "--help",
    "-": "-",
    " space.nc": " space.nc",
    "space.nc": "space.nc",
    "#1.nc": "#1.nc",
    "~": "~",
    "[1-3].nc": "[1-3].nc",
    "{a,b}.nc": "{a,b}.nc",
    "=HYPERLINK(1).nc": "=HYPERLINK(1).nc",
    "%41.nc": "%41.nc",
    "$(x)`x`;x.nc": "$(x)`x`;x.nc",
    'q"\r\nout=x\\y.nc': "y.nc",
    "../../etc/passwd": "passwd",
    "@file": "@file",
    "0.txt": "0.txt",
}
"""Names in the catalog, and under which they arrive."""


async def list_of(api: httpx.AsyncClient, kind: str, **query: str) -> httpx.Response:
    return await api.get(f"/user/orders/12/files.{kind}", params=query)


@pytest.fixture
def contents(downloadable: DownloadableOrder) -> dict[str, bytes]:
    """Fill the order with files of all kinds of names; return their contents by the names they get."""
    arriving = {}
    for number, (name, path) in enumerate(NAMES.items()):
        arriving[path] = incompressible(1000 + number)
        downloadable.add(name, arriving[path], product_id=f"p{number % 2}")
    return arriving


@pytest.fixture
def desk(api: httpx.AsyncClient, base_url: str, tmp_path: Path) -> Desk:
    return Desk(api, base_url, tmp_path)


async def save(desk: Desk, kind: str, **query: str) -> None:
    await desk.save_list(f"/user/orders/12/files.{kind}", **query)


TOOLS = {
    "aria2": (ARIA2, ("--no-conf", "--check-integrity=true", "--max-tries=1", "-c", "-i", LIST)),
    "curl": (CURL, ("--silent", "--show-error", "-K", LIST)),
}


@pytest.mark.parametrize("kind", TOOLS)
@pytest.mark.parametrize("layout", ["flat", "products"])
async def test_m_7_all_names_arrive(
    desk: Desk, contents: dict[str, bytes], kind: str, layout: str
) -> None:
    """Each file has its content and the name of the list; nothing else is written or run."""
    await save(desk, kind, layout=layout)
    tool, options = TOOLS[kind]

    ended = await desk.run(tool, *options)

    assert ended.status == 0, ended.output
    if layout == "products":
        contents = {
            f"p{number % 2}/{name}": content
            for number, (name, content) in enumerate(contents.items())
        }
        contents["p0/TWICE.nc"] = contents.pop("p0/TWICE (1).nc")
    assert desk.downloaded() == contents


async def test_m_7_wget_saves_all_contents(desk: Desk, contents: dict[str, bytes]) -> None:
    """Names are those of the responses, and doubles are numbered by wget."""
    await save(desk, "txt")

    ended = await desk.run(WGET, "--content-disposition", "-nv", "-i", LIST)

    assert ended.status == 0, ended.output
    found = desk.downloaded()
    assert sorted(found.values()) == sorted(contents.values())
    assert found["é.nc"] == contents["é.nc"]
    assert found["a&b.nc"] == contents["a&b.nc"]


@pytest.mark.parametrize(("kind", "tool"), [("md5", MD5SUM), ("sha256", SHA256SUM)])
async def test_m_7_checksums_of_what_a_tool_saved(
    desk: Desk,
    downloadable: DownloadableOrder,
    contents: dict[str, bytes],
    kind: str,
    tool: Tool,
) -> None:
    """They check the files under the names of the other lists, and find a flipped byte.

    The downloads have proven each SHA-256. A file without a checksum is left out, and the list says so.
    """
    downloadable.add("unknown.nc", checksum=None)
    await save(desk, "aria2")
    await desk.run(ARIA2, "--no-conf", "-i", LIST)
    await eventually(
        lambda: len(downloadable.order.results) == len(contents) + 1, "all files are settled"
    )
    await save(desk, kind)

    right = await desk.run(tool, "--strict", "--check", LIST)
    flipped = bytearray(contents["é.nc"])
    flipped[500] ^= 1
    (desk.folder / "é.nc").write_bytes(flipped)
    wrong = await desk.run(tool, "--strict", "--check", LIST)

    assert right.status == 0, right.output
    assert right.output.count(": OK") == len(contents)
    assert desk.list_text().endswith(f"# Files left out, because their {kind} is unknown: 1\n")
    assert (wrong.status, wrong.output.count(": OK")) == (1, len(contents) - 1)


async def test_m_7_aria2_finds_a_flipped_byte(desk: Desk, downloadable: DownloadableOrder) -> None:
    """It ends with an error, and the other files arrive."""
    downloadable.add("bad", b"content")
    downloadable.add("good", b"content")
    await save(desk, "aria2")
    desk.write(LIST, desk.list_text().replace(md5(b"content"), md5(b"contEnt"), 1))

    ended = await desk.run(ARIA2, "--no-conf", "--max-tries=1", "-i", LIST)

    assert ended.status == WRONG_CHECKSUM, ended.output
    assert desk.downloaded()["good"] == b"content"


@pytest.mark.parametrize(("proven", "taken"), [(b"content", True), (b"contEnt", False)])
async def test_m_6_aria2_takes_only_the_bytes_of_the_digest(
    desk: Desk, downloadable: DownloadableOrder, proven: bytes, taken: bool
) -> None:
    """A proven file is sent with its SHA-256. Other bytes aren't sent to their end."""
    downloadable.add("a", b"content")
    hashes = ContentHashes(zlib.crc32(proven), hashlib.sha256(proven).digest())
    (file,) = downloadable.order.files
    downloadable.order.files = [replace(file, hashes=hashes, verified_at=NOW)]
    await save(desk, "txt")

    ended = await desk.run(ARIA2, "--no-conf", "--max-tries=1", "-i", LIST)

    assert (ended.status == 0) is taken, ended.output


async def test_m_7_curl_saves_no_error_as_a_file(
    desk: Desk, downloadable: DownloadableOrder
) -> None:
    """A file that is not there any more is missing afterwards, and curl says so."""
    downloadable.add("a", b"content")
    await save(desk, "curl")
    desk.write(LIST, desk.list_text().replace("/files/1?", "/files/2?"))

    ended = await desk.run(CURL, "--silent", "--show-error", "-K", LIST)

    assert ended.status != 0
    assert desk.downloaded() == {}


async def test_m_7_only_files_that_can_be_downloaded_now(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """What was downloaded can be downloaded, and checked, again. Names don't depend on what is listed."""
    for state in FileState:
        downloadable.add("a.nc", state=state)

    addresses = (await list_of(api, "txt")).text.splitlines()
    checksums = (await list_of(api, "md5")).text.splitlines()

    assert [address.split("?")[0].rsplit("/", 1)[1] for address in addresses] == ["2", "3", "4"]
    assert [line.split("  ")[1] for line in checksums] == ["a (1).nc", "a (2).nc", "a (3).nc"]


@pytest.mark.parametrize("kind", KINDS)
async def test_m_7_lists_of_several_pages(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """All files are listed once, by ascending id. No state changes."""
    downloadable.add_all([(f"name{number:04}", b"") for number in range(1, 1101)])

    answer = await list_of(api, kind)

    if kind == "sha256":
        assert answer.text == "# Files left out, because their sha256 is unknown: 1100\n"
        return
    mark = r"/files/(\d+)\?" if kind == "txt" else r"name(\d{4})"
    assert [int(found) for found in re.findall(mark, answer.text)] == list(range(1, 1101))
    assert downloadable.order.settlements == []


async def test_m_7_a_list_is_cut_if_its_order_is_deleted(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """Deleted files can't be distinguished from files that never existed, and it must not look complete."""
    downloadable.add_all([(f"name{number}", b"") for number in range(1, 601)])
    order = await downloadable.order.order(DEMO, ORDER)
    assert order is not None
    format_ = list_format(ListKind.MD5, NOW, Layout.FLAT)
    pieces = await services.downloads.lists.of(DEMO, order, format_)
    assert pieces is not None

    first = await anext(pieces)
    await downloadable.order.delete()
    with pytest.raises(OrderDeleted):
        async for _ in pieces:
            pass

    assert first.count(b"\n") == 500


@pytest.mark.parametrize("kind", KINDS)
async def test_m_7_types_and_names_of_lists(
    api: httpx.AsyncClient, base_url: str, downloadable: DownloadableOrder, kind: str
) -> None:
    """With an order token the list is the same, for anyone."""
    downloadable.add("a")
    media_types = {"json": "application/json", "csv": "text/csv; charset=utf-8"}

    own = await list_of(api, kind)
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=60) as anonymous:
        query = {"orderToken": order_token(), "scope": "demo"}
        public = await anonymous.get(f"/orders/public/files.{kind}", params=query)

    assert own.headers["Content-Type"] == media_types.get(kind, "text/plain; charset=utf-8")
    assert own.headers["Content-Disposition"] == f'attachment; filename="order_12.{kind}"'
    assert (public.status_code, public.text) == (200, own.text)


async def test_m_7_csv(api: httpx.AsyncClient, contents: dict[str, bytes]) -> None:
    """A line for each file, and none of the cells is a formula."""
    rows = list(csv.DictReader(io.StringIO((await list_of(api, "csv")).text, newline="")))

    assert [row["name"].removeprefix("'") for row in rows] == list(contents)
    assert not [row for row in rows for cell in row.values() if cell.startswith(tuple("=+-@"))]
    first = rows[0]
    assert first.pop("address").startswith(f"{HOST}/api/v1/rs-order/orders/public/files/1?")
    assert first == {
        "name": "a&b.nc",
        "size": "1000",
        "md5": md5(contents["a&b.nc"]),
        "sha256": "",
        "state": "AVAILABLE",
        "product": "p0",
    }


async def test_m_8_manifest(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """It has all files: hashes of those that are proven, and why others failed."""
    downloadable.add("a", b"content", product_id="p")
    downloadable.add("b", size=None, checksum=None, state=FileState.PENDING)
    downloadable.add("c", state=FileState.ERROR)
    await api.get("/orders/files/1")
    await eventually(lambda: 1 in downloadable.order.results, "the file is settled")

    manifest: dict[str, Any] = (await list_of(api, "json")).json()

    first, second = manifest["files"]
    assert (manifest["order"], manifest["generated"]) == (12, "2026-03-01T12:30:45.25Z")
    assert first.pop("verified").endswith("Z")
    assert first.pop("url").startswith(f"{HOST}/api/v1/rs-order/orders/public/files/1?")
    assert first == {
        "name": "a",
        "product": "p",
        "size": 7,
        "md5": md5(b"content"),
        "sha256": hashlib.sha256(b"content").hexdigest(),
        "crc32": f"{zlib.crc32(b'content'):08x}",
        "state": "DOWNLOADED",
    }
    assert [second[name] for name in ("size", "md5", "sha256", "crc32", "verified")] == [None] * 5
    assert second["state"] == "PENDING"
    (failed,) = manifest["failed"]
    assert failed.pop("product").startswith("URN:")
    assert failed == {"name": "c", "code": "not-tried", "detail": None}


@pytest.mark.parametrize("states", [[], [FileState.ERROR], [FileState.ERROR] * 1100])
async def test_m_8_manifest_without_files_that_did_not_fail(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, states: list[FileState]
) -> None:
    """It is valid JSON, however many failed."""
    for state in [*states, FileState.AVAILABLE][: max(len(states), 1)]:
        downloadable.add("a", state=state)

    manifest = (await list_of(api, "json")).json()

    assert len(manifest["failed"]) == len(states)
    assert len(manifest["files"]) == (0 if states else 1)


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        (OrderStatus.PENDING, (409, "nothing-available")),
        (OrderStatus.FAILED, (200, None)),
        (OrderStatus.EXPIRED, (410, "order-gone")),
        (OrderStatus.DELETED, (410, "order-gone")),
    ],
)
async def test_m_7_orders_without_lists(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    status: OrderStatus,
    answered: tuple[int, str | None],
) -> None:
    """Failures are problems, which say what to do."""
    downloadable.add("a", state=FileState.DOWNLOADED)
    downloadable.order.status = status

    answer = await list_of(api, "json")

    assert (answer.status_code, answer.json().get("code")) == answered


async def test_m_7_who_may_get_lists(
    api: httpx.AsyncClient, base_url: str, downloadable: DownloadableOrder
) -> None:
    """The owner, those who may see all orders, and the bearer of a token."""
    downloadable.add("a")
    stranger = as_caller("other@example.org", "REGISTERED_USER")

    other = await api.get("/user/orders/12/files.txt", headers=stranger)
    unknown = await api.get("/user/orders/13/files.txt")
    no_kind = await api.get("/user/orders/12/files.exe")
    exploit = await api.get("/user/orders/12/files.txt", headers=as_caller("x@y.org", "EXPLOIT"))
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=60) as anonymous:
        query = {"orderToken": BAD_TOKENS["expired"], "scope": "demo"}
        expired = await anonymous.get("/orders/public/files.txt", params=query)

    assert (other.status_code, other.json()["code"]) == (403, "not-owner")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-order")
    assert (no_kind.status_code, no_kind.json()["code"]) == (400, "malformed-request")
    assert exploit.status_code == 200
    assert expired.status_code == 401

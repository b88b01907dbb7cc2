"""The metalink over HTTP (rest.md 10.4, domain.md 11.4)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import httpx
import jwt
import pytest

from rs_order.app.rest import RestServices
from rs_order.core.links import Links
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.order_lists import OrderLists
from rs_order.downloads.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.ports import FetchResult, RemoteUnavailable
from tests.rest.conftest import HOST, NOW, ORDER_SECRET, FakeTenants, serving
from tests.rest.fake_downloads import OWNER, DownloadableOrder, incompressible
from tests.rest.order_tokens import BAD_TOKENS, FUTURE, order_token
from tests.rest.test_zip_download import as_caller
from tests.support.clock import ManualClock
from tests.support.polling import eventually
from tests.support.tools import ARIA2, program

PLAIN, PUBLIC = "/user/orders/12/metalink/download", "/user/orders/metalink/download"
NAMESPACE = "{http://www.metalinker.org/}"
STRANGER = "other@example.org"


def files_of(document: bytes) -> list[ET.Element]:
    """Return the files of a metalink, read with Python's parser."""
    root = ET.fromstring(document)  # noqa: S314 - our own
    assert root.tag == f"{NAMESPACE}metalink"
    (files,) = root
    assert files.tag == f"{NAMESPACE}files"
    return list(files)


def names_of(document: bytes) -> list[str | None]:
    return [file.get("name") for file in files_of(document)]


def text_of(file: ET.Element, path: str) -> str | None:
    return file.findtext("/".join(f"{NAMESPACE}{tag}" for tag in path.split("/")))


def query_of(address: str | None) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address or "").query)


@pytest.mark.parametrize("prefix", ["", "/api/v1/rs-order"])
async def test_metalink(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, prefix: str
) -> None:
    """The document is equal to that of the contract, with the checksum and the type of the URL."""
    downloadable.add("p1.nc", b"content", mime_type="application/x-netcdf")

    answer = await api.get(prefix + PLAIN)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/metalink+xml"
    assert (
        answer.headers["Content-Disposition"]
        == 'attachment; filename="order_12_2026-03-01T12-30-45.250000Z.metalink"'
    )
    address = text_of(files_of(answer.content)[0], "resources/url") or ""
    assert (
        answer.text
        == f"""\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<metalink xmlns="http://www.metalinker.org/">
    <files>
        <file name="p1.nc">
            <identity>p1.nc</identity>
            <mimetype>application/x-netcdf</mimetype>
            <resources maxconnections="1">
                <url type="https">{address.replace("&", "&amp;")}</url>
            </resources>
            <size>7</size>
            <verification>
                <hash type="md5">9a0364b9e99bb480dd25e1f0284c8555</hash>
            </verification>
        </file>
    </files>
</metalink>
"""
    )


async def test_address_and_token_of_a_file(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The URL has project, path, token and scope. The token is the owner's and expires with the order."""
    downloadable.add("a")

    (file,) = files_of((await api.get(PLAIN)).content)
    address = text_of(file, "resources/url") or ""
    (token_name, token), scope = query_of(address)

    assert address.split("?")[0] == f"{HOST}/api/v1/rs-order/orders/public/files/1"
    assert (token_name, scope) == ("orderToken", ("scope", "demo"))
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "tenant": "demo",
        "role": "REGISTERED_USER",
        "sub": OWNER,
        "email": OWNER,
        "ORDER_ID": "12",
        "exp": FUTURE,
    }


async def test_w24_links_work_for_all_callers_that_may_get_the_metalink(
    api: httpx.AsyncClient, base_url: str, downloadable: DownloadableOrder
) -> None:
    """These are the owner, an administrator, and a caller that has only an order token."""
    contents = [b"1", b"2", b"3"]
    downloadable.add_all([(f"{n}", content) for n, content in enumerate(contents)])

    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=60) as anonymous:
        for content, metalink in zip(
            contents,
            [
                await api.get(PLAIN),
                await api.get(PLAIN, headers=as_caller(STRANGER, "EXPLOIT")),
                # Order tokens in mails of the Java service name no user.
                await anonymous.get(
                    PUBLIC, params={"scope": "demo", "orderToken": order_token(sub=None)}
                ),
            ],
            strict=True,
        ):
            assert metalink.status_code == 200
            file = files_of(metalink.content)[contents.index(content)]
            path = (text_of(file, "resources/url") or "").removeprefix(HOST)
            answer = await anonymous.get(path)
            assert (answer.status_code, answer.content) == (200, content)


async def test_the_token_in_a_file_link_is_valid_for_the_metalink(
    api: httpx.AsyncClient, base_url: str, downloadable: DownloadableOrder
) -> None:
    """The integration tests of the Java service require it (rest.md 14)."""
    downloadable.add("a")
    (file,) = files_of((await api.get(PLAIN)).content)
    query = query_of(text_of(file, "resources/url"))

    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=60) as anonymous:
        answer = await anonymous.get(PUBLIC, params=dict(query))

    assert names_of(answer.content) == ["a"]


async def test_the_metalink_lists_files_of_all_states(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The files are read in pages and listed by ascending id. No state changes."""
    for state in FileState:
        downloadable.add(state, state=state)
    downloadable.add_all([(f"{n:04}", b"") for n in range(1200)])

    answer = await api.get(PLAIN)

    assert names_of(answer.content) == [*FileState, *(f"{n:04}" for n in range(1200))]
    assert downloadable.order.settlements == []


async def test_unknown_members_of_a_file_are_left_out(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Type, size and checksum are left out. A file without a name is named after its URL."""
    downloadable.add("", size=None, checksum=None, mime_type=None)

    (file,) = files_of((await api.get(PLAIN)).content)

    assert file.get("name") == "last segment.dat"
    assert [child.tag.removeprefix(NAMESPACE) for child in file] == ["identity", "resources"]


async def test_checksums(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """Valid checksums are listed if the metalink format has a name for their algorithm."""
    checksums: list[tuple[str, str | None, tuple[str, str] | None]] = [
        ("AB" * 16, "MD5", ("md5", "ab" * 16)),
        ("ab" * 16, None, ("md5", "ab" * 16)),
        ("ab" * 20, "SHA-1", ("sha1", "ab" * 20)),
        ("ab" * 32, "SHA-256", ("sha256", "ab" * 32)),
        ("ab" * 64, "sha_512", ("sha512", "ab" * 64)),
        ("ab" * 28, "SHA-224", None),
        ("ab" * 16, "CRC32C", None),
        ("ab" * 15, "MD5", None),
        ("<hash>", "MD5", None),
    ]
    for checksum, algorithm, _ in checksums:
        downloadable.add("a", checksum=checksum, algorithm=algorithm)

    files = files_of((await api.get(PLAIN)).content)

    for file, (checksum, algorithm, expected) in zip(files, checksums, strict=True):
        found = file.find(f".//{NAMESPACE}hash")
        listed = None if found is None else (found.get("type"), found.text)
        assert listed == expected, (algorithm, checksum)


async def test_f22_names_are_portable_and_the_identity_is_the_name_of_the_catalog(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Windows and macOS can save every file, and none overwrites another (rest.md 10.4)."""
    names = ["CON", "a?b", "a_b", "A_B", "dot.", "a.nc", "a.nc", "a\ufffeb"]
    for name in names:
        downloadable.add(name)

    answer = await api.get(PLAIN)

    assert names_of(answer.content) == [
        *("CON_", "a_b", "a_b (1)", "A_B (2)", "dot_", "a.nc", "a (1).nc", "a_b (3)")
    ]
    identities = [text_of(file, "identity") for file in files_of(answer.content)]
    assert identities == [*names[:-1], "a_b"]


async def test_hostile_names_are_harmless(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Tools write files with these names. They have no folder or invalid character, and are unique."""
    names = [
        "../../etc/passwd",
        "passwd",
        "C:\\win.ini",
        '<a b="c">&',
        "a\ufffe\x01b",
        "a.nc",
        "a.nc",
    ]
    for name in names:
        downloadable.add(name, mime_type="<text/html>")

    answer = await api.get(PLAIN)

    assert names_of(answer.content) == [
        *("passwd", "passwd (1)", "win.ini", "_a b=_c__&", "a__b", "a.nc", "a (1).nc")
    ]
    for file in files_of(answer.content):
        assert text_of(file, "mimetype") == "<text/html>"


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        (OrderStatus.PENDING, 404),
        (OrderStatus.RUNNING, 200),
        (OrderStatus.PAUSED, 200),
        (OrderStatus.DONE, 200),
        (OrderStatus.DONE_WITH_WARNING, 200),
        (OrderStatus.ERROR, 200),
        (OrderStatus.FAILED, 404),
        (OrderStatus.EXPIRED, 404),
        (OrderStatus.DELETED, 404),
    ],
)
async def test_statuses_of_orders(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, status: OrderStatus, answered: int
) -> None:
    """D6: the metalink of a pending, failed, expired or deleted order is 404 without a body."""
    downloadable.add("a", state=FileState.DOWNLOADED)
    downloadable.order.status = status

    for answer in (
        await api.get(PLAIN),
        await api.get(PUBLIC, params={"orderToken": order_token()}),
    ):
        assert answered == answer.status_code
        assert (answer.content == b"") is (answered == 404)


async def test_order_without_files(api: httpx.AsyncClient) -> None:
    """The response is 404 without a body."""
    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.content) == (404, b"")


async def test_order_that_was_paused_before_its_files_were_known(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It has no expiry date yet, so no token can be created: 404 without a body."""
    downloadable.add("a")
    downloadable.order.status, downloadable.order.expires_at = OrderStatus.PAUSED, None

    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.content) == (404, b"")


async def test_unknown_order(api: httpx.AsyncClient) -> None:
    """The response is 404 with a message."""
    for answer in (
        await api.get("/user/orders/13/metalink/download"),
        await api.get(PUBLIC, params={"orderToken": order_token(ORDER_ID="13")}),
    ):
        assert answer.status_code == 404
        assert answer.json() == {"messages": ["There is no order 13"]}


DENIED = b'{"messages":["Access is denied"]}'


async def test_w14_who_may_get_the_metalink(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The owner, administrators, system roles and roles that may search all orders. Others get 403."""
    downloadable.add("a")

    for email, role, status in [
        (OWNER, "REGISTERED_USER", 200),
        (STRANGER, "REGISTERED_USER", 403),
        (STRANGER, "EXPLOIT", 200),
        (STRANGER, "ADMIN", 200),
        (STRANGER, "PROJECT_ADMIN", 200),
        ("rs-delivery", "ROLE_SYS_rs-delivery", 200),
    ]:
        answer = await api.get(PLAIN, headers=as_caller(email, role))
        assert answer.status_code == status, role
        assert (answer.content == DENIED) is (status == 403), role


async def test_invalid_order_tokens(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is 401 without a body."""
    downloadable.add("a")

    for kind, token in BAD_TOKENS.items():
        answer = await api.get(PUBLIC, params={"orderToken": token})
        assert (answer.status_code, answer.content) == (401, b""), kind


async def test_missing_order_token(api: httpx.AsyncClient) -> None:
    """The response is 400 and names the parameter."""
    answer = await api.get(PUBLIC)

    assert (answer.status_code, answer.json()) == (
        400,
        {"messages": ["orderToken: Field required"]},
    )


async def test_service_without_a_key_for_order_tokens(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """The response is 503 and names the setting for the operator."""
    downloadable.add("a")
    tokens = NoOrderTokens()
    links = Links(None, services.access.tenants, prefix="/api/v1", fallback="")
    downloads = replace(
        services.downloads,
        order_tokens=tokens,
        lists=OrderLists(downloadable.order, tokens, links),
    )
    services = replace(services, downloads=downloads)
    async for url in serving(services):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            headers = as_caller(OWNER, "REGISTERED_USER")
            answer = await client.get(url + PLAIN, headers=headers)

    assert answer.status_code == 503
    assert "RS_ORDER_ORDER_SECRET" in answer.json()["messages"][0]


class NoProjects:
    """Implements ``Projects`` as if rs-admin-instance were unavailable."""

    async def host(self, tenant: str) -> str:
        raise RemoteUnavailable("rs-admin-instance", f"{tenant}: no answer")


class TenantsWithoutHost(FakeTenants):
    def host(self, tenant: str) -> None:  # type: ignore[override]
        """Return no address."""


@pytest.mark.parametrize(("tenants", "status"), [(FakeTenants(), 200), (TenantsWithoutHost(), 503)])
async def test_links_have_the_last_known_address_of_the_project(
    services: RestServices, downloadable: DownloadableOrder, tenants: FakeTenants, status: int
) -> None:
    """If rs-admin-instance is unavailable and no address is known, the response is 503."""
    downloadable.add("a")
    links = Links(NoProjects(), tenants, prefix="/api/v1", fallback="http://localhost")  # type: ignore[arg-type]
    tokens = JwtOrderTokens(ORDER_SECRET, ManualClock(NOW))
    lists = OrderLists(downloadable.order, tokens, links)
    services = replace(services, downloads=replace(services.downloads, lists=lists))

    async for url in serving(services):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            headers = as_caller(OWNER, "REGISTERED_USER")
            answer = await client.get(url + PLAIN, headers=headers)

    assert status == answer.status_code


async def test_f22a_a_tool_that_splits_files_downloads_them_whole(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, base_url: str, tmp_path: Path
) -> None:
    """``aria2c -x16`` keeps to one connection for each file, because the metalink says so."""
    content = incompressible(5_000_000)
    file_id = downloadable.add("a.bin", content)
    document = (await api.get(PLAIN)).text.replace(HOST, base_url)
    metalink = tmp_path / "order.metalink"
    await asyncio.to_thread(metalink.write_text, document, encoding="utf-8")

    process = await asyncio.create_subprocess_exec(
        *(await program(ARIA2), "--no-conf", "-x16", "-s16", "-k1M", "--max-tries=1"),
        *("--metalink-file", str(metalink), "--dir", str(tmp_path)),
        *("--check-integrity=true", "--file-allocation=none"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode(errors="replace")
    assert (tmp_path / "a.bin").read_bytes() == content
    assert downloadable.sources.opened == [file_id]
    await eventually(
        lambda: downloadable.order.results == {file_id: FetchResult.DOWNLOADED},
        "the file is settled",
    )

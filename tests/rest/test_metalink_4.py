"""Metalink 4 over HTTP (faces.md M-1 to M-5; RFC 5854)."""

import hashlib
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from rs_order import __version__
from rs_order.domain.ids import Urn
from rs_order.domain.states import FileState, OrderStatus
from tests.rest.conftest import HOST
from tests.rest.downloading_tools import LIST, Desk
from tests.rest.fake_downloads import DownloadableOrder, incompressible, md5
from tests.rest.order_tokens import BAD_TOKENS, order_token
from tests.rest.test_zip_download import as_caller
from tests.support.polling import eventually
from tests.support.tools import ARIA2, XMLLINT

PLAIN, PUBLIC = "/user/orders/12/metalink/download", "/user/orders/metalink/download"
OWN_ADDRESS, PUBLIC_ADDRESS = "/user/orders/12/order_12.meta4", "/orders/public/order_12.meta4"
TYPE_3, TYPE_4 = "application/metalink+xml", "application/metalink4+xml"
NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"
SCHEMA = Path(__file__).parent / "metalink4.rng"
WRONG_CHECKSUM = 32
"""The exit status of aria2."""


async def metalink_of(api: httpx.AsyncClient, **query: str) -> httpx.Response:
    return await api.get(PLAIN, params={"version": "4", **query})


def names_in(answer: httpx.Response) -> list[str | None]:
    root = ET.fromstring(answer.content)  # noqa: S314 - our own
    return [file.get("name") for file in root.iter(f"{NAMESPACE}file")]


async def test_m_1_the_document(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """It has the product, the size, the hash, the address and until when it is valid."""
    downloadable.add("p1.nc", b"content", product_id="S2A_20250101")

    answer = await metalink_of(api)

    assert answer.headers["Content-Type"] == TYPE_4
    assert answer.headers["Content-Disposition"] == 'attachment; filename="order_12.meta4"'
    root = ET.fromstring(answer.content)  # noqa: S314 - our own
    query = (root.findtext(f".//{NAMESPACE}url") or "").partition("?")[2].replace("&", "&amp;")
    assert (
        answer.text
        == f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!-- The addresses are valid until the order expires: 2027-03-01T00:00:00Z. -->
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <generator>rs_order/{__version__}</generator>
  <origin dynamic="true">{HOST}/api/v1/rs-order{PUBLIC}?version=4&amp;{query}</origin>
  <published>2026-03-01T12:30:45.25Z</published>
  <file name="S2A_20250101/p1.nc">
    <identity>S2A_20250101</identity>
    <size>7</size>
    <hash type="md5">9a0364b9e99bb480dd25e1f0284c8555</hash>
    <url priority="1">{HOST}/api/v1/rs-order/orders/public/files/1?{query}</url>
  </file>
</metalink>
"""
    )


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", None, TYPE_3),
        ("", "*/*", TYPE_3),
        ("", f"*/*,{TYPE_4},{TYPE_3}", TYPE_3),
        ("", "text/html", TYPE_3),
        ("", TYPE_4, TYPE_4),
        ("", f"{TYPE_4}, */*;q=0.5", TYPE_4),
        ("", f"{TYPE_3};q=0.2, {TYPE_4};q=0.3", TYPE_4),
        ("", f"{TYPE_3}, {TYPE_4};q=0.3", TYPE_3),
        ("version=3", TYPE_4, TYPE_3),
        ("version=4", TYPE_3, TYPE_4),
    ],
)
async def test_m_1_which_version(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    query: str,
    accept: str | None,
    media_type: str,
) -> None:
    """Version 3, unless the query names another one or the client prefers it. aria2 accepts both alike."""
    downloadable.add("a")

    for address in f"{PLAIN}?{query}", f"{PUBLIC}?{query}&orderToken={order_token()}":
        answer = await api.get(address, headers={"Accept": accept} if accept else {})

        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)


async def test_m_1_an_unknown_version_is_rejected(api: httpx.AsyncClient) -> None:
    """The response is 400 and names the parameter."""
    answer = await metalink_of(api, version="5")

    assert answer.status_code == 400
    assert "version" in answer.json()["messages"][0]


async def test_m_1_addresses_of_version_4(
    api: httpx.AsyncClient, base_url: str, downloadable: DownloadableOrder
) -> None:
    """The owner's and the public one give the same; both end as a download tool expects."""
    downloadable.add("a")

    own = await api.get(OWN_ADDRESS)
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=60) as anonymous:
        query = {"orderToken": order_token(), "scope": "demo"}
        public = await anonymous.get(PUBLIC_ADDRESS, params=query)
        bad = await anonymous.get(
            PUBLIC_ADDRESS, params=query | {"orderToken": BAD_TOKENS["expired"]}
        )
        other = await anonymous.get("/orders/public/order_13.meta4", params=query)

    for answer in own, public:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, TYPE_4)
        assert names_in(answer) == [f"{downloadable.order.files[0].product.replace(':', '_')}/a"]
    assert bad.status_code == 401
    assert (other.status_code, other.json()["code"]) == (403, "not-owner")


async def test_m_1_who_may_get_it(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """Whoever may get version 3. Failures are problems at the new addresses."""
    downloadable.add("a")
    stranger = as_caller("other@example.org", "REGISTERED_USER")

    answers = [
        await api.get(OWN_ADDRESS, headers=stranger),
        await api.get("/user/orders/13/order_13.meta4"),
        await api.get("/user/orders/12/order_13.meta4"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        *((403, "not-owner"), (404, "unknown-order"), (404, "unknown-order"))
    ]
    exploit = as_caller("other@example.org", "EXPLOIT")
    assert (await api.get(OWN_ADDRESS, headers=exploit)).status_code == 200


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        (OrderStatus.EXPIRED, (410, "order-gone")),
        (OrderStatus.DELETED, (410, "order-gone")),
        (OrderStatus.PENDING, (409, "nothing-available")),
    ],
)
async def test_m_1_orders_without_files(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    status: OrderStatus,
    answered: tuple[int, str],
) -> None:
    """The new addresses say why there is none; the old one is 404 without a body in every version."""
    downloadable.add("a", state=FileState.DOWNLOADED)
    downloadable.order.status = status

    new, old = await api.get(OWN_ADDRESS), await metalink_of(api)

    assert (new.status_code, new.json()["code"]) == answered
    assert (old.status_code, old.content) == (404, b"")


async def test_m_2_a_folder_for_each_product(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Without a name of the provider it is named after the URN. Paths are unique ignoring case."""
    urn = Urn("URN:AIP:DATA:demo:646b593d-c152-5c9a-9dfe-17c9f0fff04b:V2")
    for product_id, name in [
        *(("S2A", "a.nc"), ("S2A", "a.nc"), ("s2a", "A.NC"), ("S2B.SAFE", "a.nc")),
        *((None, "a.nc"), ("../..", "a.nc"), ("x/é:y", "../b")),
    ]:
        downloadable.add(name, product=urn, product_id=product_id)

    products, flat = await metalink_of(api), await metalink_of(api, layout="flat")
    version_3 = await api.get(PLAIN, params={"layout": "products"})

    expected = [
        *("S2A/a.nc", "S2A/a (1).nc", "s2a/A (2).NC", "S2B.SAFE/a.nc"),
        *(f"{urn.replace(':', '_')}/a.nc", "_/a.nc", "é_y/b"),
    ]
    assert names_in(products) == expected
    assert names_in(flat) == [
        *("a.nc", "a (1).nc", "A (2).NC", "a (3).nc", "a (4).nc", "a (5).nc", "b")
    ]
    assert f'name="{expected[0]}"' in version_3.text


async def test_m_3_all_hashes_that_are_known(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """That of the catalog, under IANA's name, and a SHA-256 that a download has proven."""
    content = b"content"
    downloadable.add("a", content)
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    downloadable.add("b", content, checksum=sha1.upper(), algorithm="SHA-1")
    downloadable.add("c", content, checksum=None, size=None)
    before = await metalink_of(api)
    await api.get("/orders/files/1")
    await eventually(lambda: 1 in downloadable.order.results, "the file is settled")

    after = await metalink_of(api)

    sha256 = f'<hash type="sha-256">{hashlib.sha256(content).hexdigest()}</hash>'
    assert before.text.count("<hash") == 2
    assert f'<hash type="sha-1">{sha1}</hash>' in before.text
    assert after.text.count("<hash") == 3
    assert after.text.count(sha256) == 1
    assert after.text.count("<size>") == 2


async def test_m_4_files_of_all_states_unless_only_available_ones_are_wanted(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A tool that runs later completes the set. What was downloaded can be downloaded again."""
    for state in FileState:
        downloadable.add(state, state=state)

    every, available = (
        await metalink_of(api, layout="flat"),
        await metalink_of(api, layout="flat", available="1"),
    )

    assert names_in(every) == list(FileState)
    assert names_in(available) == ["AVAILABLE", "DOWNLOADED", "DOWNLOAD_ERROR"]


@pytest.fixture
def desk(api: httpx.AsyncClient, base_url: str, tmp_path: Path) -> Desk:
    return Desk(api, base_url, tmp_path)


async def test_acceptance_m_the_schema_of_rfc_5854(
    desk: Desk, downloadable: DownloadableOrder
) -> None:
    """Xmllint finds nothing wrong in it, whatever the names, and finds a file without an address."""
    for name in ("a&b<c>.nc", "é:è.nc", "../x", "", "\x01\ufffe", "a]]>b", "a--b"):
        downloadable.add(name, product_id=name or None, checksum="AB" * 32, algorithm="SHA-256")
    await desk.save_list(PLAIN, version="4")
    desk.write("bad", desk.list_text().replace("<url", "<uri").replace("</url", "</uri"))

    good, bad = [
        await desk.run(XMLLINT, "--noout", "--relaxng", str(SCHEMA), name) for name in (LIST, "bad")
    ]

    assert good.status == 0, good.output
    assert bad.status != 0


ARIA2_OPTIONS = ("--no-conf", "--check-integrity=true", "--max-tries=1", "--file-allocation=none")
METALINK_OPTION = f"--metalink-file={LIST}"


@pytest.mark.parametrize("version", ["3", "4"])
async def test_acceptance_m_aria2_downloads_an_order(
    desk: Desk, downloadable: DownloadableOrder, version: str
) -> None:
    """Names with ``&``, ``é``, ``:`` and doubles arrive; aria2 1.36 writes ``&#38;`` for ``&``."""
    contents = [incompressible(1000 * number) for number in range(1, 6)]
    for name, content in zip(("a&b", "é", "c:d", "twice", "twice"), contents, strict=True):
        downloadable.add(name, content, product_id="p")
    await desk.save_list(PLAIN, version=version, layout="flat")

    ended = await desk.run(ARIA2, *ARIA2_OPTIONS, METALINK_OPTION)

    assert ended.status == 0, ended.output
    expected = dict(zip(("a&b", "é", "c_d", "twice", "twice (1)"), contents, strict=True))
    assert {unescape(name): content for name, content in desk.downloaded().items()} == expected


async def test_acceptance_m_aria2_reads_it_straight_from_its_address(
    desk: Desk, downloadable: DownloadableOrder
) -> None:
    """The content type tells aria2 what it is. The addresses in it lead to the project's own host."""
    downloadable.add("a", b"content", product_id="p")
    query = f"orderToken={order_token()}&scope=demo"

    ended = await desk.run(
        *(ARIA2, *ARIA2_OPTIONS, "--follow-metalink=mem", "--connect-timeout=1"),
        f"{desk.base_url}{PUBLIC_ADDRESS}?{query}",
    )

    assert f"{HOST}/api/v1/rs-order/orders/public/files/1" in ended.output


async def test_acceptance_m_aria2_finds_a_flipped_byte(
    desk: Desk, downloadable: DownloadableOrder
) -> None:
    """The bytes aren't those of the hash in the metalink. The other file arrives."""
    downloadable.add("good", b"content", product_id="p")
    downloadable.add("bad", b"content", product_id="p")
    await desk.save_list(PLAIN, version="4")
    before, bad = desk.list_text().split('<file name="p/bad">')
    bad = bad.replace(md5(b"content"), md5(b"contEnt"))
    desk.write(LIST, f'{before}<file name="p/bad">{bad}')

    ended = await desk.run(ARIA2, *ARIA2_OPTIONS, METALINK_OPTION)

    assert ended.status == WRONG_CHECKSUM, ended.output
    assert desk.downloaded()["p/good"] == b"content"

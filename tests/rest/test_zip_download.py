"""The zip over HTTP: the rights of callers, the responses, and clients that disconnect."""

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from rs_order.app.rest import RestServices
from rs_order.ports import FetchResult
from rs_order.rest.rest_app import RestSettings
from rs_order.store.pool import open_pool
from rs_order.store.tenants import Tenants
from tests.rest.conftest import bearer, compact, serving
from tests.rest.fake_downloads import DEMO, OWNER, DownloadableOrder, incompressible
from tests.rest.stored_downloads import StoredFakeDownloads
from tests.support.polling import WAIT_SECONDS, eventually
from tests.support.proxy import tcp_proxy
from tests.support.stores import MigratedDatabases

PATH = "/user/orders/12/download"


def as_caller(email: str, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer(email, role)}"}


@pytest.mark.parametrize("prefix", ["", "/api/v1/rs-order"])
async def test_download(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, prefix: str
) -> None:
    """The zip is named after the order and the time, and served on both paths (decisions.md, Gateway)."""
    downloadable.add("a.fits", b"content")

    answer = await api.get(prefix + PATH)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (
        answer.headers["Content-Disposition"]
        == 'attachment; filename="order_12_2026-03-01T12-30-45.250000Z.zip"'
    )
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.read("a.fits") == b"content"
    await eventually(
        lambda: downloadable.order.results == {1: FetchResult.DOWNLOADED}, "it is downloaded"
    )


async def test_every_response_has_the_common_headers(api: httpx.AsyncClient) -> None:
    """The headers for CORS, caching and framing are also in error responses (rest.md 2.5)."""
    answers = [await api.get(path) for path in (PATH, "/nowhere", "/actuator/health")]

    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-cache, no-store, max-age=0, must-revalidate"
        assert answer.headers["X-Frame-Options"] == "DENY"


async def test_options_without_authorization(base_url: str) -> None:
    """A browser's preflight request needs no token (rest.md 2.1)."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.options(base_url + PATH)

    assert (answer.status_code, answer.content) == (200, b"")
    allowed = answer.headers["Access-Control-Allow-Headers"]
    assert allowed.startswith("authorization, content-type, scope")


@pytest.mark.parametrize(
    ("email", "role", "status"),
    [
        (OWNER, "REGISTERED_USER", 200),
        (OWNER, "SCIENTIST_OF_THE_PROJECT", 200),
        (OWNER, "PUBLIC", 403),
        ("other@example.org", "REGISTERED_USER", 403),
        ("other@example.org", "SCIENTIST_OF_THE_PROJECT", 403),
        ("other@example.org", "EXPLOIT", 200),
        ("other@example.org", "ADMIN", 200),
        ("other@example.org", "PROJECT_ADMIN", 200),
        ("other@example.org", "INSTANCE_ADMIN", 200),
        ("rs-delivery", "ROLE_SYS_rs-delivery", 200),
        ("rs-delivery", "SYS_rs-delivery", 200),
    ],
)
async def test_w14_who_may_download(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, email: str, role: str, status: int
) -> None:
    """The owner, administrators, system roles, and roles that may search all orders may download."""
    downloadable.add("a")

    answer = await api.get(PATH, headers=as_caller(email, role))

    assert status == answer.status_code


async def test_403_has_messages_only_if_the_role_is_the_reason(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Another user's order gives a 403 without a body (rest.md 2.3)."""
    downloadable.add("a")

    stranger = await api.get(PATH, headers=as_caller("other@example.org", "REGISTERED_USER"))
    public = await api.get(PATH, headers=as_caller(OWNER, "PUBLIC"))

    assert (stranger.status_code, stranger.content) == (403, b"")
    assert (public.status_code, public.json()) == (403, {"messages": ["Access is denied"]})
    assert downloadable.order.settled == []


async def test_order_without_available_files(api: httpx.AsyncClient) -> None:
    """The response is 204."""
    answer = await api.get(PATH)

    assert (answer.status_code, answer.content) == (204, b"")


async def test_order_downloaded_before(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The second download is 204, because no file is left (domain.md 11.1, point 1)."""
    downloadable.add("a")

    first = await api.get(PATH)
    await eventually(lambda: bool(downloadable.order.results), "it is downloaded")
    second = await api.get(PATH)

    assert (first.status_code, second.status_code) == (200, 204)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/user/orders/13/download", 404),
        ("GET", "/user/orders/x/download", 400),
        ("GET", "/user/orders/99999999999999999999/download", 400),
        ("GET", "/nowhere", 404),
        ("POST", PATH, 405),
        ("GET", "/api/v1/nowhere", 404),
    ],
)
async def test_failures_have_messages(
    api: httpx.AsyncClient, verb: str, path: str, status: int
) -> None:
    """Errors have the body of all REGARDS services (rest.md 4.1; decisions.md, Q2)."""
    answer = await api.request(verb, path)

    assert status == answer.status_code
    assert list(answer.json()) == ["messages"]
    assert all(isinstance(message, str) and message for message in answer.json()["messages"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Basic x"},
    ],
)
async def test_requests_without_a_valid_token(base_url: str, headers: dict[str, str]) -> None:
    """The response is 401 with messages (decisions.md, Q1)."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(base_url + PATH, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["messages"][0].startswith("Authentication failed: ")


async def test_scope_makes_a_public_caller(base_url: str) -> None:
    """A public caller is authenticated but may not download (rest.md 2.1)."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        by_header = await client.get(base_url + PATH, headers={"scope": "demo"})
        by_query = await client.get(f"{base_url}{PATH}?scope=demo")

    assert (by_header.status_code, by_query.status_code) == (403, 403)


async def test_token_of_another_tenant(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The token decides about the tenant, whatever the value of ``scope`` is (promise 7)."""
    downloadable.add("a")
    headers = {"Authorization": f"Bearer {bearer(tenant='project1')}", "scope": "demo"}

    assert (await api.get(PATH, headers=headers)).status_code == 404


@pytest.mark.parametrize(("setting", "status"), [(True, 200), (False, 401)])
async def test_token_in_the_address(
    services: RestServices, downloadable: DownloadableOrder, setting: bool, status: int
) -> None:
    """Browser links work without a gateway if the setting allows it (decisions.md, Gateway)."""
    downloadable.add("a")
    services = replace(services, settings=RestSettings(token_in_query=setting))

    async with (
        aclosing(serving(services)) as urls,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        url = await anext(urls)
        with capture_logs() as lines:
            answer = await client.get(f"{url}{PATH}?token={bearer()}")
        await anext(urls, None)

    assert status == answer.status_code
    assert bearer() not in str(lines)


async def lines_of_requests(
    lines: Sequence[Mapping[str, Any]], count: int = 1
) -> list[Mapping[str, Any]]:
    """Return the log lines about requests once there are so many. Other services of the process log, too.

    The last one is written after the client has its response.
    """

    def found() -> list[Mapping[str, Any]]:
        return [line for line in lines if line["event"] in {"request", "request-failed"}]

    await eventually(lambda: len(found()) >= count, f"{count} log lines about requests")
    return found()


async def test_one_line_per_request(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The line has all members of a download, under constant names: here of one that can't be resumed."""
    downloadable.add("a", size=None)
    with capture_logs() as lines:
        answer = await api.get(PATH)
        (found,) = await lines_of_requests(lines)

    line = dict(found)
    assert line.pop("ms") >= 0
    assert {
        "event": "request",
        "log_level": "info",
        "verb": "GET",
        "address": "127.0.0.1",
        "path": PATH,
        "status": 200,
        "bytes": len(answer.content),
        "tenant": "demo",
        "user": OWNER,
        "order": 12,
        "downloaded": 1,
        "failed": 0,
        "unverifiable": 0,
        "complete": True,
    } == line


async def test_one_line_per_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The line of a download that can be resumed names the archive."""
    downloadable.add("a")
    with capture_logs() as lines:
        await api.get(PATH)
        (found,) = await lines_of_requests(lines)

    assert {"order": 12, "archive": "a1", "complete": True, "status": 200}.items() <= found.items()
    assert "downloaded" not in found


class Endless:
    """A file without an end. ``closed`` is set when its source is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        chunk = incompressible(65536)
        try:
            while True:
                yield chunk
                await asyncio.sleep(0)
        finally:
            self.closed.set()


async def test_client_that_disconnects_during_the_download(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """No state changes, and the source is closed at once (domain.md 11.1, point 7)."""
    endless = Endless()
    downloadable.add("a")
    downloadable.add("endless", endless, size=2**40)
    with capture_logs() as lines:
        async with api.stream("GET", PATH) as answer:
            async for _ in answer.aiter_raw():
                break
        await asyncio.wait_for(endless.closed.wait(), WAIT_SECONDS)
        (line,) = await lines_of_requests(lines)

    assert downloadable.order.settlements == []
    assert downloadable.sources.open_now == 0
    assert (line["complete"], line["status"]) == (False, 200)


async def test_client_that_disconnects_while_the_source_sends_nothing(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The service detects it although it sends nothing."""
    closed = asyncio.Event()

    async def silent() -> AsyncGenerator[bytes, None]:
        try:
            yield incompressible(65536)
            yield incompressible(65536)
            await asyncio.Event().wait()
        finally:
            closed.set()

    downloadable.add("silent", silent, size=2**30)
    async with api.stream("GET", PATH) as answer:
        await anext(answer.aiter_raw())

    await asyncio.wait_for(closed.wait(), WAIT_SECONDS)
    assert downloadable.order.settlements == []


async def test_a_defect_during_the_download_aborts_the_response(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The client sees that the archive is incomplete."""

    async def broken() -> AsyncGenerator[bytes, None]:
        yield incompressible(65536)
        yield incompressible(65536)
        yield incompressible(65536)
        raise ZeroDivisionError

    downloadable.add("broken", broken, size=2**30)
    with capture_logs() as lines:
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get(PATH)
        found = await lines_of_requests(lines, 2)

    assert downloadable.order.settlements == []
    assert [line["event"] for line in found] == ["request-failed", "request"]


async def test_order_that_is_deleted_during_the_download_aborts_the_response(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """The client sees that the zip is incomplete. The abort isn't logged as a failure."""
    services = replace(services, downloads=replace(services.downloads, zip_page=1))

    async def last() -> AsyncGenerator[bytes, None]:
        yield b"content"
        await downloadable.order.delete()

    downloadable.add("a", last, size=None)
    downloadable.add("b")
    headers = {"Authorization": f"Bearer {bearer()}"}
    async with (
        aclosing(serving(services)) as urls,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        url = await anext(urls)
        with capture_logs() as lines:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(url + PATH, headers=headers)
            found = await lines_of_requests(lines)
        await anext(urls, None)

    assert downloadable.order.settlements == []
    assert downloadable.sources.open_now == 0
    assert [line["event"] for line in found] == ["request"]
    assert (found[0]["complete"], found[0]["reason"]) == (False, "order-gone")


async def test_a_database_that_fails_during_the_download_cuts_the_response(
    services: RestServices,
    migrated_databases: MigratedDatabases,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client sees that the archive is incomplete. The log has one line about it, and no stack trace."""
    async with (
        migrated_databases.url(DEMO) as database_url,
        tcp_proxy(database_url) as database,
        await open_pool(database.url, size=2) as pool,
    ):
        tenants = Tenants(pool)
        await tenants.load()
        order = StoredFakeDownloads(pool, tenants)
        downloadable = DownloadableOrder(order=order)

        async def last() -> AsyncGenerator[bytes, None]:
            yield b"content"
            database.cut(refuse=True)

        downloadable.add("a", last)
        downloadable.add("b")
        downloads = replace(
            services.downloads,
            orders=order,
            settle=order.settle,
            sources=downloadable.sources,
            zip_mode=compact,
            zip_page=1,
        )
        async with (
            aclosing(serving(replace(services, downloads=downloads))) as urls,
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
        ):
            url = await anext(urls)
            with capture_logs() as lines:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get(url + PATH, headers={"Authorization": f"Bearer {bearer()}"})
                await eventually(
                    lambda: any(line["event"] == "request" for line in lines), "the line"
                )
            await anext(urls, None)

    assert downloadable.sources.open_now == 0
    cut, request = (line for line in lines if line.get("path") == PATH)
    assert (cut["event"], cut["log_level"], cut["error"]) == (
        "response-cut",
        "warning",
        "StoreUnavailable",
    )
    assert "exc_info" not in cut
    assert (request["event"], request["complete"]) == ("request", False)
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_an_unexpected_error_is_a_500_without_its_text(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The message names the class of the error (rest.md 4.2)."""

    async def order(*_: object) -> None:
        raise ConnectionError("password=hunter2")

    downloadable.order.order = order  # type: ignore[assignment]
    answer = await api.get(PATH)

    assert (
        answer.status_code,
        answer.json(),
    ) == (500, {"messages": ["An unexpected error occurred: ConnectionError"]})

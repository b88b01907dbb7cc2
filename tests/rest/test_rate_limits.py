"""A caller who sends too much is answered 429, and others notice nothing (docs/security.md)."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

import httpx
import pytest
from fastapi import Request
from prometheus_client import REGISTRY

from rs_order.app.rest import RestServices
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import Resource
from rs_order.rest.access import Access, require_allowed_rate
from rs_order.rest.errors import HttpError
from rs_order.rest.rate_limits import DownloadsAtOnce, RequestLimits, RequestRate
from rs_order.rest.resources import DOWNLOAD_FILE, GET_BASKET, GET_ORDER, LIST_ORDERS
from tests.rest.conftest import bearer, serving
from tests.rest.fake_downloads import DownloadableOrder
from tests.rest.order_tokens import order_token
from tests.rest.test_zip_download import Endless
from tests.support.polling import WAIT_SECONDS

METALINK, FILE = "/user/orders/12/metalink/download", "/orders/files/1"


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_unused_requests_add_up_to_ten_seconds_worth() -> None:
    """A bucket that is used up gets a request back every 1/rate seconds."""
    clock = Seconds()
    rate = RequestRate(4, now=clock)

    assert [rate.wait("a") for _ in range(40)] == [0] * 40
    assert rate.wait("a") == pytest.approx(0.25)
    assert rate.wait("b") == 0
    clock.now += 0.5
    assert [rate.wait("a") > 0 for _ in range(3)] == [False, False, True]
    clock.now += 3600
    assert sum(rate.wait("a") == 0 for _ in range(100)) == 40


def test_a_caller_learns_how_much_is_left() -> None:
    """faces.md H-1: the quota and its window, the rest, and the seconds until the quota is whole."""
    clock = Seconds()
    rate = RequestRate(4, now=clock)
    before = rate.fields("a")["RateLimit"]
    rate.wait("a")
    after_one = rate.fields("a")
    for _ in range(50):
        rate.wait("a")

    assert before == '"requests";r=40;t=0'
    assert after_one == {
        "RateLimit-Policy": '"requests";q=40;w=10',
        "RateLimit": '"requests";r=39;t=1',
    }
    assert rate.fields("a")["RateLimit"] == '"requests";r=0;t=10'
    assert RequestRate(0.05, now=clock).fields("a")["RateLimit-Policy"] == '"requests";q=1;w=20'


def test_a_429_tells_the_rate(access: Access) -> None:
    limited = replace(access, limits=RequestLimits(per_user=1, now=Seconds()))
    for _ in range(10):
        require_allowed_rate(request_of(), limited, user(), GET_BASKET)
    with pytest.raises(HttpError) as rejected:
        require_allowed_rate(request_of(), limited, user(), GET_BASKET)

    assert rejected.value.headers == {
        "Retry-After": "5",
        "RateLimit-Policy": '"requests";q=10;w=10',
        "RateLimit": '"requests";r=0;t=10',
    }


def test_the_memory_is_bounded() -> None:
    """The caller who hasn't called for the longest time is forgotten, and begins anew."""
    rate = RequestRate(1, callers=2, now=Seconds())
    for _ in range(10):
        rate.wait("a"), rate.wait("b")
    assert rate.wait("a") > 0
    assert rate.wait("c") == 0  # "b" is forgotten: "a" was asked later
    assert rate.wait("a") > 0
    assert rate.wait("b") == 0


def request_of(path: str = "/order/basket", address: str = "192.0.2.1") -> Request:
    return Request(
        {"type": "http", "method": "GET", "path": path, "headers": [], "client": (address, 1)}
    )


def user(email: str = "jane@example.org", role: str = "REGISTERED_USER") -> Caller:
    return Caller(Tenant("demo"), email, role)


class Limited:
    """Counts how many of a caller's requests are accepted before the first 429."""

    def __init__(self, access: Access, **limits: int) -> None:
        self.clock = Seconds()
        self._access = replace(access, limits=RequestLimits(**limits, now=self.clock))

    def accepted(
        self,
        caller: Caller,
        resource: Resource = GET_BASKET,
        request: Request | None = None,
        most: int = 50,
    ) -> int:
        for number in range(most):
            try:
                require_allowed_rate(request or request_of(), self._access, caller, resource)
            except HttpError as error:
                if error.status != 429:
                    raise
                return number
        return most


@pytest.fixture
def access() -> Access:
    return Access(None, None, None, None)  # type: ignore[arg-type] # the limit asks nothing of them


@pytest.mark.parametrize(
    ("caller", "resource", "accepted"),
    [
        (user(), GET_BASKET, 10),
        (user(role="EXPLOIT"), GET_BASKET, 10),
        (user(role="PROJECT_ADMIN"), GET_BASKET, 50),
        (user(role="INSTANCE_ADMIN"), GET_BASKET, 50),
        (user("rs-delivery", "ROLE_SYS_rs-delivery"), GET_BASKET, 50),
        (user(), DOWNLOAD_FILE, 50),
        (user(), GET_ORDER, 20),
        (user(), LIST_ORDERS, 20),
    ],
)
def test_who_is_limited(access: Access, caller: Caller, resource: Resource, accepted: int) -> None:
    """Users are, but neither administrators, nor peers by default, nor downloads of files.

    The status of an order has a limit of its own besides.
    """
    assert Limited(access, per_user=1).accepted(caller, resource) == accepted


def test_peers_are_limited_if_it_is_set(access: Access) -> None:
    """Each peer has its own limit."""
    limited = Limited(access, per_peer=2)
    assert limited.accepted(user("rs-delivery", "ROLE_SYS_rs-delivery")) == 20
    assert limited.accepted(user("rs-feature", "SYS_rs-feature")) == 20
    assert limited.accepted(user()) == 50


def test_the_status_of_each_order_can_be_read_once_a_second(access: Access) -> None:
    """Although the user has used up their requests, by whatever (faces.md C-6)."""
    limited = Limited(access, per_user=1)
    assert limited.accepted(user()) == 10
    for order in range(100):
        assert limited.accepted(user(), GET_ORDER, request_of(f"/user/orders/{order}")) == 10
    for _ in range(30):
        limited.clock.now += 1
        limited.accepted(user())
        for order in range(100):
            request = request_of(f"/user/orders/{order}")
            assert limited.accepted(user(), GET_ORDER, request, most=1) == 1


def test_callers_without_a_token_are_counted_by_address(access: Access) -> None:
    """All addresses of an IPv6 network of 64 bits are one; a forwarded address may be any text."""
    limited = Limited(access, per_user=1)
    anonymous = user("public@regards.com", "PUBLIC")

    def accepted(address: str) -> int:
        return limited.accepted(anonymous, request=request_of(address=address))

    assert [accepted(f"192.0.2.{n}") for n in (1, 1, 2)] == [10, 0, 10]
    assert [accepted(f"2001:db8::{n}") for n in (1, 2)] == [10, 0]
    assert [accepted("_hidden") for _ in range(2)] == [10, 0]


@contextmanager
def counted(limit: str) -> Iterator[None]:
    def count() -> float:
        return REGISTRY.get_sample_value("rs_order_requests_limited_total", {"limit": limit}) or 0.0

    before = count()
    yield
    assert count() == before + 1


@pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
async def test_the_answer_to_too_many_requests(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """429 with a code, a sentence and ``Retry-After``. Others are served, and so is monitoring."""
    downloadable.add("a", b"content")
    limits = RequestLimits(per_user=1)
    services = replace(services, access=replace(services.access, limits=limits))
    async with (
        aclosing(serving(services)) as urls,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        url = await anext(urls)

        async def get(path: str, email: str) -> httpx.Response:
            return await client.get(
                url + path, headers={"Authorization": f"Bearer {bearer(email, 'EXPLOIT')}"}
            )

        for _ in range(10):
            assert (await get(METALINK, "jane@example.org")).status_code == 200
        with counted("user-requests"):
            answer = await get(METALINK, "jane@example.org")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
        assert answer.json() == {
            "messages": ["TOO_MANY_REQUESTS", "You sent too many requests. Try again in 5 s."]
        }
        assert (await get(METALINK, "other@example.org")).status_code == 200
        for _ in range(20):
            assert (await get("/actuator/health", "jane@example.org")).status_code == 200
        await anext(urls, None)


@pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
@pytest.mark.parametrize("path", [FILE, "/user/orders/12/download"])
async def test_a_user_may_have_so_many_downloads_at_once(
    services: RestServices, downloadable: DownloadableOrder, path: str
) -> None:
    """Whoever downloads with an order token counts as its owner. A download that ends makes room."""
    endless = Endless()
    downloadable.add("endless", endless, size=2**40)
    limited = replace(services.downloads, at_once=DownloadsAtOnce(1))
    public = f"/orders/public/files/1?scope=demo&orderToken={order_token()}"
    async with (
        aclosing(serving(replace(services, downloads=limited))) as urls,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        url = await anext(urls)
        mine = {"Authorization": f"Bearer {bearer()}"}
        admin = {"Authorization": f"Bearer {bearer('admin@example.org', 'PROJECT_ADMIN')}"}
        async with client.stream("GET", url + path, headers=mine) as first:
            assert first.status_code == 200
            with counted("user-downloads"):
                second = await client.get(url + path, headers=mine)
            assert (second.status_code, second.headers["Retry-After"]) == (429, "30")
            text = (
                "1 downloads of yours are under way: wait until one has ended. Try again in 30 s."
            )
            assert second.json() == {"messages": ["TOO_MANY_REQUESTS", text]}
            assert (await client.get(url + public)).status_code == 429
            assert (await client.head(url + path, headers=mine)).status_code == 200
            for _ in range(2):
                async with client.stream("GET", url + path, headers=admin) as other:
                    assert other.status_code == 200
        await asyncio.wait_for(endless.closed.wait(), WAIT_SECONDS)
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                async with client.stream("GET", url + path, headers=mine) as again:
                    if again.status_code == 200:
                        break
        await anext(urls, None)

"""Calls REGARDS services, and maps their responses to results and errors (remote-services.md 1.2).

404                         absent: the caller decides what that means
408, 425, 429, 5xx          RemoteUnavailable: the call can be repeated
other 4xx                   RemoteRejection: final
1xx-3xx, unreadable 2xx     BadResponse: the contract doesn't allow it
no or a partial response    RemoteUnavailable
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import jwt
import orjson
from aiohttp.http_exceptions import HttpProcessingError
from cachetools import TTLCache
from prometheus_client import Histogram
from yarl import URL

from rs_order import traces
from rs_order.contracts.platform_names import INSTANCE_ADMIN, PROJECT_ADMIN
from rs_order.contracts.wire import MAX_DETAIL, excerpt
from rs_order.correlation_ids import CORRELATION_HEADER, correlation_id
from rs_order.domain.identity import INSTANCE, SERVICE, Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import BadResponse, RemoteError, RemoteRejection, RemoteUnavailable
from rs_order.regards.address_policy import AddressPolicy
from rs_order.regards.answer_memory import AnswerMemory, Reservation
from rs_order.regards.call_watch import CallWatch
from rs_order.regards.outgoing_connections import connections

ALGORITHM: Final = "HS512"
RENEW_BEFORE_SECONDS: Final = 60.0
"""A token is replaced this long before it expires, so that it outlives the call it is made for."""
MAX_TOKENS: Final = 1000


class TokenIssuer:
    """Issues the tokens of outgoing calls, and caches each until shortly before it expires."""

    def __init__(
        self,
        key: str,
        *,
        service: str = SERVICE,
        validity_seconds: float = 7200.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``key``: the platform's HS512 key; its UTF-8 bytes are the HMAC key.

        Raises:
            ValueError: the tokens would expire before they could be used.
        """
        if validity_seconds <= RENEW_BEFORE_SECONDS:
            raise ValueError(
                f"the validity of tokens must be more than {RENEW_BEFORE_SECONDS:.0f} s, "
                f"not {validity_seconds:g} s"
            )
        self._key = key.encode()
        self._service = service
        self._validity = validity_seconds
        self._now = now
        self._issued: TTLCache[Caller, str] = TTLCache(
            MAX_TOKENS, validity_seconds - RENEW_BEFORE_SECONDS, timer=now
        )

    def system(self, tenant: Tenant) -> str:
        """Return a token of the service itself, within a tenant."""
        return self.on_behalf(Caller(tenant, self._service, f"ROLE_SYS_{self._service}"))

    def instance(self) -> str:
        """Return a token of the service itself, as administrator of the platform."""
        return self.on_behalf(Caller(INSTANCE, self._service, INSTANCE_ADMIN))

    def downloader(self, tenant: Tenant, email: str) -> str:
        """Return a token of the user whose quota is charged, with a role that may read every file."""
        return self.on_behalf(Caller(tenant, email, PROJECT_ADMIN))

    def on_behalf(self, caller: Caller) -> str:
        """Return a token of the caller, with their role and tenant."""
        token = self._issued.get(caller)
        if token is None:
            token = self._issued[caller] = self._sign(caller)
        return token

    def _sign(self, caller: Caller) -> str:
        claims = {
            "tenant": caller.tenant,
            "role": caller.role,
            "sub": caller.email,
            "email": caller.email,
            "exp": int(self._now() + self._validity),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)


RETRY_STATUSES: Final = frozenset({408, 425, 429})
"""4xx statuses for which the same call may succeed later."""
MAX_ANSWER: Final = 16 * 2**20
"""The most bytes of a JSON response that is no page of the catalog. Roles and datasets take some 100 KB."""


NO_RESPONSE: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
"""The errors of a request without a response, or of a response that breaks. Timeouts are OSErrors."""
RECEIVED_AHEAD: Final = 64 * 1024
"""Bytes that wait for their reader. Twice as many, and the connection isn't read until there are fewer."""
MAX_HEADER: Final = 64 * 1024
"""The most bytes of a header of a response."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Time limits of a call, and the limit of concurrent calls."""

    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    """The longest pause between two pieces of a response."""
    call_seconds: float | None = 300.0
    """The longest time from a call to the end of its response: a slow service doesn't hold it without end."""
    connections: int | None = 100
    """None: no limit."""


FILE_LIMITS: Final = CallLimits(call_seconds=None, connections=None)
"""The limits of downloads, whose duration depends on their readers."""


def new_client(
    limits: CallLimits | None = None,
    *,
    decode: bool = True,
    proxy: str | None = None,
    policy: AddressPolicy | None = None,
) -> aiohttp.ClientSession:
    """Return an HTTP client that keeps no cookies and reads no settings from the environment.

    Args:
        limits: the limits of its calls.
        decode: decode compressed responses; else their bytes are read as they were sent.
        proxy: URL of the proxy that it uses.
        policy: the addresses to which it may connect; None: all. Not with a proxy.
    """
    limits = limits or CallLimits()
    client = aiohttp.ClientSession(
        connector=connections(limits.connections, limits.connect_seconds, policy),
        timeout=aiohttp.ClientTimeout(
            total=limits.call_seconds,
            # Includes the wait until one of the limited connections is free.
            connect=limits.connect_seconds + limits.read_seconds,
            sock_connect=limits.connect_seconds,
            sock_read=limits.read_seconds,
        ),
        trace_configs=[_notes_of_connections()],
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=decode,
        proxy=proxy,
        read_bufsize=RECEIVED_AHEAD,
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
    )
    # It would repeat requests on new connections, too; "send" repeats those on used ones.
    client._retry_connection = False  # noqa: SLF001 - there is no public setting
    return client


class _Attempt:
    """Notes whether a request opened a connection."""

    opened_connection = False


def _notes_of_connections() -> aiohttp.TraceConfig:
    async def note(_: aiohttp.ClientSession, context: Any, __: object) -> None:
        context.trace_request_ctx.opened_connection = True

    notes = aiohttp.TraceConfig()
    notes.on_connection_create_start.append(note)
    return notes


_calls = Histogram(
    "rs_order_remote_call_seconds",
    "Duration of calls of other services until the end of the response, of files until its head",
    ["service", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60),
)


CALLS: Final = CallWatch()
"""The calls of this process, as the metrics above are those of this process."""


class MeasuredCall:
    """A call whose duration is observed at its end. Without an ``outcome`` until then it was unavailable."""

    def __init__(self) -> None:
        self.outcome = "unavailable"
        self.cancelled = False


@contextmanager
def measured(service: str) -> Iterator[MeasuredCall]:
    """Observe the duration of a call of a service. A cancelled call isn't observed."""
    call, began = MeasuredCall(), time.perf_counter()
    try:
        with traces.span(f"call {service}", "CLIENT"):
            yield call
    except asyncio.CancelledError:
        call.cancelled = True
        raise
    finally:
        if not call.cancelled:
            _calls.labels(service, call.outcome).observe(time.perf_counter() - began)
            CALLS.note(service, call.outcome)


def outcome_of(status: int) -> str:
    """Return the label of a response, see the head of the module."""
    if status == HTTPStatus.NOT_FOUND:
        return "absent"
    if _is_success(status):
        return "ok"
    if status in RETRY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "unavailable"
    return "rejected" if status >= HTTPStatus.BAD_REQUEST else "bad-response"


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


async def send(
    client: aiohttp.ClientSession,
    verb: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    traced: bool = True,
) -> aiohttp.ClientResponse:
    """Send a request, and return the response with its body still to read. The caller must release it.

    A server may close an idle connection at the moment when the client uses it again. A GET that gets no
    response on such a connection is sent once more. Redirects aren't followed. ``traced``: the request names
    the trace it belongs to.

    Raises:
        NO_RESPONSE: there is no response.
    """
    if traced and (traceparent := traces.current()):
        headers = {**headers, traces.HEADER: traceparent}
    attempt = _Attempt()

    async def request() -> aiohttp.ClientResponse:
        return await client.request(
            verb, url, headers=headers, data=body, allow_redirects=False, trace_request_ctx=attempt
        )

    try:
        return await request()
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        if attempt.opened_connection or verb != "GET":
            raise
    return await request()


class RemoteService:
    """Client of one REGARDS service: JSON over HTTP below a base URL."""

    def __init__(
        self,
        name: str,
        base_url: str,
        client: aiohttp.ClientSession,
        *,
        longest_answer: int = MAX_ANSWER,
        memory: AnswerMemory | None = None,
    ) -> None:
        """``longest_answer``: the most bytes of a response; ``memory``: that of all responses together."""
        self._longest_answer = longest_answer
        self._memory = memory or AnswerMemory()
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._client = client

    async def get(self, path: str, token: str, *, empty_is_absent: bool = False) -> Any:
        """Return the parsed response, or None if the service answers 404.

        Args:
            path: below the base URL, quoted.
            token: the bearer token of the call.
            empty_is_absent: treat a 200 without a body like a 404.

        Raises:
            RemoteRejection, RemoteUnavailable, BadResponse: see the head of the module.
        """
        with self._memory.reservation() as reserved:
            answer = await self._call(reserved, "GET", path, token)
            if answer is None or (empty_is_absent and not answer):
                return None
            return self._parse(path, answer)

    async def post(self, path: str, token: str, body: object) -> Any:
        """Post a JSON body; return and raise like ``get``."""
        async with self.post_for_text(path, token, body) as answer:
            return None if answer is None else self._parse(path, answer)

    async def post_form(
        self, path: str, fields: Mapping[str, str], authorization: str | None
    ) -> Any:
        """Post a form without a token; return and raise like ``get``.

        ``authorization``: the value of the header, or None for none.
        """
        with self._memory.reservation() as reserved:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            if authorization is not None:
                headers["Authorization"] = authorization
            answer = await self._call(
                reserved, "POST", path, None, urlencode(fields).encode(), headers=headers
            )
            return None if answer is None else self._parse(path, answer)

    @asynccontextmanager
    async def get_for_text(self, path: str, token: str) -> AsyncIterator[bytearray | None]:
        """Get like ``get``, but yield the text, for a caller that checks each of its texts."""
        with self._memory.reservation() as reserved:
            yield await self._call(reserved, "GET", path, token)

    @asynccontextmanager
    async def post_for_text(
        self, path: str, token: str, body: object, *, page_bytes: int | None = None
    ) -> AsyncIterator[bytearray | None]:
        """Post like ``post``, but yield the text, for a caller that parses it item by item.

        ``page_bytes``: the most bytes of the response, if it is a page with ``RS_ORDER_BATCH_SIZE`` items.
        """
        with self._memory.reservation() as reserved:
            yield await self._call(
                reserved, "POST", path, token, orjson.dumps(body), page_bytes=page_bytes
            )

    async def put(self, path: str, token: str, body: object) -> None:
        """Put a JSON body and ignore the content of the response.

        Raises:
            RemoteRejection, RemoteUnavailable, BadResponse: see the head of the module. A 404 is a
                rejection here, because the object to change doesn't exist.
        """
        with self._memory.reservation() as reserved:
            answer = await self._call(reserved, "PUT", path, token, orjson.dumps(body))
        if answer is None:
            raise RemoteRejection(self.name, HTTPStatus.NOT_FOUND, f"{path}: status 404")

    async def create(self, path: str, token: str, body: object) -> bool:
        """Post a JSON body for a 201 without content; return False if the service answers 404.

        Raises:
            RemoteRejection, RemoteUnavailable, BadResponse: see the head of the module. Any success
                other than 201 is a BadResponse: the contract doesn't say that the object was created.
        """
        with self._memory.reservation() as reserved:
            created = await self._call(
                reserved, "POST", path, token, orjson.dumps(body), only=HTTPStatus.CREATED
            )
        return created is not None

    def bad_response(self, path: str, problem: str) -> BadResponse:
        """Return the error for a response that can be read but doesn't follow the contract."""
        return BadResponse(self.name, f"{path}: {excerpt(problem)}")

    async def _call(
        self,
        reserved: Reservation,
        verb: str,
        path: str,
        token: str | None,
        body: bytes | None = None,
        *,
        only: HTTPStatus | None = None,
        page_bytes: int | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytearray | None:
        """Return the body, or None for a 404; ``only``: the one status of success, None: any 2xx."""
        headers = {**_headers(token, body), **headers}
        try:
            with measured(self.name) as call:
                url = URL(self._base_url + path, encoded=True)
                async with await send(self._client, verb, url, headers, body) as response:
                    answer = await self._read(path, response, reserved, page_bytes)
                call.outcome = outcome_of(response.status)
        except NO_RESPONSE as error:
            raise self._no_answer(path, error) from error
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if not _is_success(response.status):
            raise self._failure(path, response.status, answer)
        if only is not None and response.status != only:
            raise self.bad_response(path, f"status {response.status} instead of {only}")
        return answer

    async def _read(
        self,
        path: str,
        response: aiohttp.ClientResponse,
        reserved: Reservation,
        page_bytes: int | None,
    ) -> bytearray:
        most = self._longest_answer if page_bytes is None else page_bytes
        answer = bytearray()
        async for chunk in response.content.iter_any():
            if len(answer) + len(chunk) > most:
                advice = (
                    "check which service answers at the address that is set for it"
                    if page_bytes is None
                    else "lower RS_ORDER_BATCH_SIZE"
                )
                raise self.bad_response(path, f"the answer is longer than {most} bytes; {advice}")
            await reserved.grow(len(chunk))
            answer += chunk
        return answer

    def _parse(self, path: str, answer: bytearray) -> Any:
        """Return the value of a response of which the caller doesn't check each text."""
        if rb"\u0000" in answer:
            # PostgreSQL can't store this character in a text, so it is rejected before any work is done.
            raise self.bad_response(path, "the answer holds the character U+0000")
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise self.bad_response(path, f"the answer isn't JSON ({error})") from error

    def _no_answer(self, path: str, error: Exception) -> RemoteUnavailable:
        problem = "no answer in time" if isinstance(error, TimeoutError) else "no answer"
        cause = ": ".join(filter(None, [type(error).__name__, str(error)]))
        return RemoteUnavailable(self.name, excerpt(f"{path}: {problem} ({cause})"))

    def _failure(self, path: str, status: int, answer: bytearray) -> RemoteError:
        detail = f"{path}: status {status}: {excerpt(_message_of(answer))}"
        if status in RETRY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return RemoteUnavailable(self.name, detail, status)
        if status >= HTTPStatus.BAD_REQUEST:
            return RemoteRejection(self.name, status, detail)
        return BadResponse(self.name, detail)


def _headers(token: str | None, body: bytes | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    if (cause := correlation_id()) is not None:
        headers[CORRELATION_HEADER] = cause
    return headers


def _message_of(answer: bytearray) -> str:
    """Return the texts of an error response: those of ``{"messages": […]}``, or else its whole body."""
    try:
        messages = orjson.loads(answer)["messages"]
        return ", ".join(str(message) for message in messages)
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return answer[: 4 * MAX_DETAIL].decode(errors="replace") or "no text"

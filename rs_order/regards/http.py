"""How every REGARDS service is called: one client, one reading of the answers (remote-services.md 1.2).

404                       absent: the caller of the adapter decides what that means
408, 425, 429, 5xx        RemoteUnavailable: nobody said anything yet
other 4xx                 RemoteRejection: a verdict
1xx-3xx, unreadable 2xx   BadResponse: not what the contract allows
no or half an answer      RemoteUnavailable
"""

from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from rs_order.contracts.wire import MAX_DETAIL, excerpt
from rs_order.ports import BadResponse, RemoteError, RemoteRejection, RemoteUnavailable

ASK_AGAIN_STATUSES: Final = frozenset({408, 425, 429})
"""4xx that speak of the moment, not of the request."""
MAX_ANSWER: Final = 256 * 2**20
"""Bytes of one JSON answer; a page of 10,000 products takes about 15 MB."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long to wait, in seconds, and how many calls may be under way at once."""

    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    """The longest silence between two pieces of an answer."""
    connections: int | None = 100
    """None: no limit, for downloads, which last as long as their readers want."""


def new_client(limits: CallLimits | None = None, *, proxy: str | None = None) -> httpx.AsyncClient:
    """The connections shared by all services: no redirects, nothing taken from the environment."""
    limits = limits or CallLimits()
    return httpx.AsyncClient(
        timeout=httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds),
        limits=httpx.Limits(max_connections=limits.connections, max_keepalive_connections=20),
        follow_redirects=False,
        trust_env=False,
        proxy=proxy,
    )


class RemoteService:
    """One REGARDS service behind its base URL, spoken to in JSON."""

    def __init__(
        self,
        name: str,
        base_url: str,
        client: httpx.AsyncClient,
        *,
        longest_answer: int = MAX_ANSWER,
    ) -> None:
        """``longest_answer``: the most bytes that an answer may have."""
        self._longest_answer = longest_answer
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._client = client

    async def get(self, path: str, token: str, *, empty_is_absent: bool = False) -> Any:
        """The parsed answer, None when the service answers 404.

        Args:
            path: below the base URL, quoted.
            token: the identity of the call.
            empty_is_absent: whether a 200 without a body means the same as a 404.

        Raises:
            RemoteRejection, RemoteUnavailable, BadResponse: see the head of the module.
        """
        answer = await self._call("GET", path, token)
        if answer is None or (empty_is_absent and not answer):
            return None
        return self._parse(path, answer)

    async def post(self, path: str, token: str, body: object) -> Any:
        """Like ``get``, for a JSON body."""
        answer = await self.post_for_text(path, token, body)
        return None if answer is None else self._parse(path, answer)

    async def post_for_text(self, path: str, token: str, body: object) -> bytearray | None:
        """Like ``post``, for an answer so large that its reader parses it piece by piece."""
        return await self._call("POST", path, token, orjson.dumps(body))

    async def put(self, path: str, token: str, body: object) -> None:
        """Send a JSON body whose answer doesn't matter.

        Raises:
            RemoteRejection, RemoteUnavailable, BadResponse: see the head of the module; a 404 is a
                refusal here, for what should be changed isn't there.
        """
        if await self._call("PUT", path, token, orjson.dumps(body)) is None:
            raise RemoteRejection(self.name, httpx.codes.NOT_FOUND, f"{path}: status 404")

    async def create(self, path: str, token: str, body: object) -> bool:
        """Post what is answered 201 without a body; False when the service answers 404.

        Any other success isn't what the contract says, so nobody can tell whether it was taken.
        """
        created = await self._call(
            "POST", path, token, orjson.dumps(body), only=httpx.codes.CREATED
        )
        return created is not None

    def bad_response(self, path: str, problem: str) -> BadResponse:
        """The error for an answer that can be read but isn't what the contract says."""
        return BadResponse(self.name, f"{path}: {excerpt(problem)}")

    async def _call(
        self,
        verb: str,
        path: str,
        token: str,
        body: bytes | None = None,
        *,
        only: httpx.codes | None = None,
    ) -> bytearray | None:
        """``only`` is the one status that counts as success; None: any 2xx."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._client.stream(
                verb, self._base_url + path, headers=headers, content=body
            ) as response:
                answer = await self._read(path, response)
        except httpx.HTTPError as error:
            raise self._no_answer(path, error) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise self._failure(path, response.status_code, answer)
        if only is not None and response.status_code != only:
            raise self.bad_response(path, f"status {response.status_code} instead of {only}")
        if rb"\u0000" in answer:
            # No text column holds it, so it must not come in: better known here than by the database.
            raise self.bad_response(path, "the answer holds the character U+0000")
        return answer

    async def _read(self, path: str, response: httpx.Response) -> bytearray:
        answer = bytearray()
        async for chunk in response.aiter_bytes():
            answer += chunk
            if len(answer) > self._longest_answer:
                raise self.bad_response(
                    path, f"the answer is longer than {self._longest_answer} bytes"
                )
        return answer

    def _parse(self, path: str, answer: bytearray) -> Any:
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise self.bad_response(path, f"the answer isn't JSON ({error})") from error

    def _no_answer(self, path: str, error: httpx.HTTPError) -> RemoteUnavailable:
        what = "no answer in time" if isinstance(error, httpx.TimeoutException) else "no answer"
        return RemoteUnavailable(
            self.name, excerpt(f"{path}: {what} ({type(error).__name__}: {error})")
        )

    def _failure(self, path: str, status: int, answer: bytearray) -> RemoteError:
        detail = f"{path}: status {status}: {excerpt(_message_of(answer))}"
        if status in ASK_AGAIN_STATUSES or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return RemoteUnavailable(self.name, detail, status)
        if status >= httpx.codes.BAD_REQUEST:
            return RemoteRejection(self.name, status, detail)
        return BadResponse(self.name, detail)


def _message_of(answer: bytearray) -> str:
    """What a service says of its failure: ``{"messages": […]}`` or whatever text it sent."""
    try:
        messages = orjson.loads(answer)["messages"]
        return ", ".join(str(message) for message in messages)
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return answer[: 4 * MAX_DETAIL].decode(errors="replace") or "no text"

"""Requests with an ``Idempotency-Key``: sent again, they have the effect of one (faces.md 8.1).

A request is claimed before its work begins, and its answer is kept when the work is done. A new order and the
answer to its request are one commit (``KeyedWork.with_order``), so a process may die at any moment.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

import structlog
from fastapi import Depends, Request, Response

from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.ports import Clock, Resource
from rs_order.rest.addresses import service_path
from rs_order.rest.errors import Problem, failure_answer
from rs_order.rest.middleware import facts_of
from rs_order.rest.problems import ProblemCode, documented_problem
from rs_order.store.errors import StoreError
from rs_order.store.keyed_requests import Claim, KeptAnswer, KeyedRequest, KnownRequest
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict

KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
ABANDONED_AFTER: Final = timedelta(minutes=2)
"""A process that hasn't finished a request after so long has died; no request takes longer."""
PAUSE_SECONDS: Final = 1
"""The pause before a request is repeated that is in progress."""
MAX_KEY: Final = 255
MAX_OWNER: Final = 128

_BARE_KEY: Final = re.compile(rf"[!#-~][!-~]{{0,{MAX_KEY - 1}}}")
_QUOTED_KEY: Final = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_STATE: Final = "keyed_work"
_LENGTH: Final = "content-length"
_REJECTED: Final = frozenset({409, 422})
"""Statuses of rejections by a use case, which are kept."""
_FIRST_FAILURE: Final = 400
_UNCOUNTED: Final = frozenset({"token"})
"""The parameter with the caller's token stands for a header, and headers don't count."""

Handler = Callable[[Request], Awaitable[Response]]

log = structlog.get_logger(__name__)


class AnswerWithSecret(Response):
    """An answer whose body is for its first reader only. A repetition gets another one."""

    def __init__(self, shown: Response, *, kept: Response) -> None:
        super().__init__(shown.body, shown.status_code, shown.headers)
        self.kept: Final = bytes(kept.body)


class KeyedWork:
    """The work of a request with a key, done now by this process."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.answer: Response | None = None
        """The answer that the commit of the work keeps."""

    def with_order(
        self, make: Callable[[UnitOfWork, OrderId], Awaitable[Response]]
    ) -> Callable[[UnitOfWork, OrderId], Awaitable[None]]:
        """Return a function that keeps the answer in the commit of a new order.

        It raises a Problem, so that nothing is committed, if another process has claimed the work meanwhile.

        ``make``: returns the answer.
        """

        async def keep(uow: UnitOfWork, order_id: OrderId) -> None:
            self.answer = await make(uow, order_id)
            kept = _kept(self.answer, order_id)
            if not await uow.keyed_requests.finish(self.claim, kept):
                raise _in_progress()

        return keep


async def _keyed_work(request: Request) -> KeyedWork | None:
    """Return the work. It is a coroutine because FastAPI runs plain functions in a thread."""
    return getattr(request.state, _STATE, None)


Keyed = Annotated[KeyedWork | None, Depends(_keyed_work)]
"""The work of a request with a key; None: the request has none."""


class KeyedAnswers:
    """Answers requests with a key: a new one is handled, and a repetition gets the answer of the first."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def answer(
        self, request: Request, caller: Caller, resource: Resource, handle: Handler
    ) -> Response:
        """Return the answer of the handler, or the one that was kept.

        Raises:
            Problem: the key is malformed or that of another request, or the request is in progress.
        """
        keyed = KeyedRequest(
            owner=caller.email[:MAX_OWNER],
            endpoint=f"{resource.verb} {resource.template}",
            key=_key_of(request),
            fingerprint=await _fingerprint_of(request, caller),
        )
        claimed = await retry_on_conflict(partial(self._claim, caller.tenant, keyed))
        if isinstance(claimed, Claim):
            return await self._handled(request, caller.tenant, claimed, handle)
        if claimed.fingerprint != keyed.fingerprint:
            raise Problem(
                ProblemCode.IDEMPOTENCY_KEY_REUSED,
                f"You sent another request with this {KEY_HEADER}; nothing was changed.",
            )
        if claimed.answer is None:
            raise _in_progress()
        return _replayed(request, claimed.answer)

    async def _claim(self, tenant: Tenant, keyed: KeyedRequest) -> Claim | KnownRequest:
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            return await uow.keyed_requests.claim(keyed, now, now - ABANDONED_AFTER)

    async def _handled(
        self, request: Request, tenant: Tenant, claim: Claim, handle: Handler
    ) -> Response:
        """Handle a request that was claimed, and return its answer."""
        work = KeyedWork(claim)
        setattr(request.state, _STATE, work)
        try:
            answer = await handle(request)
        except Exception as error:
            failure = failure_answer(request, error)
            if failure is None:
                await self._settle(tenant, claim, None)
                raise
            answer = failure
        if answer is not work.answer:
            await self._settle(tenant, claim, _kept(answer) if _is_kept(answer) else None)
        return answer

    async def _settle(self, tenant: Tenant, claim: Claim, kept: KeptAnswer | None) -> None:
        """Keep an answer, or release the key if there is none to be kept.

        The answer is true whether or not this succeeds. Otherwise the work counts as abandoned after a while.
        """
        try:
            async with self._store.unit_of_work(tenant) as uow:
                if kept is None:
                    await uow.keyed_requests.release(claim)
                else:
                    await uow.keyed_requests.finish(claim, kept)
        except StoreError as error:
            log.warning("keyed-request-not-settled", tenant=tenant, cause=str(error))


def _is_kept(answer: Response) -> bool:
    """True for a success, and for the rejection of a use case unless it says when to try again."""
    if answer.status_code in _REJECTED:
        return "Retry-After" not in answer.headers
    return answer.status_code < _FIRST_FAILURE


def _kept(answer: Response, order_id: OrderId | None = None) -> KeptAnswer:
    headers = {name: value for name, value in answer.headers.items() if name != _LENGTH}
    body = answer.kept if isinstance(answer, AnswerWithSecret) else bytes(answer.body)
    return KeptAnswer(answer.status_code, headers, body, order_id)


def _replayed(request: Request, kept: KeptAnswer) -> Response:
    facts_of(request.scope)["replayed"] = True
    if kept.order_id is not None:
        facts_of(request.scope)["order"] = kept.order_id
    return Response(kept.body, kept.status, {**kept.headers, REPLAYED_HEADER: "true"})


def _in_progress() -> Problem:
    return Problem(
        ProblemCode.REQUEST_IN_PROGRESS,
        f"The first request with this {KEY_HEADER} is in progress.",
        headers={"Retry-After": str(PAUSE_SECONDS)},
    )


def _key_of(request: Request) -> str:
    """Return the key, a string of a structured field (RFC 9651) or the same without quotes.

    Raises:
        Problem: it is malformed.
    """
    values = request.headers.getlist(KEY_HEADER)
    value = values[0].strip() if len(values) == 1 else ""
    quoted = _QUOTED_KEY.fullmatch(value)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value
    if len(key) > MAX_KEY or not (quoted or _BARE_KEY.fullmatch(value)):
        raise Problem(
            ProblemCode.IDEMPOTENCY_KEY_MALFORMED,
            f"{KEY_HEADER}: send one key of 1 to {MAX_KEY} visible ASCII characters, in quotes or without.",
        )
    return key


async def _fingerprint_of(request: Request, caller: Caller) -> bytes:
    """Return the SHA-256 of what tells a repetition from another request with the same key.

    The path belongs to it, because the scope of a key is the path's template.
    """
    query = parse_qsl(request.url.query, keep_blank_values=True)
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    parts = (
        caller.email.encode(),
        service_path(request).encode(),
        urlencode([one for one in query if one[0] not in _UNCOUNTED]).encode(),
        media_type.encode(),
        canonical_json(await request.body()),
    )
    return hashlib.sha256(b"".join(len(one).to_bytes(4) + one for one in parts)).digest()


def canonical_json(body: bytes) -> bytes:
    """Return the body with sorted keys and without layout; ``1.0`` and ``1e0`` are ``1``.

    A body that isn't JSON is returned as it is.
    """
    try:
        value = json.loads(body, parse_float=_number)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def documented_key() -> dict[str, Any]:
    """Return the OpenAPI parameter object of the header."""
    return {
        "name": KEY_HEADER,
        "in": "header",
        "required": False,
        "description": "A key of the caller's choice, such as a UUID. The same request with the same key "
        f"gets the answer of the first one, with `{REPLAYED_HEADER}: true`, and has no further effect. "
        "Answers are kept for `RS_ORDER_INBOX_RETENTION_DAYS`, which is 7 days by default.",
        "schema": {"type": "string", "maxLength": MAX_KEY + 2},
        "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    }


_HEADERS: Final = {
    REPLAYED_HEADER: "`true` for the answer of an earlier request",
    "RateLimit": "How many requests are left (`r`), and the seconds until all are again (`t`)",
    "RateLimit-Policy": "How many requests are allowed (`q`) in a window of so many seconds (`w`)",
}
_KEY_FAILURES: Final = {
    400: "The key is malformed (`idempotency-key-malformed`)",
    409: "The first request with the key is in progress (`request-in-progress`)",
    422: "The key is that of another request (`idempotency-key-reused`)",
}


def with_key_responses(
    responses: Mapping[int | str, Mapping[str, Any]], success: int
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI response objects of an endpoint with what a key can lead to."""
    with_key = {status: dict(response) for status, response in responses.items()}
    for status, meaning in _KEY_FAILURES.items():
        problem = documented_problem(meaning)
        other = with_key.get(status, {})
        texts = [text for text in (other.get("description"), meaning) if text]
        content = {**problem["content"], **other.get("content", {})}
        with_key[status] = {**other, "content": content, "description": ". ".join(texts)}
    headers = {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in _HEADERS.items()
    }
    with_key[success] = {**with_key[success], "headers": headers}
    return with_key

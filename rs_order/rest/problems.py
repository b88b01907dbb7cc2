"""Failures of the endpoints that the reference doesn't have, as ``application/problem+json`` (RFC 9457).

The body has the member ``messages`` too, so that one body serves both kinds of clients (faces.md C-3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import orjson
from fastapi import Request, Response
from pydantic import ConfigDict, Field
from starlette.types import Scope

from rs_order.contracts.wire import WireModel
from rs_order.correlation_ids import correlation_id
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.resources import EXPLAIN_PROBLEM

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
"""The pause before a request is sent again that failed for a reason that passes."""
LONG_PAUSE: Final = 300
"""The same for a reason that passes when people, or storage, have done something (faces.md Y-9)."""
_UNTYPED: Final = "about:blank"
_MARK: Final = "rs_order.problems"


class ProblemCode(StrEnum):
    """The codes of failures. They are stable: clients compare them (faces.md 8.2)."""

    MALFORMED_REQUEST = "malformed-request"
    NOT_OWNER = "not-owner"
    TOO_MANY_REQUESTS = "too-many-requests"
    REASON_MISSING = "reason-missing"
    REASON_TOO_LONG = "reason-too-long"
    REASON_UNREADABLE = "reason-unreadable"
    HOLD_HAS_ENDED = "hold-has-ended"
    HOLD_OF_TWO = "hold-of-two"
    NOTHING_TO_HOLD = "nothing-to-hold"
    UNKNOWN_HOLD = "unknown-hold"
    WEIGHT_OUT_OF_RANGE = "weight-out-of-range"
    WEIGHT_OF_TWO = "weight-of-two"
    LIMIT_OUT_OF_RANGE = "limit-out-of-range"
    UNKNOWN_ORDER = "unknown-order"
    INVALID_INPUT = "invalid-input"
    NOT_SUPPORTED = "not-supported"
    SEARCH_REJECTED = "search-rejected"
    CATALOG_UNREACHABLE = "catalog-unreachable"
    TOO_MANY_QUOTES = "too-many-quotes"
    UNKNOWN_QUOTE = "unknown-quote"
    QUOTE_EXPIRED = "quote-expired"
    QUOTE_CHANGED = "quote-changed"
    QUOTE_NOT_READY = "quote-not-ready"
    QUOTE_FAILED = "quote-failed"
    NOTHING_TO_ORDER = "nothing-to-order"
    TOO_MANY_ITEMS = "too-many-items"
    UNKNOWN_ITEM = "unknown-item"
    PRODUCTS_NOT_LISTED = "products-not-listed"
    POSITION_GONE = "position-gone"
    UNKNOWN_SUBSCRIPTION = "unknown-subscription"
    TOO_MANY_SUBSCRIPTIONS = "too-many-subscriptions"
    WEBHOOKS_OFF = "webhooks-off"
    OTHER_KIND = "other-kind"
    ADDRESS_NOT_ALLOWED = "address-not-allowed"
    WEBHOOK_NOT_VERIFIED = "webhook-not-verified"
    UNKNOWN_ARCHIVE = "unknown-archive"
    NOTHING_AVAILABLE = "nothing-available"
    CANNOT_BE_ARCHIVED = "cannot-be-archived"
    ARCHIVE_SUPERSEDED = "archive-superseded"
    ARCHIVE_NOT_READY = "archive-not-ready"
    ARCHIVE_NOT_INDEXED = "archive-not-indexed"
    STORAGE_UNREACHABLE = "storage-unreachable"
    SKIPPING_AHEAD = "skipping-ahead"
    RANGE_BUSY = "range-busy"
    ORDER_GONE = "order-gone"
    QUOTA_USED_UP = "quota-used-up"
    INVALID_ORDER_TOKEN = "invalid-order-token"  # noqa: S105 - a code
    TOO_MANY_STREAMS = "too-many-streams"
    MAINTENANCE = "maintenance"
    LABEL_TOO_LONG = "label-too-long"
    LABEL_IN_USE = "label-in-use"
    IDEMPOTENCY_KEY_MALFORMED = "idempotency-key-malformed"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    REQUEST_IN_PROGRESS = "request-in-progress"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of failure: its status, a sentence that explains it, and an advice."""

    status: int
    title: str
    sentence: str
    advice: str
    retriable: bool = False
    """True if the same request may succeed later."""
    pause: int = RETRY_SECONDS
    """Seconds after which it is worth to try again, if nothing better is known."""


PROBLEMS: Final[Mapping[ProblemCode, ProblemType]] = {
    ProblemCode.MALFORMED_REQUEST: ProblemType(
        400,
        "Malformed request",
        "A parameter, a header or the body of the request can't be read.",
        "Correct what the messages name, and send the request again.",
    ),
    ProblemCode.NOT_OWNER: ProblemType(
        403,
        "Not your order",
        "The order belongs to another user. Only its owner and administrators may see it.",
        "Check the id of the order, and the user of your token.",
    ),
    ProblemCode.TOO_MANY_REQUESTS: ProblemType(
        429,
        "Too many requests",
        "You sent more requests in a short time than one user may send.",
        "Wait as long as the header Retry-After says. To follow an order, use Prefer: wait=45.",
        retriable=True,
    ),
    ProblemCode.REASON_MISSING: ProblemType(
        422,
        "Reason missing",
        "An operator's change needs a reason, which the audit keeps.",
        "Give a reason.",
    ),
    ProblemCode.REASON_TOO_LONG: ProblemType(
        422, "Reason too long", "A reason has at most 500 characters.", "Shorten the reason."
    ),
    ProblemCode.REASON_UNREADABLE: ProblemType(
        422,
        "Reason unreadable",
        "The reason has a character that can't be stored.",
        "Remove the character that the message names.",
    ),
    ProblemCode.HOLD_HAS_ENDED: ProblemType(
        422, "Hold has ended", "The end of the hold isn't in the future.", "Give a later end."
    ),
    ProblemCode.HOLD_OF_TWO: ProblemType(
        422,
        "Hold of two",
        "A hold is of a user, of an order, or of the project.",
        "Name a user or an order, not both.",
    ),
    ProblemCode.NOTHING_TO_HOLD: ProblemType(
        404,
        "Nothing to hold",
        "The user has no order in the project, or the order doesn't exist, is deleted or has expired.",
        "Check the project, and the user or the order.",
    ),
    ProblemCode.UNKNOWN_HOLD: ProblemType(
        404,
        "Unknown hold",
        "There is no hold with this id, or it has ended, or it is of another project.",
        "List the holds again.",
    ),
    ProblemCode.WEIGHT_OUT_OF_RANGE: ProblemType(
        422, "Weight out of range", "A weight is from 0.001 to 1000.", "Give another weight."
    ),
    ProblemCode.WEIGHT_OF_TWO: ProblemType(
        422,
        "Weight of two",
        "A weight is of a user, of a role, or of the project.",
        "Name a user or a role, not both.",
    ),
    ProblemCode.LIMIT_OUT_OF_RANGE: ProblemType(
        422,
        "Limit out of range",
        "A limit is from 0 to 1000000000000000000; 0 means none.",
        "Give another limit.",
    ),
    ProblemCode.UNKNOWN_ORDER: ProblemType(
        404,
        "No such order",
        "The project has no order with this id, or it was removed.",
        "List your orders with GET /user/orders.",
    ),
    ProblemCode.INVALID_INPUT: ProblemType(
        422,
        "Invalid input",
        "The body can be read, but breaks a rule.",
        "Correct what the messages name, and send the request again.",
    ),
    ProblemCode.NOT_SUPPORTED: ProblemType(
        400,
        "Not supported",
        "The request has a member that this endpoint can't use. The member `member` names it.",
        "Leave the member out. A quote is of queries or the basket; a catalog searches by place and time.",
    ),
    ProblemCode.SEARCH_REJECTED: ProblemType(
        422,
        "Search rejected",
        "The catalog rejected the search.",
        "Correct the queries: maybe they name unknown attributes, or there are too many.",
    ),
    ProblemCode.CATALOG_UNREACHABLE: ProblemType(
        503,
        "Catalog unreachable",
        "The catalog gave no usable answer. Nothing was changed.",
        "Send the request again later.",
        retriable=True,
    ),
    ProblemCode.TOO_MANY_QUOTES: ProblemType(
        429,
        "Too many quotes",
        "A user may request 30 quotes an hour, and 3 quotes of a project are made at the same time.",
        "Wait as long as the header Retry-After says.",
        retriable=True,
    ),
    ProblemCode.UNKNOWN_QUOTE: ProblemType(
        404,
        "No such quote",
        "You have no quote with this id, or it is older than a day.",
        "Quote again.",
    ),
    ProblemCode.QUOTE_EXPIRED: ProblemType(
        409, "Quote expired", "A quote can be ordered for an hour.", "Quote again."
    ),
    ProblemCode.QUOTE_CHANGED: ProblemType(
        409,
        "Quote changed",
        "The catalog now counts more than 1 % more or less files or bytes. The members `quoted` and `now` "
        "have both figures.",
        "Quote again, and order that quote if it suits you.",
    ),
    ProblemCode.QUOTE_NOT_READY: ProblemType(
        409,
        "Quote not ready",
        "The quote is being made.",
        "Read it until its state is `ready`; then order it.",
        retriable=True,
    ),
    ProblemCode.QUOTE_FAILED: ProblemType(
        409,
        "Quote failed",
        "The quote couldn't be made. Its member `failure` says why.",
        "Quote again.",
    ),
    ProblemCode.NOTHING_TO_ORDER: ProblemType(
        422,
        "Nothing to order",
        "No file that you may order was found.",
        "Check the queries or the ids, and the data types; or ask for the rights to the files.",
    ),
    ProblemCode.TOO_MANY_ITEMS: ProblemType(
        422, "Too many items", "An order has at most 1000 items.", "Make several orders."
    ),
    ProblemCode.UNKNOWN_ITEM: ProblemType(
        404,
        "Unknown item",
        "The order has no product with this id, or its files are deleted, or not known yet.",
        "List the items of the order.",
    ),
    ProblemCode.MAINTENANCE: ProblemType(
        515,
        "Maintenance",
        "The project is in maintenance, in which nothing can be changed.",
        "Send the request again when the maintenance has ended.",
        retriable=True,
        pause=LONG_PAUSE,
    ),
    ProblemCode.LABEL_TOO_LONG: ProblemType(
        422,
        "Label too long",
        "A label has at most 50 characters.",
        "Shorten the label, or send none.",
    ),
    ProblemCode.LABEL_IN_USE: ProblemType(
        422,
        "Label in use",
        "Another order of yours has this label.",
        "Choose another label, or none.",
    ),
    ProblemCode.PRODUCTS_NOT_LISTED: ProblemType(
        503,
        "Products not listed",
        "The products of a large order are listed when its items are read for the first time.",
        "Ask again: each request lists more of them.",
        retriable=True,
    ),
    ProblemCode.POSITION_GONE: ProblemType(
        410,
        "Position gone",
        "The events behind the position are older than their retention, and deleted. The member `oldest` has "
        "the first position that is left.",
        "Look at the orders themselves, and continue with the oldest event.",
    ),
    ProblemCode.UNKNOWN_SUBSCRIPTION: ProblemType(
        404,
        "No such subscription",
        "You have no subscription with this id.",
        "List yours with GET /subscriptions.",
    ),
    ProblemCode.TOO_MANY_SUBSCRIPTIONS: ProblemType(
        409,
        "Too many subscriptions",
        "A user may have 20 subscriptions, and a project 500.",
        "End one that nobody reads any more, or read GET /events, which needs none.",
    ),
    ProblemCode.WEBHOOKS_OFF: ProblemType(
        422,
        "No webhooks here",
        "This deployment sends nothing to webhooks, because it has no key to encrypt their secrets with.",
        "Read the events with GET /events, or ask the operator to set RS_ORDER_EVENTS_KEY.",
    ),
    ProblemCode.OTHER_KIND: ProblemType(
        422,
        "Other kind of subscription",
        "The events of a webhook are sent; those of other subscriptions are read and acknowledged.",
        "Look at the member `kind` of the subscription.",
    ),
    ProblemCode.ADDRESS_NOT_ALLOWED: ProblemType(
        422,
        "Address not allowed",
        "Nothing may be sent to this URL.",
        "Use an HTTPS URL of a host that the project allows (setting webhook_allowed_hosts).",
    ),
    ProblemCode.WEBHOOK_NOT_VERIFIED: ProblemType(
        422,
        "Webhook not verified",
        "The receiver didn't agree to get events.",
        "Let it answer OPTIONS with WebHook-Allowed-Origin, or a test event with 2xx, and try again.",
    ),
    ProblemCode.UNKNOWN_ARCHIVE: ProblemType(
        404,
        "Unknown archive",
        "There is no archive with this id, or its order was deleted or has expired.",
        "List the archives of the order, or make one.",
    ),
    ProblemCode.NOTHING_AVAILABLE: ProblemType(
        409,
        "Nothing available",
        "The order has no file that can be downloaded now.",
        "Wait until a sub-order is ready; the progress of the order says when.",
        retriable=True,
        pause=LONG_PAUSE,
    ),
    ProblemCode.CANNOT_BE_ARCHIVED: ProblemType(
        409,
        "Can't be archived",
        "Such an archive has at most 100000 files, and the catalog has size and checksum of each.",
        "Download the files one by one, or all of them as a zip that can't be resumed.",
    ),
    ProblemCode.ARCHIVE_SUPERSEDED: ProblemType(
        410,
        "Archive superseded",
        "A file of the archive turned out to be another than the catalog says.",
        "Download the archive that was made instead, whose address is in `Link`, or make another one.",
    ),
    ProblemCode.ARCHIVE_NOT_READY: ProblemType(
        503,
        "Archive not ready",
        "The archive has many files, and is still being made.",
        "Ask for its description until its state is open.",
        retriable=True,
    ),
    ProblemCode.ARCHIVE_NOT_INDEXED: ProblemType(
        503,
        "Archive not indexed",
        "The directory of a zip needs the checksums of its files, and too many were never read.",
        "Download the archive from its beginning, or make a tar.",
        retriable=True,
    ),
    ProblemCode.STORAGE_UNREACHABLE: ProblemType(
        503,
        "Storage unreachable",
        "Storage doesn't deliver the next file now.",
        "Try again later; the download goes on where it stopped.",
        retriable=True,
    ),
    ProblemCode.SKIPPING_AHEAD: ProblemType(
        503,
        "Skipping ahead",
        "You go on far inside a large file, and storage delivers it as a whole: it is read up to there.",
        "Try again after the pause of `Retry-After`; the download goes on where it stopped.",
        retriable=True,
    ),
    ProblemCode.RANGE_BUSY: ProblemType(
        503,
        "Range busy",
        "As many parts of this archive, or of a large file in it, as allowed are being sent to you.",
        "Use fewer connections at once, or try again when one of them has ended.",
        retriable=True,
    ),
    ProblemCode.ORDER_GONE: ProblemType(
        410, "Order gone", "The order was deleted or has expired.", "Order the files again."
    ),
    ProblemCode.QUOTA_USED_UP: ProblemType(
        429,
        "Quota used up",
        "Your quota of downloads at storage is used up.",
        "Wait until storage allows the next download; then go on where it stopped.",
        retriable=True,
    ),
    ProblemCode.INVALID_ORDER_TOKEN: ProblemType(
        401,
        "Invalid order token",
        "The order token is forged, expired, or of another project.",
        "Take a new address from the list of the order's archives.",
    ),
    ProblemCode.TOO_MANY_STREAMS: ProblemType(
        503,
        "Too many streams",
        "A user may have 5 streams of events open, and a process 1000.",
        "Close one, wait as long as the header Retry-After says, or read GET /events.",
        retriable=True,
    ),
    ProblemCode.IDEMPOTENCY_KEY_MALFORMED: ProblemType(
        400,
        "Idempotency key malformed",
        "The header Idempotency-Key has one key of 1 to 255 visible ASCII characters, in quotes or without.",
        "Send a new UUID as the key.",
    ),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: ProblemType(
        422,
        "Idempotency key reused",
        "You sent another request with this key before: its path, query or body differs.",
        "Send a new key with each new request, and the same key only with the same request.",
    ),
    ProblemCode.REQUEST_IN_PROGRESS: ProblemType(
        409,
        "Request in progress",
        "The first request with this key isn't answered yet.",
        "Send the request again, with the same key, after the seconds of the header Retry-After.",
        retriable=True,
    ),
}
"""The only codes that a response may have."""

CODE_OF_STATUS: Final[Mapping[int, ProblemCode]] = {
    429: ProblemCode.TOO_MANY_REQUESTS,
    515: ProblemCode.MAINTENANCE,
}
"""The codes of failures that the checks before an endpoint find."""


class ProblemBody(WireModel):
    """A failure (RFC 9457), with ``messages`` as in the failures of all other endpoints."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Explains the failure; `about:blank` if the status says it all.",
        examples=["https://regards.example.org/api/v1/rs-order/problems/too-many-requests"],
    )
    title: str = Field(examples=["Too many requests"])
    status: int = Field(examples=[429])
    detail: str | None = Field(None, examples=["The user jane@example.org sent too many requests."])
    instance: str | None = Field(None, description="The correlation id of the logs.")
    code: str | None = Field(None, description="The last segment of `type`.")
    retriable: bool = Field(description="The same request may succeed later.", examples=[False])
    messages: list[str] = Field(examples=[["The user jane@example.org sent too many requests."]])


class ProblemExplanation(WireModel):
    """The meaning of a code, and advice."""

    code: ProblemCode
    title: str = Field(examples=["Too many requests"])
    status: int = Field(examples=[429])
    description: str
    advice: str
    retriable: bool


def explained(code: ProblemCode) -> ProblemExplanation:
    """Return the explanation of a code."""
    kind = PROBLEMS[code]
    return ProblemExplanation(
        code=code,
        title=kind.title,
        status=kind.status,
        description=kind.sentence,
        advice=kind.advice,
        retriable=kind.retriable,
    )


def answer_with_problems(scope: Scope) -> None:
    """Let failures of this request be answered as problems."""
    scope[_MARK] = True


def answers_with_problems(scope: Scope) -> bool:
    return bool(scope.get(_MARK))


def problem_answer(
    request: Request,
    status: int,
    messages: Sequence[str],
    code: str | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Return a failure as a problem.

    Args:
        request: the request that failed.
        status: used unless the code has a status of its own.
        messages: sentences for the user.
        code: a code of ``PROBLEMS``. Any other is left out, and the type is then ``about:blank``.
        members: further members of the body.
    """
    known = next((one for one in ProblemCode if one == code), CODE_OF_STATUS.get(status))
    kind = PROBLEMS[known] if known else _plain(status)
    body = {
        "type": _type(request, known) if known else _UNTYPED,
        "title": kind.title,
        "status": kind.status,
        "detail": " ".join(messages) or kind.sentence,
        "instance": _instance(),
        "code": known,
        "retriable": kind.retriable,
        "messages": list(messages) or [kind.sentence],
        **(members or {}),
    }
    present = {name: value for name, value in body.items() if value is not None}
    answer = Response(orjson.dumps(present), kind.status, media_type=MEDIA_TYPE)
    if kind.retriable:
        answer.headers["Retry-After"] = str(kind.pause)
    return answer


def _type(request: Request, code: ProblemCode) -> str:
    return base_address(request) + expand(EXPLAIN_PROBLEM.template, {"code": code})


def _plain(status: int) -> ProblemType:
    """Return the type of a status that says it all."""
    known = {one.value: one.phrase for one in HTTPStatus}
    title = known.get(status, "Refused")
    return ProblemType(
        status, title, f"{title}.", "", retriable=status == HTTPStatus.SERVICE_UNAVAILABLE
    )


def _instance() -> str | None:
    """Return the correlation id as a URI; None if the request has none."""
    id_ = correlation_id()
    if id_ is None:
        return None
    try:
        return UUID(id_).urn
    except ValueError:
        return quote(id_, safe="")


def documented_problem(meaning: str) -> dict[str, Any]:
    """Return the OpenAPI response object of a failure."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": meaning, "content": {MEDIA_TYPE: {"schema": schema}}}

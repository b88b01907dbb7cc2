"""Rules for order requests that need no remote service (amqp.md 2.3, decisions.md)."""

import hashlib

import orjson

from rs_order.contracts.order_messages import ErrorType, OrderRequest
from rs_order.contracts.wire import excerpt
from rs_order.core.responses import PATTERN, Violation
from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.file_filter import FileFilter, FileKind, compile_pattern

MAX_CORRELATION_ID = 255
MAX_USER = 128


def violations(request: OrderRequest) -> list[Violation]:
    """Return every rule that the request breaks, in the order of the table in amqp.md 2.3.

    The pattern of the request is compiled, which may take time: call it in a thread.
    """
    return [*_content(request), *_lengths(request), *_user(request), *_pattern(request)]


def unknown_user(user: str) -> Violation:
    """Return the violation of a request whose user rs-admin doesn't know."""
    return Violation(ErrorType.FORBIDDEN, f"Unknown user : {user}", "user")


def _content(request: OrderRequest) -> list[Violation]:
    found = []
    if not request.queries:
        value = "null" if request.queries is None else "[]"
        found.append(Violation("NotEmpty", "list of queries should not be empty", "queries", value))
    if request.filters is not None and not request.filters.data_types:
        text = (
            "There should be at least one datatype to order. DataType can be RAWDATA or QUICKLOOK"
        )
        found.append(Violation("NotEmpty", text, "filters.dataTypes"))
    return found


def _lengths(request: OrderRequest) -> list[Violation]:
    found = []
    correlation_id, user = request.correlation_id or "", request.user or ""
    if len(correlation_id) > MAX_CORRELATION_ID:
        text = f"provided correlationId must not exceed {MAX_CORRELATION_ID} characters."
        found.append(Violation("Size", text, "correlationId", correlation_id))
    if len(user) > MAX_USER:
        text = f"user must not exceed {MAX_USER} characters."
        found.append(Violation("Size", text, "user", user))
    return found


def _user(request: OrderRequest) -> list[Violation]:
    if request.user:
        return []
    return [Violation(ErrorType.INVALID_CONTENT, "User should be present", "user")]


def _pattern(request: OrderRequest) -> list[Violation]:
    pattern = request.filters.filename_reg_exp if request.filters else None
    if not pattern:
        return []
    try:
        compile_pattern(pattern)
    except PatternRejectedError as error:
        return [Violation(PATTERN, str(error), "filters.filenameRegExp", excerpt(pattern))]
    return []


def file_filter(request: OrderRequest) -> FileFilter | None:
    """Return the filter for every dataset selection of the request, if it has one (domain.md 13.1)."""
    if request.filters is None:
        return None
    return FileFilter(
        kinds=frozenset(FileKind(kind) for kind in request.filters.data_types or ()),
        name_pattern=request.filters.filename_reg_exp,
    )


def fingerprint(request: OrderRequest) -> bytes:
    """Return the SHA-256 of the content; the order of members and the layout of the JSON don't matter."""
    return hashlib.sha256(orjson.dumps(request.to_wire(), option=orjson.OPT_SORT_KEYS)).digest()

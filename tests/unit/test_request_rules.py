"""Reasons to refuse a request, text for text (amqp.md 2.3), and when two requests are one."""

from typing import Any

import pytest

from rs_order.contracts.order_messages import ErrorType, OrderRequest, ResponseStatus
from rs_order.core.responses import Rejection
from rs_order.requests.rules import fingerprint, unknown_user, violations

GOOD = {"correlationId": "c-1", "queries": ["*"], "user": "jane@example.org"}
NO_QUERY = "[NotEmpty] list of queries should not be empty at queries: rejected value [{}]."
NO_TYPE = (
    "[NotEmpty] There should be at least one datatype to order. DataType can be RAWDATA or "
    "QUICKLOOK at filters.dataTypes: rejected value [null]."
)
TOO_LONG = "[Size] {} must not exceed {} characters. at {}: rejected value [{}]."
NO_USER = "[INVALID_CONTENT] User should be present at user: rejected value [null]."


def a_request(**changes: Any) -> OrderRequest:
    return OrderRequest.model_validate(GOOD | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"queries": None}, [NO_QUERY.format("null")]),
        ({"queries": []}, [NO_QUERY.format("[]")]),
        ({"filters": {}}, [NO_TYPE]),
        ({"filters": {"dataTypes": []}}, [NO_TYPE]),
        ({"filters": {"dataTypes": ["RAWDATA"]}}, []),
        ({"user": None}, [NO_USER]),
        ({"user": ""}, [NO_USER]),
        ({"correlationId": "x" * 255, "user": "u" * 128}, []),
        (
            {"correlationId": "x" * 256},
            [TOO_LONG.format("provided correlationId", 255, "correlationId", "x" * 256)],
        ),
        (
            {"user": "u" * 129},
            [TOO_LONG.format("user", 128, "user", "u" * 129)],
        ),
        ({"queries": [], "filters": {}, "user": None}, [NO_QUERY.format("[]"), NO_TYPE, NO_USER]),
    ],
)
def test_texts_of_violations(changes: dict[str, Any], expected: list[str]) -> None:
    """Every reason at once, in the order of the table."""
    assert [str(violation) for violation in violations(a_request(**changes))] == expected


def test_a_pattern_that_re2_refuses_is_a_violation() -> None:
    """decisions.md: [Pattern], what RE2 doesn't accept, the field and the value."""
    filters = {"dataTypes": ["RAWDATA"], "filenameRegExp": "(?=a)"}
    (violation,) = violations(a_request(filters=filters))

    assert str(violation).startswith("[Pattern] ")
    assert str(violation).endswith(" at filters.filenameRegExp: rejected value [(?=a)].")


def test_a_refusal_counts_its_reasons() -> None:
    """DENIED, INVALID_CONTENT, the texts joined, their number in ``errors``."""
    refusal = Rejection.denied(violations(a_request(queries=[], user=None)))

    assert refusal == Rejection(
        ResponseStatus.DENIED,
        ErrorType.INVALID_CONTENT,
        f"{NO_QUERY.format('[]')}, {NO_USER}",
        2,
    )


def test_an_unknown_user_is_forbidden() -> None:
    """amqp.md 2.3: the one refusal with another error type."""
    refusal = Rejection.denied([unknown_user("nobody@example.org")])

    assert refusal.error_type is ErrorType.FORBIDDEN
    assert "Unknown user : nobody@example.org" in refusal.message


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"filters": None}, True),
        ({"queries": ["*", "*"]}, False),
        ({"queries": ["a"]}, False),
        ({"user": "john@example.org"}, False),
        ({"correlationId": "c-2"}, False),
        ({"filters": {"dataTypes": ["RAWDATA"]}}, False),
    ],
)
def test_what_makes_two_requests_one(changes: dict[str, Any], *, same: bool) -> None:
    """Equal content, however the JSON was written (decisions.md, Repeated request)."""
    reordered = OrderRequest.model_validate(dict(reversed((GOOD | changes).items())))

    assert (fingerprint(a_request()) == fingerprint(reordered)) is same

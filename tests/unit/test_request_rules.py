"""Reasons to reject a request, with their texts (amqp.md 2.3), and when two requests are equal."""

from typing import Any

import pytest

from rs_order.contracts.order_messages import ErrorType, OrderRequest, ResponseStatus
from rs_order.core.responses import Rejection
from rs_order.requests.accept import new_request, unknown_user, violations

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
    """All reasons are reported, in the order of the table."""
    assert [str(violation) for violation in violations(a_request(**changes))] == expected


def test_a_pattern_that_re2_rejects_is_a_violation() -> None:
    """Its text has [Pattern], the error of RE2, the field and the value (decisions.md)."""
    filters = {"dataTypes": ["RAWDATA"], "filenameRegExp": "(?=a)"}
    (violation,) = violations(a_request(filters=filters))

    assert str(violation).startswith("[Pattern] ")
    assert str(violation).endswith(" at filters.filenameRegExp: rejected value [(?=a)].")


def test_a_pattern_that_is_too_long_is_not_repeated_whole() -> None:
    filters = {"dataTypes": ["RAWDATA"], "filenameRegExp": "a" * 100_000}
    (violation,) = violations(a_request(filters=filters))

    assert "longer than 1000 characters" in str(violation)
    assert len(str(violation)) < 2500


def test_a_rejection_counts_its_reasons() -> None:
    """It has DENIED, INVALID_CONTENT, the joined texts, and their number in ``errors``."""
    rejection = Rejection.denied(violations(a_request(queries=[], user=None)))

    assert rejection == Rejection(
        ResponseStatus.DENIED,
        ErrorType.INVALID_CONTENT,
        f"{NO_QUERY.format('[]')}, {NO_USER}",
        2,
    )


def test_an_unknown_user_is_forbidden() -> None:
    """amqp.md 2.3: this is the only rejection with another error type."""
    rejection = Rejection.denied([unknown_user("nobody@example.org")])

    assert rejection.error_type is ErrorType.FORBIDDEN
    assert "Unknown user : nobody@example.org" in rejection.message


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
def test_requests_of_equal_content_are_one_request(changes: dict[str, Any], *, same: bool) -> None:
    """The format of the JSON doesn't matter (decisions.md, Repeated request)."""
    reordered = OrderRequest.model_validate(dict(reversed((GOOD | changes).items())))

    assert (new_request(a_request()) == new_request(reordered)) is same

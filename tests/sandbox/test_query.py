"""The query language as a table: the products that each text selects."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rs_order.sandbox.products import Dataset, Product
from rs_order.sandbox.query_matchers import ProductFields, QueryError, SharedFields
from rs_order.sandbox.query_parser import MAX_DEPTH, compile_query

_DATASET = Dataset("EIT", "EIT images", "URN:AIP:DATASET:demo:d:V1")


def _product(name: str, number: int, platform: str, day: int) -> Product:
    return Product(
        provider_id=name,
        urn=f"URN:AIP:DATA:demo:{number}:V1",
        version=number,
        dataset=_DATASET,
        files=(),
        properties={
            "platform": platform,
            "cloud": number * 10.5,
            "date": datetime(2024, 5, day, 12, tzinfo=UTC),
            "good": number == 1,
        },
    )


PRODUCTS = (
    _product("A_1", 1, "Solar Orbiter", 1),
    _product("A_10", 2, "SOHO", 2),
    _product("B_2", 3, "solar probe", 3),
)


def selected(text: str) -> str:
    query = compile_query(text)
    return " ".join(p.provider_id for p in PRODUCTS if query.decide(ProductFields(p, "t1")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", "A_1 A_10 B_2"),
        ("", "A_1 A_10 B_2"),
        ("   ", "A_1 A_10 B_2"),
        ("*:*", "A_1 A_10 B_2"),
        ("SOHO", "A_10"),
        ('"SOHO"', "A_10"),
        ("providerId:A_1", "A_1 A_10"),
        ('providerId:"A_1"', "A_1"),
        ('productId="A_1"', "A_1"),
        ("providerId : B_2", "B_2"),
        ("productId:(A_10 OR B_2)", "A_10 B_2"),
        ('last=true AND providerId=("A_1" OR "B_2")', "A_1 B_2"),
        ("providerId:(A NOT A_10)", "A_1 A_10 B_2"),
        ("providerId:(A AND NOT A_10)", "A_1"),
        ("providerId:A_10 providerId:B_2", "A_10 B_2"),
        ("providerId:B_2 OR providerId:A_10 AND version:2", "A_10 B_2"),
        ("(providerId:B_2 OR providerId:A_10) AND version:2", "A_10"),
        ("NOT version:1", "A_10 B_2"),
        ("NOT NOT version:1", "A_1"),
        ("version:2", "A_10"),
        ("version:[1 TO 2]", "A_1 A_10"),
        ("version:{1 TO 3}", "A_10"),
        ("version:[2 TO *]", "A_10 B_2"),
        ("version:{* TO 2]", "A_1 A_10"),
        ("cloud:10.5", "A_1"),
        ("properties.cloud:[20 TO 40]", "A_10 B_2"),
        ("date:[2024-05-02T00:00:00Z TO 2024-05-02T23:59:59Z]", "A_10"),
        ('date:["2024-05-02T00:00:00Z" TO *]', "A_10 B_2"),
        ("date:[2024-05-01 TO 2024-05-02]", "A_1 A_10"),
        ("date:{2024-05-01 TO 2024-05-03}", "A_10"),
        ("date:2024-05-03", "B_2"),
        (r"date:2024-05-03T12\:00\:00Z", "B_2"),
        ('date:"2024-05-03T14:00:00+02:00"', "B_2"),
        ("providerId:[A_1 TO A_2]", "A_1 A_10"),
        ("good:true", "A_1"),
        ("providerId:A_*", "A_1 A_10"),
        ("providerId:*_1", "A_1"),
        ("providerId:*_1*", "A_1 A_10"),
        (r"providerId:A\*", ""),
        ("providerId:/[AB]_[0-9]/", "A_1 B_2"),
        ("platform:solar", "B_2"),
        ("platform@keyword:solar", "B_2"),
        ("platform@text:solar", "A_1 B_2"),
        ('platform@text:"SOLAR orbiter"', "A_1"),
        ('platform:"Solar Orbiter"', "A_1"),
        ("platform:*", "A_1 A_10 B_2"),
        ("id:/.*:t1:3:V1/", "B_2"),
        ('tags:"URN:AIP:DATASET:t1:d:V1"', "A_1 A_10 B_2"),
        ('tags:"URN:AIP:DATASET:demo:d:V1"', ""),
        ("dataset:EIT", "A_1 A_10 B_2"),
        ("properties.dataset:EIT", "A_1 A_10 B_2"),
        ("ANDROID", ""),
        ("version:ORANGE", ""),
    ],
)
def test_query_selects(text: str, expected: str) -> None:
    assert selected(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a AND", "unexpected end"),
        ("AND a", "unexpected 'AND a'"),
        ("providerId:", "unexpected end"),
        ("(a", "unexpected end"),
        ("a)", "unexpected ')'"),
        ('providerId:"open', "unexpected"),
        ("id:URN:AIP", "unexpected ':AIP'"),
        ("version:[1 TO", "unexpected"),
        ("f@loud:x", "Unknown match mode @loud of field f"),
        ("f:/(/", "Bad regular expression ("),
        ("NOT " * (MAX_DEPTH + 1) + "a", "nested deeper"),
        ("f:(" + "NOT " * 50_000 + "a)", "nested deeper"),
    ],
)
def test_query_is_rejected_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        compile_query(text)

    assert message in str(raised.value)


def test_compiled_query_is_cached() -> None:
    assert compile_query("version:1") is compile_query("version:1")


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("dataset:EIT", True),
        ("dataset:OTHER", False),
        ("providerId:A_1", None),
        ("dataset:EIT OR providerId:A_1", True),
        ("dataset:OTHER AND providerId:A_1", False),
        ("dataset:EIT AND providerId:A_1", None),
        ("NOT dataset:EIT", False),
        ("NOT providerId:A_1", None),
        ("bare", None),
    ],
)
def test_shared_fields_decide_for_all_products_or_not(text: str, decision: bool | None) -> None:
    """A query decides about a whole generated dataset if it uses shared fields only."""
    shared = SharedFields(PRODUCTS[0], "t1")

    assert compile_query(text).decide(shared) is decision

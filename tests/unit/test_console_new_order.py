"""The pages of a new order: what visitors enter, and what a quote says in words."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rs_order.console.quote_view import quote_model
from rs_order.console.selections import LONGEST_ID, MOST_IDS, MOST_QUERIES, Selection, Unusable
from rs_order.console.texts import Texts
from rs_order.core.reason_texts import Language
from rs_order.domain.estimates import Silence
from rs_order.domain.quotes import VALID, QuoteFailure, QuoteId, QuoteState
from rs_order.store.quotes import StoredQuote

ENGLISH, FRENCH = Texts(Language.ENGLISH), Texts(Language.FRENCH)
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DOCUMENT: Mapping[str, Any] = {
    "exact": False,
    "products": 4210,
    "files": 12630,
    "bytes": 1_843_200_000_000,
    "unknownSize": 12,
    "quicklookFiles": 4210,
    "where": {
        "online": {"files": 1263, "bytes": 90_000_000_000},
        "nearline": {"files": 11349, "bytes": 1_753_200_000_000},
        "external": {"files": 18},
        "unknown": {"files": 0, "bytes": 0},
        "basis": "catalog flags of 12000 of 12630 files, checked with storage for 500",
    },
    "alreadyRequested": {"files": 340, "bytes": 51_000_000_000},
    "subOrders": {"min": 17579, "max": 17705},
    "runAtOnce": 2,
    "expected": {
        "shortest": "PT31H",
        "longest": "P6D",
        "level": 0.9,
        "samples": 214,
        "basis": "earlier restores of this project",
    },
    "limits": {"downloadQuota": {"left": 9000, "needed": 8402}, "expires": "P7D"},
    "blocks": [],
    "advice": [],
}
QUOTE = StoredQuote(
    QuoteId(12),
    "jane@example.org",
    "REGISTERED_USER",
    NOW,
    state=QuoteState.READY,
    request={"queries": ["dataset:SDO_EVE"], "filters": {"dataTypes": ["RAWDATA"]}},
    selections=(),
    document=DOCUMENT,
)


def wire(chosen: Selection) -> dict[str, Any]:
    return chosen.request(ENGLISH).to_wire()


def test_lines_become_queries_and_ids_one_query() -> None:
    """Ids are quoted, each once; without filters every file is ordered."""
    chosen = Selection(queries=" a:1 \r\n\r\nb:2", ids='EVE_01\nEVE "2"\n\nEVE_01')

    assert wire(chosen) == {
        "queries": ["a:1", "b:2", 'last=true AND providerId=("EVE_01" OR "EVE \\"2\\"")']
    }


def test_filters_are_those_of_a_request_and_back() -> None:
    chosen = Selection(queries="a:1", kinds=("RAWDATA",), pattern=r".*\.fits")

    assert wire(chosen) == {
        "queries": ["a:1"],
        "filters": {"dataTypes": ["RAWDATA"], "filenameRegExp": r".*\.fits"},
    }
    assert Selection.of_request(wire(chosen)) == chosen


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        (Selection(), "Enter a search, or the ids of products."),
        (Selection(queries=" \n "), "Enter a search, or the ids of products."),
        (Selection(queries="a:1", kinds=()), "Choose at least one kind of files."),
        (Selection(queries="a\n" * (MOST_QUERIES + 1)), "These are 21 searches"),
        (Selection(queries="a" * 4001), "A search has 4,000 characters at most."),
        (
            Selection(ids="\n".join(str(one) for one in range(MOST_IDS + 1))),
            "These are 1,001 products",
        ),
        (Selection(ids="x" * (LONGEST_ID + 1)), "ids have 255 characters at most"),
        (Selection(ids="URN:AIP:DATA:p:1:V1"), "is an address in the catalog"),
        (Selection(queries="a\0b"), "characters that can't be stored"),
    ],
    ids=[
        "nothing",
        "blank",
        "no-kind",
        "many-queries",
        "long-query",
        "many-ids",
        "long-id",
        "urn",
        "zero",
    ],
)
def test_what_cannot_be_quoted_is_said(chosen: Selection, problem: str) -> None:
    with pytest.raises(Unusable) as caught:
        chosen.request(ENGLISH)

    assert problem in " ".join(caught.value.problems)


def test_a_quote_says_what_the_order_would_be_and_how_long_it_takes() -> None:
    shown = quote_model(QUOTE, ENGLISH, NOW + timedelta(minutes=20))
    quote = shown["quote"]

    assert quote.lead == "12,630 files, 1.8 TB, in 17,579 to 17,705 sub-orders."
    assert quote.time == "1 d 7 h to 6 d"
    assert quote.level == "(90% of the last 214 such times held)"
    assert (quote.life, quote.at_once) == ("7 d", "2")
    assert quote.quota == "8,402, and you may do 9,000 more"
    assert quote.advice == "Without quicklooks it would be 8,420 files."
    assert (shown["left"], shown["expired"], shown["filters"]) == ("40 min", False, "Data")
    assert [(one.name, one.text) for one in quote.places] == [
        ("At hand", "1,263 files · 90 GB"),
        ("On tape", "11,349 files · 1.8 TB"),
        ("Elsewhere, by their address", "18 files"),
    ]
    assert quote.places[-1].begin + quote.places[-1].share == pytest.approx(100, abs=0.05)


def test_a_quote_can_be_ordered_for_an_hour() -> None:
    assert quote_model(QUOTE, ENGLISH, NOW + VALID)["expired"]


@pytest.mark.parametrize("why", Silence)
def test_a_quote_without_a_time_says_why(why: Silence) -> None:
    document = {**DOCUMENT, "expected": None, "why": why.value}
    shown = quote_model(replace(QUOTE, document=document), FRENCH, NOW)

    assert shown["quote"].time == FRENCH(f"silence.{why}")


@pytest.mark.parametrize(
    ("level", "time"),
    [(None, "5 min at most: no file is on tape"), (0.9, "5 min at most")],
    ids=["at-hand", "fast-tape"],
)
def test_a_short_time_has_no_least(level: float | None, time: str) -> None:
    """A level is measured with files on tape."""
    expected = {"shortest": "PT0M", "longest": "PT5M", "basis": "x", "level": level}
    shown = quote_model(replace(QUOTE, document={**DOCUMENT, "expected": expected}), ENGLISH, NOW)

    assert shown["quote"].time == time


@pytest.mark.parametrize("texts", [ENGLISH, FRENCH], ids=["english", "french"])
def test_every_block_and_failure_has_a_text_in_each_language(texts: Texts) -> None:
    codes = ("nothing-to-order", "maintenance", "held", "your-download-needed", "download-quota")
    blocks = [{"code": code, "text": "x", "hard": code == "maintenance"} for code in codes]
    shown = quote_model(replace(QUOTE, document={**DOCUMENT, "blocks": blocks}), texts, NOW)

    assert len({one.text for one in shown["quote"].blocks}) == len(codes)
    assert shown["quote"].refused
    assert all(texts.has(f"quote.rejected.{one}") for one in QuoteFailure)


def test_a_quote_at_work_says_how_far_it_is() -> None:
    at_work = replace(QUOTE, state=QuoteState.AT_WORK, document=None, selections=None)

    assert quote_model(at_work, ENGLISH, NOW)["progress"] == "The catalog is being searched."
    assert quote_model(at_work, ENGLISH, NOW)["quote"] is None

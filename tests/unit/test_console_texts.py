"""The texts of the console: the same in each language, and numbers as each writes them."""

from datetime import UTC, datetime, timedelta
from string import Formatter

import pytest

from rs_order.actions import ask_again, delete, pause, restart, retry_order, rights
from rs_order.broker.delivery import DeadLetterReason
from rs_order.console import looks
from rs_order.console.texts import Texts, catalogue
from rs_order.console.visits import NAVIGATION
from rs_order.contracts.administration import HealthStatus
from rs_order.core.reason_texts import Language
from rs_order.domain.dead_letters import LetterState, RunState
from rs_order.domain.estimates import Silence
from rs_order.domain.moves import Reason
from rs_order.domain.quotes import QuoteFailure
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.store.audit import AuditAction
from rs_order.store.standing import Cause

ENGLISH, FRENCH = Texts(Language.ENGLISH), Texts(Language.FRENCH)


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    english, french = catalogue(Language.ENGLISH), catalogue(Language.FRENCH)

    assert english.keys() == french.keys()
    assert {
        key for key in english if placeholders(english[key]) != placeholders(french[key])
    } == set()


@pytest.mark.parametrize("language", Language)
def test_every_state_reason_and_code_has_a_text(language: Language) -> None:
    texts = Texts(language)
    keys = [
        *(f"status.{one}" for one in OrderStatus),
        *(f"sub-order.{one}" for one in SubOrderState),
        *(f"short.status.{one}" for one in OrderStatus),
        *(f"short.sub-order.{one}" for one in SubOrderState),
        *(f"file.{one}" for one in FileState),
        *(f"files.{one}" for one in FileState),
        *(f"silence.{one}" for one in Silence),
        *(f"end.{one}" for one in OrderStatus if one.deleted_or_expired),
        *(f"quote.rejected.{one}" for one in QuoteFailure),
        *(f"move.{one}" for one in Reason),
        *(f"audit.{one}" for one in AuditAction),
        *(f"letter.reason.{one}" for one in DeadLetterReason),
        *(f"letter.state.{one}" for one in LetterState),
        *(f"run.state.{one}" for one in RunState),
        *(f"health.{one}" for one in HealthStatus),
        *(f"nav.{one.path}" for one in NAVIGATION),
        *(f"standing.{one}" for one in Cause),
        *(
            f"code.{one}"
            for one in (
                ask_again.MUST_BE_RUNNING,
                delete.MUST_BE_DELETABLE,
                pause.MUST_BE_PAUSED,
                pause.MUST_BE_PENDING_OR_RUNNING,
                restart.MUST_BE_FINAL,
                retry_order.MUST_BE_RETRIABLE,
                rights.NOT_ALLOWED,
            )
        ),
    ]

    assert [key for key in keys if not texts.has(key)] == []


def test_every_state_has_a_look() -> None:
    """Each has a tone and an icon, besides its word."""
    found = [
        *(looks.order(one) for one in OrderStatus),
        *(looks.sub_order(one) for one in SubOrderState),
        *(looks.file(one) for one in FileState),
    ]

    assert all(look.icon and look.tone for look in found)


def test_whole_numbers_are_grouped() -> None:
    assert ENGLISH.number(120412) == "120,412"
    assert FRENCH.number(120412) == "120\u202f412"
    assert ENGLISH.count("file", 120412) == "120,412 files"


def test_one_is_singular_and_so_is_none_in_french() -> None:
    assert (ENGLISH.count("file", 1), ENGLISH.count("file", 0)) == ("1 file", "0 files")
    assert (FRENCH.count("file", 1), FRENCH.count("file", 0)) == ("1 fichier", "0 fichier")


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        (0, "0 B", "0 o"),
        (999, "999 B", "999 o"),
        (1500, "1.5 KB", "1,5 Ko"),
        (25_000_000, "25 MB", "25 Mo"),
        (3_400_000_000_000, "3.4 TB", "3,4 To"),
        (5 * 10**18, "5000 PB", "5000 Po"),
    ],
)
def test_sizes_have_the_largest_unit(number: int, english: str, french: str) -> None:
    assert (ENGLISH.size(number), FRENCH.size(number)) == (english, french)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (90_061, "1 d 1 h"),
        (8 * 86_400, "8 d"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert ENGLISH.duration(timedelta(seconds=seconds)) == text


def test_instants_are_in_utc() -> None:
    assert ENGLISH.instant(datetime(2026, 3, 1, 9, 5, tzinfo=UTC)) == "2026-03-01 09:05 UTC"


def test_an_unknown_text_is_a_defect() -> None:
    with pytest.raises(KeyError):
        ENGLISH("no-such-text")

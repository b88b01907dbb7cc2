"""The rules of expiration, labels, filters and instants."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.files import MAX_PATTERN, DataType, FileFilter, FileKind, compile_pattern
from rs_order.domain.instants import parse_instant, wire_instant
from rs_order.domain.order import MAX_LABEL, expiration, generated_label, unique_label
from tests.unit.catalog import a_file

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RAW, QUICK = FileKind


@pytest.mark.parametrize(
    ("sub_orders", "duration", "longest", "hours"),
    [
        (0, 2, 168, 2),
        (1, 2, 168, 6),
        (10, 2, 168, 24),
        (1, 240, 168, 168),
        (0, 240, 168, 168),
        (5, 2, 1, 1),
        (98, 1, 100, 100),
        (99, 1, 100, 100),
    ],
)
def test_the_expiry_date_of_an_order(
    sub_orders: int, duration: int, longest: int, hours: int
) -> None:
    """domain.md 4.7: (n + 2) times d, or d without storage sub-orders, and at most the maximum."""
    at = expiration(NOW, storage_sub_orders=sub_orders, sub_order_hours=duration, max_hours=longest)

    assert at == NOW + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2025, 1, 23, 14, 42, 27, 123456, tzinfo=UTC), "2025-01-23T14:42:27.123456Z"),
        (datetime(2025, 1, 23, 14, 42, 27, 500000, tzinfo=UTC), "2025-01-23T14:42:27.5Z"),
        (datetime(2025, 1, 23, 14, 42, 20, tzinfo=UTC), "2025-01-23T14:42:20Z"),
    ],
)
def test_instants_on_the_wire(at: datetime, text: str) -> None:
    """Trailing zeros of the fraction are dropped, zeros of the seconds stay."""
    assert wire_instant(at) == text
    assert parse_instant(text) == at


@pytest.mark.parametrize("text", ["2025-01-23T15:00:00+01:00", "2025-01-23T14:00:00"])
def test_other_forms_of_the_same_instant(text: str) -> None:
    """An offset counts; without one the time is in UTC."""
    assert parse_instant(text) == datetime(2025, 1, 23, 14, tzinfo=UTC)


def test_the_label_of_an_automatic_order() -> None:
    """domain.md 4.1; the longest instant fits."""
    label = generated_label(datetime(2025, 1, 23, 14, 42, 27, 123456, tzinfo=UTC))

    assert label == "Generated order 2025-01-23T14:42:27.123456Z"
    assert len(label) <= MAX_LABEL


@pytest.mark.parametrize(
    ("wanted", "taken", "label"),
    [
        ("mine", set(), "mine"),
        ("mine", {"mine"}, "mine (2)"),
        ("mine", {"mine", "mine (2)"}, "mine (3)"),
        ("mine", {"mine", "mine (3)"}, "mine (2)"),
        ("mine", {"Mine"}, "mine"),
        ("x" * 50, {"x" * 50}, "x" * 46 + " (2)"),
    ],
)
def test_w40_a_taken_label_is_numbered(wanted: str, taken: set[str], label: str) -> None:
    """It gets the first free number; a long label is shortened for it."""
    assert unique_label(wanted, taken) == label


@given(st.text(min_size=1, max_size=MAX_LABEL), st.integers(1, 200))
def test_w40_many_orders_of_one_label(wanted: str, orders: int) -> None:
    """Each gets another label, and none is too long for the database."""
    taken: set[str] = set()
    for _ in range(orders):
        taken.add(unique_label(wanted, taken))

    assert len(taken) == orders
    assert max(map(len, taken)) <= MAX_LABEL


@pytest.mark.parametrize(
    ("kinds", "pattern", "data_type", "name", "passes"),
    [
        (set(), None, DataType.RAWDATA, "a.dat", True),
        ({RAW}, None, DataType.RAWDATA, "a.dat", True),
        ({RAW}, None, DataType.QUICKLOOK_SD, "a.dat", False),
        ({QUICK}, None, DataType.QUICKLOOK_SD, "a.dat", True),
        ({QUICK}, None, DataType.QUICKLOOK_MD, "a.dat", True),
        ({QUICK}, None, DataType.QUICKLOOK_HD, "a.dat", True),
        ({RAW, QUICK}, None, DataType.QUICKLOOK_HD, "a.dat", True),
        (set(), "", DataType.RAWDATA, "a.dat", True),
        (set(), "  ", DataType.RAWDATA, "a.dat", True),
        (set(), r".*\.dat", DataType.RAWDATA, "a.dat", True),
        (set(), "a", DataType.RAWDATA, "a.dat", False),
        (set(), "a|a.dat", DataType.RAWDATA, "a.dat", True),
        (set(), r"A\.dat", DataType.RAWDATA, "a.dat", False),
        (set(), r"(?i)A\.DAT", DataType.RAWDATA, "a.dat", True),
        (set(), "é.", DataType.RAWDATA, "éa", True),
        ({QUICK}, r".*\.dat", DataType.RAWDATA, "a.dat", False),
    ],
)
def test_b13_which_files_pass(
    kinds: set[FileKind], pattern: str | None, data_type: DataType, name: str, *, passes: bool
) -> None:
    """The kind and the whole name must match; an empty filter passes every file."""
    file = a_file(name=name, data_type=data_type)

    assert FileFilter(frozenset(kinds), pattern).passes(file) is passes


@pytest.mark.parametrize(
    ("pattern", "construct"),
    [
        (r"(a)\1", r"\1"),
        (r"a(?=b)", "(?="),
        (r"a(?<!b)", "(?<"),
        (r"(a", "missing"),
        (r"a{2000}", "2000"),
        ("*", "*"),
    ],
)
def test_the_error_of_a_pattern_that_re2_rejects_names_the_construct(
    pattern: str, construct: str
) -> None:
    """decisions.md, Regular expressions."""
    with pytest.raises(PatternRejectedError) as rejected:
        compile_pattern(pattern)

    assert construct in str(rejected.value)


@pytest.mark.parametrize(
    "pattern", [r"(\pL\pN){1,200}17", r"(\pL){1,1000}", r"(?i)\PL" * 200, "a" * (MAX_PATTERN + 1)]
)
def test_a_pattern_that_is_too_large(pattern: str) -> None:
    """F9a: 400 requests with such a pattern took 88 s of the event loop, and 736 MB."""
    with pytest.raises(PatternRejectedError, match=r"too large|longer than 1000"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r".*_[0-9]{8}T[0-9]{6}_.*\.(fits|fts|nc|jp2)(\.gz)?",
        r"(?i)[\pL\pN _.-]+\.fits",
        r"\w{1,200}\.nc",
        "|".join(f"file_{number:03}\\.fits" for number in range(50)),
        "a" * MAX_PATTERN,
    ],
)
def test_patterns_that_people_write_are_small_enough(pattern: str) -> None:
    compile_pattern(pattern)


def test_an_order_keeps_the_pattern_that_an_earlier_version_accepted() -> None:
    file = a_file(name="é1" * 100 + "17")

    assert FileFilter(name_pattern=r"(\pL\pN){1,200}17").passes(file) is True
    assert FileFilter(name_pattern="a" * 2000).passes(file) is False


def test_a_pattern_takes_linear_time() -> None:
    """With backtracking this one would run for years, and the time limit of the suite would end it."""
    file = a_file(name="a" * 5000 + "b")

    assert FileFilter(name_pattern="(a*)*(a*)*(a*)*c").passes(file) is False

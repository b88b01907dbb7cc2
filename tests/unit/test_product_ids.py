"""Reading the ids of an uploaded file (domain.md 3.4)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.baskets.product_ids import MAX_ID, read_ids
from rs_order.core.errors import TooManyLines, UnreadableUpload
from rs_order.core.product_searches import searches_of


async def read(text: str | bytes, most: int = 1000, piece: int = 3) -> list[str]:
    content = text.encode() if isinstance(text, str) else text

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), piece):
            yield content[start : start + piece]

    return await read_ids(pieces(), most)


@given(st.lists(st.sampled_from(["A", " é ", "", "\t", "ab c", "𝄞"])), st.integers(1, 5))
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
async def test_pieces_and_line_ends_make_no_difference(
    end: str, lines: list[str], piece: int
) -> None:
    """Each id is read once, trimmed, in its order, wherever a piece ends."""
    expected = dict.fromkeys(line.strip() for line in lines if line.strip())

    assert await read(end.join(lines), piece=piece) == list(expected)


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", 0), ("a", 1), ("a\n", 1), ("a\n\n", 2), ("\n", 1), ("\r\n", 1), ("a\r", 1), ("\n ", 2)],
)
async def test_lines_are_counted_by_their_ends(text: str, lines: int) -> None:
    """An end of line doesn't begin another line."""
    await read(text, most=lines)
    if lines:
        with pytest.raises(
            TooManyLines, match=rf"^Input file exceed max lines limit \({lines - 1}\)$"
        ):
            await read(text, most=lines - 1)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x" * MAX_ID, True),
        ("x" * (MAX_ID + 1), False),
        (f"{' ' * 5000}x{' ' * 5000}", True),
        (f"x{' ' * 5000}y", False),
        ("x\0y", False),
    ],
)
async def test_lines_that_can_be_no_provider_id_are_skipped(line: str, found: bool) -> None:
    assert await read(f"{line}\nother") == ([line.strip(), "other"] if found else ["other"])


@pytest.mark.parametrize("content", [b"\xff", b"a\n\xc3", b"\xed\xa0\x80", "é".encode("latin-1")])
async def test_other_encodings_are_rejected(content: bytes) -> None:
    with pytest.raises(UnreadableUpload):
        await read(content)


def test_a_search_has_a_hundred_quoted_ids() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = searches_of(['a"b', "c\\", *(str(number) for number in range(99))], at)

    assert (first.engine_type, first.selection_date) == ("legacy", at)
    (query,) = first.search_parameters["q"]
    assert query.startswith('last=true AND providerId=("a\\"b" OR "c\\\\" OR "0" OR ')
    assert second.search_parameters["q"] == ['last=true AND providerId=("98")']

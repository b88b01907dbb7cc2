"""How much a client wants a media type (RFC 9110, 12.5.1)."""

import pytest

from rs_order.rest.accepted import quality


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/x", 1),
        ("Application/X; charset=utf-8; q=0.5", 0.5),
        ("application/*;q=0.4, */*;q=0.1", 0.4),
        ("text/html, */*;q=0.1", 0.1),
        ("*/*, application/x;q=0", 0),
        ("text/html", 0),
        ("", 0),
        ("application/x;q=high", 1),
        ("application/x;q=7", 1),
        ("application/x;q=nan", 1),
    ],
)
def test_the_closest_range_counts(accept: str, expected: float) -> None:
    """A weight that can't be read counts as 1."""
    assert quality(accept, "application/x") == expected

"""What a pass may take of the capacity that several owners claim (waiting.md T2)."""

import pytest

from rs_order.domain.shares import Claims


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        (Claims(used=1, promised=0, woken=False, others_wait=False), 3),
        (Claims(used=1, promised=2, woken=False, others_wait=False), 1),
        (Claims(used=1, promised=3, woken=False, others_wait=False), 0),
        (Claims(used=1, promised=0, woken=False, others_wait=True), 0),
        (Claims(used=1, promised=0, woken=True, others_wait=True), 1),
        (Claims(used=1, promised=0, woken=True, others_wait=False), 3),
        (Claims(used=4, promised=0, woken=True, others_wait=True), 0),
        (Claims(used=9, promised=0, woken=False, others_wait=False), 0),
    ],
)
def test_a_pass_takes_what_was_promised_and_more_only_if_nobody_else_waits(
    claims: Claims, allowed: int
) -> None:
    """The service may run four sub-orders."""
    assert claims.allowance(4) == allowed

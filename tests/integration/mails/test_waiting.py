"""The time since which the files of an order wait for its owner (domain.md 10.2)."""

from collections.abc import Sequence

import pytest

from rs_order.domain.moves import Reason
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from tests.integration.conftest import TENANT
from tests.integration.mails.mail_harness import HOUR, MONDAY, MailHarness, an_order, waiting


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([5], [True]),
        ([0], [None]),
        ([5, 5], [True, False]),
        ([5, 4], [True, True]),
        ([5, 0], [True, None]),
    ],
)
async def test_the_wait_begins_when_the_number_of_available_files_changes(
    changes: Sequence[int], expected: Sequence[bool | None], harness: MailHarness
) -> None:
    """True: the wait begins at this change; False: it continues; None: no file is available."""
    order_id = await an_order(harness)
    found = []
    for number, available in enumerate(changes):
        at = MONDAY + number * HOUR
        async with harness.store.unit_of_work(TENANT) as uow:
            (order,) = await uow.orders.lock([order_id])
            order.counters = FileCounters()
            order.counters.files[FileState.AVAILABLE] = available
            await uow.orders.save([order], at)
        ((since,),) = await harness.rows("select available_at from orders")
        found.append(None if since is None else since == at)

    assert found == list(expected)


async def test_an_expired_order_does_not_wait_for_its_owner(harness: MailHarness) -> None:
    order_id = await waiting(harness, since=MONDAY, status=OrderStatus.DONE)
    async with harness.store.unit_of_work(TENANT) as uow:
        (order,) = await uow.orders.lock([order_id])
        order.move(OrderStatus.EXPIRED, reason=Reason.EXPIRED)
        await uow.orders.save([order], MONDAY)

    assert await harness.rows("select available_at from orders") == [(None,)]

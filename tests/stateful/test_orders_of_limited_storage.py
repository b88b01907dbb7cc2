"""Random sequences with limits of what is in flight at storage, of the tenant and of each user."""

import pytest

from rs_order.domain.shares import Amount, LimitKind
from tests.stateful.running import TIMEOUT, run_sequences


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.slow
def test_orders_keep_their_promises_whatever_happens(database_url: str) -> None:
    """Claims are counted, no limit is exceeded, and who waits has a next step after each of 50 moves."""
    limits = {LimitKind.TENANT: Amount(files=4), LimitKind.USER: Amount(sub_orders=3, files=3)}
    run_sequences(database_url, 2, limits, max_storage_files_jobs_per_user=0)

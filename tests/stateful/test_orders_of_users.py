"""Random sequences with a limit of each user, as usual in production."""

import pytest

from tests.stateful.running import TIMEOUT, run_sequences


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.slow
def test_orders_keep_their_promises_whatever_happens(database_url: str) -> None:
    """Counters, statuses, slots, responses and next steps are correct after each of 50 moves."""
    run_sequences(database_url, 0, max_storage_files_jobs_per_user=2)

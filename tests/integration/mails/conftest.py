"""An office with a clock that stands still and a postman who keeps what he is given."""

import pytest

from rs_order.store.pool import Pool
from tests.integration.mails.office import Office, Postman, StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def office(pool: Pool, clock: StandingClock, postman: Postman) -> Office:
    return Office(pool, clock, postman=postman)

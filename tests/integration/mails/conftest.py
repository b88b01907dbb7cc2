"""The parts of the service for mails, with a clock that tests move and a mailer that records mails."""

import pytest

from rs_order.store.pool import Pool
from tests.integration.mails.mail_harness import MONDAY, FakeMailer, MailHarness
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MONDAY)


@pytest.fixture
def mailer() -> FakeMailer:
    return FakeMailer()


@pytest.fixture
def harness(pool: Pool, clock: ManualClock, mailer: FakeMailer) -> MailHarness:
    return MailHarness(pool, clock, mailer=mailer)

"""Fixtures of the AMQP adapter's tests."""

import pytest

from tests.amqp.outboxes import MemoryOutbox, ObservedOutbox


@pytest.fixture
def outbox() -> ObservedOutbox:
    """The outbox that the relay works on."""
    return ObservedOutbox(MemoryOutbox())

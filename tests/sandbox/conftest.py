"""A sandbox without broker, and the client of a registered user."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.simulated_platform import Sandbox
from tests.sandbox.client import Client, calling


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with calling(sandbox) as caller:
        yield caller

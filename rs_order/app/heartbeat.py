"""Tells the other processes of the deployment how this one is."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Final
from uuid import uuid4

import structlog

from rs_order.core.instance_states import described
from rs_order.ports import Clock, Health
from rs_order.regards.call_watch import ServiceCalls
from rs_order.store.errors import StoreError
from rs_order.store.instances import Identity, Instances

log = structlog.get_logger(__name__)
BEAT_SECONDS: Final = 20.0
FAREWELL_SECONDS: Final = 2.0
"""The longest time that the end of the process waits for its row to be deleted."""


def identity(role: str, clock: Clock) -> Identity:
    """Return who this process is: its host and its number there."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    return Identity(uuid4(), name, role, version("rs-order"), clock.now())


class Heartbeat:
    """Writes the state of this process from time to time, one small row."""

    def __init__(
        self,
        me: Identity,
        instances: Instances,
        health: Health,
        calls: Callable[[], Mapping[str, ServiceCalls]],
    ) -> None:
        self._me = me
        self._instances = instances
        self._health = health
        self._calls = calls

    async def run(self) -> None:
        """Write until the task is cancelled. Then delete the row: a process that stops isn't silent."""
        try:
            while True:
                await self._try()
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            with suppress(StoreError, TimeoutError):  # the others forget it by themselves
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._instances.remove(self._me)

    async def _try(self) -> None:
        try:
            with suppress(StoreError):  # health reports it, and the others see the silence
                await self.beat()
        except Exception:
            log.exception("instance-not-described")  # a defect, but no reason to stop the work

    async def beat(self) -> None:
        """Write the state once.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        await self._instances.write(self._me, described(await self._health.check(), self._calls()))

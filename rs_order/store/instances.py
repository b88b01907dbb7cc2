"""Stores a description of each process, so that any of them can show all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, single_statement, statements

SQL = statements("instances")
FORGOTTEN_AFTER: Final = timedelta(minutes=15)
"""The silence after which a process counts as gone for good. One that stops says so."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process of the service."""

    id: UUID
    name: str
    role: str
    version: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class KnownInstance:
    """A process, as it last described itself."""

    of: Identity
    seen_at: datetime
    silent_for: timedelta
    """Since then, by the clock of the database."""
    state: Mapping[str, Any]


class Instances:
    """The processes of the deployment. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, me: Identity, state: Mapping[str, Any]) -> None:
        """Say how a process is."""
        with store_errors():
            async with single_statement(self._pool) as connection:
                await connection.execute(
                    SQL["write"],
                    me.id,
                    me.name,
                    me.role,
                    me.version,
                    me.started_at,
                    dict(state),
                    FORGOTTEN_AFTER,
                )

    async def remove(self, me: Identity) -> None:
        """Say that a process has stopped."""
        with store_errors():
            async with single_statement(self._pool) as connection:
                await connection.execute(SQL["remove"], me.id)

    async def all(self) -> list[KnownInstance]:
        with store_errors():
            async with single_statement(self._pool) as connection:
                rows = await connection.fetch(SQL["all"])
        return [
            KnownInstance(
                Identity(row["id"], row["name"], row["role"], row["version"], row["started_at"]),
                row["seen_at"],
                timedelta(seconds=row["silent_seconds"]),
                row["state"],
            )
            for row in rows
        ]

"""A tenant's settings as rows."""

from collections.abc import Mapping
from typing import Any

from rs_order.adapters.postgres.driver import Connection
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.settings import SettingValue

SQL = statements("settings")


class PostgresStoredSettings:
    """Implements :class:`rs_order.ports.store.StoredSettings`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Mapping[str, Any]:
        return {row["name"]: row["value"] for row in await self._connection.fetch(SQL["all"])}

    async def put(self, name: str, value: SettingValue) -> bool:
        return await self._connection.fetchval(SQL["put"], name, value) is not None

    async def remove(self, name: str) -> bool:
        return await self._connection.fetchval(SQL["remove"], name) is not None

"""Settings of a tenant."""

from collections.abc import Mapping
from typing import Any

from rs_order.domain.settings import SettingValue
from rs_order.store.pool import Connection
from rs_order.store.statements import statements

SQL = statements("settings")


class StoredSettings:
    """The settings that a tenant has set. The domain decides which values are valid."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Mapping[str, Any]:
        """Return the values that were set, by name."""
        return {row["name"]: row["value"] for row in await self._connection.fetch(SQL["all"])}

    async def put(self, name: str, value: SettingValue) -> bool:
        """Set a value. True if the setting had another value, or none."""
        return await self._connection.fetchval(SQL["put"], name, value) is not None

    async def remove(self, name: str) -> bool:
        """Delete a value, so that the default applies. True if there was one."""
        return await self._connection.fetchval(SQL["remove"], name) is not None

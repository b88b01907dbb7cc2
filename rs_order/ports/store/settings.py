"""The settings that a tenant has set; what they may be is the domain's to say."""

from collections.abc import Mapping
from typing import Any, Protocol

from rs_order.domain.settings import SettingValue


class StoredSettings(Protocol):
    async def all(self) -> Mapping[str, Any]:
        """The values that were set, by name; a setting with its default may have none."""
        ...

    async def put(self, name: str, value: SettingValue) -> bool:
        """Set one; whether it had another value, or none, before."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget what was set, so that the default holds; whether anything was."""
        ...

"""A tenant's settings: shown, changed, given back their defaults (rest.md 11.1, domain.md 14.1).

A change counts for what begins later: settings are read where they are needed, never remembered.
"""

from collections.abc import Collection, Sequence

import structlog

from rs_order.application.errors import InvalidInput, NotFound
from rs_order.domain.errors import SettingRefusedError
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import DEFINITIONS, Setting, SettingDefinition, settings_of
from rs_order.store.unit_of_work import Store

log = structlog.get_logger(__name__)


class ManageSettings:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, tenant: Tenant, names: Collection[str] = ()) -> Sequence[Setting]:
        """The settings with these names, or all; a name that no setting has finds nothing."""
        async with self._store.unit_of_work(tenant) as uow:
            settings = settings_of(await uow.stored_settings.all())
        return [setting for setting in settings if not names or setting.definition.name in names]

    async def change(self, tenant: Tenant, name: str, value: object, *, by: str) -> Setting:
        """Set one, in the form it is read in; a value it has already changes nothing.

        Args:
            tenant: whose setting.
            name: which.
            value: anything that can be converted.
            by: who asked, for the log.

        Raises:
            NotFound: no setting has this name.
            InvalidInput: the value can't be converted or breaks the setting's rule.
        """
        definition = _definition(name)
        try:
            setting = Setting(definition, definition.read(value))
        except SettingRefusedError as error:
            raise InvalidInput(str(error)) from error
        async with self._store.unit_of_work(tenant) as uow:
            changed = await uow.stored_settings.put(name, setting.value)
        if changed:
            log.info("setting-changed", tenant=tenant, setting=name, value=setting.value, user=by)
        return setting

    async def reset(self, tenant: Tenant, name: str, *, by: str) -> Setting:
        """Give one its default.

        Raises:
            NotFound: no setting has this name.
        """
        definition = _definition(name)
        async with self._store.unit_of_work(tenant) as uow:
            changed = await uow.stored_settings.remove(name)
        if changed:
            log.info(
                "setting-changed", tenant=tenant, setting=name, value=definition.default, user=by
            )
        return Setting(definition, definition.default)


def _definition(name: str) -> SettingDefinition:
    if name not in DEFINITIONS:
        raise NotFound(f"There is no setting {name}; there are {', '.join(DEFINITIONS)}")
    return DEFINITIONS[name]

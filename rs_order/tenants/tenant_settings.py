"""Shows, changes and resets the settings of a tenant (rest.md 11.1, domain.md 14.1).

Settings are read when they are needed and never cached. A change applies to work that begins later.
"""

from collections.abc import Collection, Sequence
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Request, Response

from rs_order.contracts.setting_bodies import SettingChange, SettingDto
from rs_order.contracts.wire import Entity
from rs_order.core.errors import InvalidInput, NotFound
from rs_order.domain.errors import SettingRejectedError
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import DEFINITIONS, Setting, SettingDefinition, settings_of
from rs_order.rest.access import Access, audit_actor
from rs_order.rest.answers import LinkWriter, entity, json_answer
from rs_order.rest.resources import LIST_SETTINGS, RESET_SETTING, UPDATE_SETTING
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.audit import AuditActor
from rs_order.store.unit_of_work import Store

log = structlog.get_logger(__name__)


class ManageSettings:
    """Shows and changes the settings of a tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, tenant: Tenant, names: Collection[str] = ()) -> Sequence[Setting]:
        """Return the settings with these names, or all if there are no names. Unknown names are ignored."""
        async with self._store.unit_of_work(tenant) as uow:
            settings = settings_of(await uow.stored_settings.all())
        return [setting for setting in settings if not names or setting.definition.name in names]

    async def change(self, tenant: Tenant, name: str, value: object, *, by: AuditActor) -> Setting:
        """Set the value of a setting. Return the setting with the converted value.

        Args:
            tenant: the owner of the setting.
            name: of the setting.
            value: anything that can be converted to the setting's type.
            by: the caller, for log and audit.

        Raises:
            NotFound: no setting has this name.
            InvalidInput: the value can't be converted or breaks the setting's rule.
        """
        definition = _definition(name)
        try:
            setting = Setting(definition, definition.read(value))
        except SettingRejectedError as error:
            raise InvalidInput(str(error)) from error
        async with self._store.unit_of_work(tenant) as uow:
            changed = await uow.stored_settings.put(name, setting.value, by)
        if changed:
            log.info(
                "setting-changed", tenant=tenant, setting=name, value=setting.value, user=by.name
            )
        return setting

    async def reset(self, tenant: Tenant, name: str, *, by: AuditActor) -> Setting:
        """Delete the value of a setting, so that its default applies. Return the setting.

        Raises:
            NotFound: no setting has this name.
        """
        definition = _definition(name)
        async with self._store.unit_of_work(tenant) as uow:
            changed = await uow.stored_settings.remove(name, by)
        if changed:
            log.info(
                "setting-changed",
                tenant=tenant,
                setting=name,
                value=definition.default,
                user=by.name,
            )
        return Setting(definition, definition.default)


def _definition(name: str) -> SettingDefinition:
    if name not in DEFINITIONS:
        raise NotFound(f"There is no setting {name}; there are {', '.join(DEFINITIONS)}")
    return DEFINITIONS[name]


_UNKNOWN = {404: "No setting has this name"}

SettingName = Annotated[
    str, Path(examples=["app_sub_order_duration"], json_schema_extra={"enum": list(DEFINITIONS)})
]
SettingNames = Annotated[
    list[str] | None,
    Query(
        description="Repeated, or separated by commas; none: all settings.",
        examples=[["app_sub_order_duration"]],
    ),
]


def settings_router(access: Access, manage: ManageSettings) -> APIRouter:
    """Return the endpoints that show and change settings."""
    endpoints = Endpoints(access, tag="settings")

    @endpoints.serve(LIST_SETTINGS, model=list[Entity[SettingDto]])
    async def list_settings(
        request: Request, caller: AuthorisedCaller, names: SettingNames = None
    ) -> Response:
        """Return the settings of the caller's project, with the links that the caller's role may use."""
        links = LinkWriter(request, access.roles, caller)
        settings = await manage.list(caller.tenant, _split(names or []))
        return json_answer(request, [_answer(links, setting) for setting in settings])

    @endpoints.serve(
        UPDATE_SETTING,
        model=Entity[SettingDto],
        responses={**_UNKNOWN, 422: "The setting can't have this value"},
    )
    async def update_setting(
        request: Request, caller: AuthorisedCaller, name: SettingName, change: SettingChange
    ) -> Response:
        """Change a setting. The change applies to orders that begin later."""
        setting = await manage.change(caller.tenant, name, change.value, by=audit_actor(caller))
        return json_answer(request, _answer(LinkWriter(request, access.roles, caller), setting))

    @endpoints.serve(RESET_SETTING, model=Entity[SettingDto], responses=_UNKNOWN)
    async def reset_setting(
        request: Request, caller: AuthorisedCaller, name: SettingName
    ) -> Response:
        """Reset a setting to its default."""
        setting = await manage.reset(caller.tenant, name, by=audit_actor(caller))
        return json_answer(request, _answer(LinkWriter(request, access.roles, caller), setting))

    return endpoints.router


def _split(names: list[str]) -> frozenset[str]:
    parts = (part.strip() for name in names for part in name.split(","))
    return frozenset(part for part in parts if part)


def _answer(links: LinkWriter, setting: Setting) -> dict[str, Any]:
    name = setting.definition.name
    return entity(
        SettingDto.of(setting),
        [
            *links.to("self", LIST_SETTINGS),
            *links.to("update", UPDATE_SETTING, name=name),
            *([] if setting.is_default else links.to("reset", RESET_SETTING, name=name)),
        ],
    )

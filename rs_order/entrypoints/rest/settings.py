"""Settings of a tenant (rest.md 11.1)."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from rs_order.contracts.envelope import Entity
from rs_order.contracts.setting import SettingChange, SettingDto
from rs_order.domain.settings import DEFINITIONS, Setting
from rs_order.entrypoints.rest.answers import LinkWriter, entity, json_answer
from rs_order.entrypoints.rest.resources import LIST_SETTINGS, RESET_SETTING, UPDATE_SETTING
from rs_order.entrypoints.rest.routing import AuthorisedCaller, Endpoints
from rs_order.entrypoints.rest.services import RestServices

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


def settings_router(services: RestServices) -> APIRouter:
    endpoints = Endpoints(services, tag="settings")
    manage = services.platform.settings

    @endpoints.serve(LIST_SETTINGS, model=list[Entity[SettingDto]])
    async def list_settings(
        request: Request, caller: AuthorisedCaller, names: SettingNames = None
    ) -> Response:
        """The settings of the caller's project; ``update`` is linked where the caller may change one."""
        links = LinkWriter(request, services.roles, caller)
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
        """Change a setting; it counts for orders that begin later."""
        setting = await manage.change(caller.tenant, name, change.value, by=caller.email)
        return json_answer(request, _answer(LinkWriter(request, services.roles, caller), setting))

    @endpoints.serve(RESET_SETTING, model=Entity[SettingDto], responses=_UNKNOWN)
    async def reset_setting(
        request: Request, caller: AuthorisedCaller, name: SettingName
    ) -> Response:
        """Give a setting its default."""
        setting = await manage.reset(caller.tenant, name, by=caller.email)
        return json_answer(request, _answer(LinkWriter(request, services.roles, caller), setting))

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

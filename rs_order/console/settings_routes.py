"""The page of a project's settings: change, back to default, export and import (console.md 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from fastapi import File, Path, Response, UploadFile

from rs_order.console.downloads import ForwardedAnswer
from rs_order.console.texts import Texts
from rs_order.console.visits import Pages, Tone, Visit, Visiting
from rs_order.core.errors import InvalidInput, NotFound
from rs_order.domain.settings import DEFINITIONS, Setting, SettingDefinition, SettingValue
from rs_order.rest.access import audit_actor
from rs_order.rest.resources import (
    EXPORT_CONFIGURATION,
    IMPORT_CONFIGURATION,
    LIST_SETTINGS,
    READ_AUDIT,
    RESET_SETTING,
    UPDATE_SETTING,
)
from rs_order.store.audit import Audit, AuditRecord, AuditSearch
from rs_order.tenants.module_configuration import ImportConfiguration
from rs_order.tenants.tenant_settings import ManageSettings

LARGEST_FILE: Final = 2**19
_ONLY: Final = "value"
"""The field of a setting that is one number."""
Name = Annotated[str, Path(max_length=100)]


@dataclass(frozen=True, slots=True)
class SettingReads:
    """The use cases of settings, and the audit behind them."""

    manage: ManageSettings
    importer: ImportConfiguration
    audit: Audit


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    value: int | str


@dataclass(frozen=True, slots=True)
class SettingRow:
    name: str
    meaning: str
    fields: list[Field]
    default: str
    is_default: bool
    changed_at: datetime | None
    changed_by: str


def setting_row(setting: Setting, texts: Texts, last: AuditRecord | None) -> SettingRow:
    """Return a setting as the page shows it. ``last``: the last entry of the audit about it."""
    name = setting.definition.name
    return SettingRow(
        name=name,
        meaning=meaning_of(setting.definition, texts),
        fields=[
            Field(member, _label(texts, name, member), value)
            for member, value in _members(setting.value).items()
        ],
        default=", ".join(
            _written(value, texts) for value in _members(setting.definition.default).values()
        ),
        is_default=setting.is_default,
        changed_at=last.at if last else None,
        changed_by=last.actor if last else "",
    )


def meaning_of(definition: SettingDefinition, texts: Texts) -> str:
    """Return what a setting means; one without a text of its own is described as in REST."""
    key = f"setting.{definition.name}"
    return texts(key) if texts.has(key) else definition.description


def _label(texts: Texts, name: str, member: str) -> str:
    key = f"setting.{name}.{member}"
    return texts(key) if texts.has(key) else texts("letter.value")


def _written(value: int | str, texts: Texts) -> str:
    if isinstance(value, int):
        return texts("settings.hours", number=value)
    return value or texts("settings.empty")


def _members(value: SettingValue) -> Mapping[str, int | str]:
    """Return the parts of a value by name; a value that is one number or text has one."""
    if isinstance(value, int | str):
        return {_ONLY: value}
    if not isinstance(value, Mapping):  # texts, which are read from one text as well
        return {_ONLY: ", ".join(value)}
    return value


def serve_settings(pages: Pages, reads: SettingReads) -> None:
    @pages.page("/settings", LIST_SETTINGS)
    async def show_settings(visit: Visiting) -> Response:
        settings = await reads.manage.list(visit.caller.tenant)
        return visit.page(
            "settings.html",
            current="settings",
            rows=[
                setting_row(one, visit.texts, await _last_change(visit, reads.audit, one))
                for one in settings
            ],
            may_change=visit.may(UPDATE_SETTING),
            may_reset=visit.may(RESET_SETTING),
            may_export=visit.may(EXPORT_CONFIGURATION),
            may_import=visit.may(IMPORT_CONFIGURATION),
        )

    @pages.page("/settings/file", EXPORT_CONFIGURATION)
    async def export_settings(visit: Visiting) -> Response:
        return ForwardedAnswer(visit, EXPORT_CONFIGURATION.template)

    @pages.act("/settings/file", IMPORT_CONFIGURATION)
    async def import_settings(visit: Visiting, file: Annotated[UploadFile, File()]) -> Response:
        content = await file.read(LARGEST_FILE)
        try:
            reports = await reads.importer.handle(
                visit.caller.tenant, content, by=audit_actor(visit.caller)
            )
        except InvalidInput as error:
            return visit.back("settings", "did.settings.rejected", tone=Tone.BAD, text=str(error))
        errors = [text for report in reports for text in report.import_errors]
        if errors:
            text = " ".join(errors[:5])
            return visit.back("settings", "did.settings.partly", tone=Tone.BAD, text=text)
        return visit.back("settings", "did.settings.import")

    @pages.act("/settings/{name}", UPDATE_SETTING)
    async def change_setting(visit: Visiting, name: Name) -> Response:
        form = await visit.request.form()
        sent = {key: value for key, value in form.items() if key != "csrf"}
        value = sent.get(_ONLY) if _ONLY in sent else sent
        try:
            await reads.manage.change(
                visit.caller.tenant, name, value, by=audit_actor(visit.caller)
            )
        except (InvalidInput, NotFound) as error:
            return visit.back("settings", "did.settings.rejected", tone=Tone.BAD, text=str(error))
        return visit.back("settings", "did.settings.change", meaning=_meaning(visit, name))

    @pages.act("/settings/{name}/reset", RESET_SETTING)
    async def reset_setting(visit: Visiting, name: Name) -> Response:
        try:
            await reads.manage.reset(visit.caller.tenant, name, by=audit_actor(visit.caller))
        except NotFound as error:
            return visit.back("settings", "did.settings.rejected", tone=Tone.BAD, text=str(error))
        return visit.back("settings", "did.settings.reset", meaning=_meaning(visit, name))


def _meaning(visit: Visit, name: str) -> str:
    return meaning_of(DEFINITIONS[name], visit.texts)


async def _last_change(visit: Visit, audit: Audit, setting: Setting) -> AuditRecord | None:
    if not visit.may(READ_AUDIT):
        return None
    search = AuditSearch(
        tenant=visit.caller.tenant, object_kind="setting", object_id=setting.definition.name
    )
    found = await audit.page(search, limit=1)
    return found[0] if found else None

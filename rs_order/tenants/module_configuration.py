"""Exports the settings of a tenant as a file, and imports such a file (rest.md 11.3)."""

import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import structlog
from pydantic import ValidationError

from rs_order.contracts.setting_bodies import (
    MODULE,
    SETTING_KEY,
    ConfigurationToImport,
    ExportedConfiguration,
    ExportedItem,
    ExportedModule,
    ExportedSetting,
    ImportReport,
    ItemToImport,
    ModuleInformation,
    ModuleToImport,
    SettingToImport,
)
from rs_order.core.errors import InvalidInput
from rs_order.domain.errors import SettingRejectedError
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import DEFINITIONS, Setting, SettingValue, settings_of
from rs_order.store.audit import AuditActor
from rs_order.store.unit_of_work import Store, UnitOfWork

IMPORTED: Final = "import of a configuration"
"""The reason of the changes in the audit."""

log = structlog.get_logger(__name__)


class ExportConfiguration:
    """Exports the configuration of a tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle(self, tenant: Tenant) -> ExportedConfiguration:
        """Return the tenant's settings with their defaults, in the form of a file to import."""
        async with self._store.unit_of_work(tenant) as uow:
            settings = settings_of(await uow.stored_settings.all())
        module = ExportedModule(
            module=_MODULE_INFORMATION,
            configuration=[_exported(one) for one in settings if one.is_exported],
        )
        return ExportedConfiguration(microservice=SERVICE, modules=[module])


class ImportConfiguration:
    """Imports the configuration of a tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle(
        self, tenant: Tenant, file: bytes, *, by: AuditActor
    ) -> Sequence[ImportReport]:
        """Set the settings that the file contains. Return one report for each module of the file.

        A wrong setting doesn't prevent the others. If all items of a module are wrong, nothing changes,
        not even by ``resetBeforeImport``.

        Raises:
            InvalidInput: the file can't be read, or belongs to another microservice; nothing was changed.
        """
        plans = [_plan(module) for module in _read(file).modules]
        async with self._store.unit_of_work(tenant) as uow:
            for plan in plans:
                if not plan.only_errors:
                    await _apply(uow, plan, by)
        log.info(
            "configuration-imported",
            tenant=tenant,
            user=by.name,
            settings=sum(len(plan.values) for plan in plans),
            errors=sum(len(plan.errors) for plan in plans),
        )
        return [
            ImportReport(
                module_information=plan.module,
                import_errors=plan.errors,
                only_errors=plan.only_errors,
            )
            for plan in plans
        ]


_MODULE_INFORMATION = ModuleInformation(
    id=MODULE,
    name="order",
    description="Orders of archived files: split, brought back from tape, handed out",
    version=version(SERVICE),
    author="rs_order",
    legal_owner="rs_order",
    documentation="/swagger-ui/index.html",
)


def _exported(setting: Setting) -> ExportedItem:
    definition = setting.definition
    return ExportedItem(
        key=SETTING_KEY,
        value=ExportedSetting(
            name=definition.name,
            description=definition.description,
            value=_text_of(setting.value),
            default_value=_text_of(definition.default),
            class_name=definition.java_class or "java.util.List",
        ),
    )


def _text_of(value: SettingValue) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(slots=True)
class _Plan:
    """The changes that the import of a module makes, and the errors in its items."""

    module: ModuleInformation
    reset: bool = False
    """Settings that the module doesn't contain get their default."""
    values: dict[str, SettingValue] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def only_errors(self) -> bool:
        return bool(self.errors) and not self.values


def _read(file: bytes) -> ConfigurationToImport:
    try:
        configuration = ConfigurationToImport.model_validate_json(file.removeprefix(BOM_UTF8))
    except ValidationError as error:
        raise InvalidInput(
            *(f"The file isn't a configuration: {problem}" for problem in _problems(error))
        ) from error
    if configuration.microservice not in (None, SERVICE):
        raise InvalidInput(
            f"The file is the configuration of {configuration.microservice}, not of {SERVICE}"
        )
    return configuration


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(name) for name in problem['loc'])}: {problem['msg']}".removeprefix(": ")
        for problem in error.errors(include_input=False, include_url=False)
    ]


def _plan(found: object) -> _Plan:
    try:
        module = ModuleToImport.model_validate(found)
    except ValidationError as error:
        return _Plan(ModuleInformation(), errors=[f"not a module: {it}" for it in _problems(error)])
    plan = _Plan(module.module, reset=bool(module.reset_before_import))
    if module.module.id != MODULE:
        plan.errors.append(f"{SERVICE} has no module {module.module.id}; it has {MODULE}")
        return plan
    for number, item in enumerate(module.configuration or (), 1):
        try:
            setting = _setting_of(item)
            plan.values[setting.name] = DEFINITIONS[setting.name].read(_value_of(setting))
        except (_ItemRejected, SettingRejectedError) as error:
            plan.errors.append(f"item {number}: {error}")
    return plan


class _ItemRejected(Exception):
    """An item of a module's configuration is no known setting; the text says why."""

    code = "item-rejected"


def _setting_of(item: object) -> SettingToImport:
    try:
        read = ItemToImport.model_validate(item)
    except ValidationError as error:
        missing = ", ".join(
            ".".join(str(name) for name in problem["loc"]) or "item" for problem in error.errors()
        )
        raise _ItemRejected(f"it isn't a setting, look at: {missing}") from error
    if read.key != SETTING_KEY:
        raise _ItemRejected(f"{read.key} isn't something {SERVICE} has; it has {SETTING_KEY}")
    if read.value.name not in DEFINITIONS:
        raise _ItemRejected(f"there is no setting {read.value.name}")
    return read.value


def _value_of(setting: SettingToImport) -> object:
    """Return the value in the JSON text. A file written by hand may contain the value itself."""
    if not isinstance(setting.value, str):
        return setting.value
    try:
        return json.loads(setting.value)
    except (ValueError, RecursionError) as error:
        raise _ItemRejected(f"the value of {setting.name} isn't JSON in a text") from error


async def _apply(uow: UnitOfWork, plan: _Plan, by: AuditActor) -> None:
    for name in DEFINITIONS:
        if name in plan.values:
            await uow.stored_settings.put(name, plan.values[name], by, IMPORTED)
        elif plan.reset:
            await uow.stored_settings.remove(name, by, IMPORTED)

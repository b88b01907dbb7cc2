"""Settings of a tenant: each as REST shows it (rest.md 11.1), and all as a file (11.3)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import DropNulls, Flag, Long, Text, WireModel
from rs_order.domain.identity import SERVICE
from rs_order.domain.settings import Setting, SettingValue


class UserOrderParameters(WireModel):
    """The value of ``user_order_parameters``."""

    model_config = ConfigDict(populate_by_name=True)

    sub_order_duration: Long = Field(
        alias="subOrderDuration",
        description="Hours storage keeps a sub-order's files.",
        examples=[240],
    )
    delay_before_email_notification: Long = Field(
        alias="delayBeforeEmailNotification",
        description="Hours after which users are reminded of files that wait for their download.",
        examples=[72],
    )


class SettingDto(WireModel):
    """A setting with its value."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(examples=["app_sub_order_duration"])
    description: str = Field(examples=["Sub order duration for applicative orders (in hours)"])
    default_value: Long | str | UserOrderParameters | list[str] = Field(
        alias="defaultValue", examples=[2]
    )
    value: Long | str | UserOrderParameters | list[str] = Field(examples=[3])

    @classmethod
    def of(cls, setting: Setting) -> "SettingDto":
        return cls(
            name=setting.definition.name,
            description=setting.definition.description,
            default_value=_value_of(setting.definition.default),
            value=_value_of(setting.value),
        )


def _value_of(value: SettingValue) -> Any:
    return UserOrderParameters.model_validate(value) if isinstance(value, Mapping) else value


class SettingChange(WireModel):
    """A new value of a setting. Other members of a setting are ignored."""

    value: Any = Field(
        None,
        description="Hours, hours by name, or texts, as the setting needs. Texts become hours.",
        examples=[
            3,
            "3",
            {"subOrderDuration": 240, "delayBeforeEmailNotification": 72},
            ["*.example.org"],
        ],
    )


MODULE: Final = "order"
SETTING_KEY: Final = "fr.cnes.regards.framework.modules.tenant.settings.domain.DynamicTenantSetting"
"""The key of an item that is a setting. rs-order has no other items."""


class ModuleInformation(WireModel):
    """A module of the microservice."""

    model_config = ConfigDict(populate_by_name=True)

    id: Text | None = Field(None, examples=[MODULE])
    name: Text | None = Field(None, examples=["order"])
    description: Text | None = Field(None, examples=["Orders of archived files"])
    version: Text | None = Field(None, examples=["1.0.0"])
    author: Text | None = Field(None, examples=["rs_order"])
    legal_owner: Text | None = Field(None, alias="legalOwner", examples=["rs_order"])
    documentation: Text | None = Field(None, examples=["/swagger-ui/index.html"])


class ExportedSetting(WireModel):
    """A setting in a file. Its values are strings that contain JSON."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(examples=["app_sub_order_duration"])
    description: str = Field(examples=["Sub order duration for applicative orders (in hours)"])
    value: str = Field(examples=["2"])
    default_value: str = Field(alias="defaultValue", examples=["2"])
    class_name: str = Field(alias="className", examples=["java.lang.Integer"])
    contains_sensitive_parameters: bool = Field(
        default=False, alias="containsSensitiveParameters", examples=[False]
    )


class ExportedItem(WireModel):
    """An item of a module's configuration."""

    key: str = Field(examples=[SETTING_KEY])
    value: ExportedSetting


class ExportedModule(WireModel):
    """A module with its whole configuration."""

    model_config = ConfigDict(populate_by_name=True)

    module: ModuleInformation
    reset_before_import: bool = Field(default=False, alias="resetBeforeImport", examples=[False])
    configuration: list[ExportedItem]


class ExportedConfiguration(WireModel):
    """The content of an exported file."""

    microservice: str = Field(examples=[SERVICE])
    modules: list[ExportedModule]


class SettingToImport(WireModel):
    """A setting in a file to import. Description, default and class aren't read."""

    name: Text
    value: Any = None


class ItemToImport(WireModel):
    """An item in a file to import. It is validated alone, so that an error doesn't affect other items."""

    key: Text
    value: SettingToImport


class ModuleToImport(WireModel):
    """A module of a file to import."""

    model_config = ConfigDict(populate_by_name=True)

    module: ModuleInformation
    reset_before_import: Flag | None = Field(default=None, alias="resetBeforeImport")
    configuration: list[Any] | None = None


class ConfigurationToImport(WireModel):
    """A file to import: the members that must be valid for any of it to be read."""

    microservice: Text | None = None
    modules: Annotated[list[Any], DropNulls] = Field(default_factory=list)
    """Each module is validated alone, so that an error doesn't affect other modules."""


class ImportReport(WireModel):
    """The result of the import of one module."""

    model_config = ConfigDict(populate_by_name=True)

    module_information: ModuleInformation = Field(alias="moduleInformation")
    import_errors: list[str] = Field(
        alias="importErrors",
        examples=[["item 1: there is no setting app_sub_order"]],
    )
    only_errors: bool = Field(
        alias="onlyErrors", description="Nothing of the module was imported.", examples=[True]
    )

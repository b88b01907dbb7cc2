"""The configuration of the service as a file, and what importing one came to (rest.md 11.3)."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import DropNulls, Flag, Text, WireModel
from rs_order.domain.identity import SERVICE

MODULE: Final = "order"
SETTING_KEY: Final = "fr.cnes.regards.framework.modules.tenant.settings.domain.DynamicTenantSetting"
"""What an item of a module's configuration is; rs-order has settings and nothing else."""


class ModuleInformation(WireModel):
    """Which module of the microservice."""

    model_config = ConfigDict(populate_by_name=True)

    id: Text | None = Field(None, examples=[MODULE])
    name: Text | None = Field(None, examples=["order"])
    description: Text | None = Field(None, examples=["Orders of archived files"])
    version: Text | None = Field(None, examples=["1.0.0"])
    author: Text | None = Field(None, examples=["rs_order"])
    legal_owner: Text | None = Field(None, alias="legalOwner", examples=["rs_order"])
    documentation: Text | None = Field(None, examples=["/swagger-ui/index.html"])


class ExportedSetting(WireModel):
    """A setting in a file; values are JSON texts inside strings."""

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
    """One piece of a module's configuration."""

    key: str = Field(examples=[SETTING_KEY])
    value: ExportedSetting


class ExportedModule(WireModel):
    """A module with all of its configuration."""

    model_config = ConfigDict(populate_by_name=True)

    module: ModuleInformation
    reset_before_import: bool = Field(default=False, alias="resetBeforeImport", examples=[False])
    configuration: list[ExportedItem]


class ExportedConfiguration(WireModel):
    """The file that an export is."""

    microservice: str = Field(examples=[SERVICE])
    modules: list[ExportedModule]


class SettingToImport(WireModel):
    """What is read of a setting in a file: description, default and class are ours to know."""

    name: Text
    value: Any = None


class ItemToImport(WireModel):
    """One piece of a module's configuration, by itself: a bad one doesn't spoil the others."""

    key: Text
    value: SettingToImport


class ModuleToImport(WireModel):
    """A module of a file to import."""

    model_config = ConfigDict(populate_by_name=True)

    module: ModuleInformation
    reset_before_import: Flag | None = Field(default=None, alias="resetBeforeImport")
    configuration: list[Any] | None = None


class ConfigurationToImport(WireModel):
    """A file to import, as far as it has to be right as a whole."""

    microservice: Text | None = None
    modules: Annotated[list[Any], DropNulls] = Field(default_factory=list)
    """Each read by itself: a bad one doesn't spoil the others."""


class ImportReport(WireModel):
    """What became of one module of an imported file."""

    model_config = ConfigDict(populate_by_name=True)

    module_information: ModuleInformation = Field(alias="moduleInformation")
    import_errors: list[str] = Field(
        alias="importErrors",
        examples=[["item 1: there is no setting app_sub_order"]],
    )
    only_errors: bool = Field(
        alias="onlyErrors", description="Nothing of the module was imported.", examples=[True]
    )


class Readiness(WireModel):
    """Whether the service can do its work, and if not, why."""

    ready: bool = Field(examples=[True])
    reasons: list[str] = Field(examples=[[]])

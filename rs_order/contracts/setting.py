"""A setting of a tenant as the REST side shows and takes it (rest.md 11.1)."""

from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Long, WireModel
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
        description="Hours after which a user is reminded of files that wait for him.",
        examples=[72],
    )


class SettingDto(WireModel):
    """A setting with its value."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(examples=["app_sub_order_duration"])
    description: str = Field(examples=["Sub order duration for applicative orders (in hours)"])
    default_value: Long | UserOrderParameters = Field(alias="defaultValue", examples=[2])
    value: Long | UserOrderParameters = Field(examples=[3])

    @classmethod
    def of(cls, setting: Setting) -> "SettingDto":
        return cls(
            name=setting.definition.name,
            description=setting.definition.description,
            default_value=_value_of(setting.definition.default),
            value=_value_of(setting.value),
        )


def _value_of(value: SettingValue) -> Any:
    return value if isinstance(value, int) else UserOrderParameters.model_validate(value)


class SettingChange(WireModel):
    """A new value; the other members of a setting may come along and aren't read."""

    value: Any = Field(
        None,
        description="What the setting takes: hours, or hours by name. Texts are converted.",
        examples=[3, "3", {"subOrderDuration": 240, "delayBeforeEmailNotification": 72}],
    )

"""The settings of a tenant and their rules (domain.md 14.1)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rs_order.domain.errors import SettingRejectedError

SettingValue = int | str | Mapping[str, int] | Sequence[str]
"""Hours, a text, hours by name, or texts."""

USER_ORDERS: Final = "user_order_parameters"
APP_SUB_ORDER: Final = "app_sub_order_duration"
EXPIRATION: Final = "expiration_max_duration_in_hours"
EODAG_CLIENT: Final = "eodag_client_basic"
STAC_ITEM_IDS: Final = "stac_item_ids"
SUB_ORDER_DURATION: Final = "subOrderDuration"
NOTIFICATION_DELAY: Final = "delayBeforeEmailNotification"
WEBHOOK_HOSTS: Final = "webhook_allowed_hosts"
ZIP_MODE: Final = "zip_mode"
MOST_HOSTS: Final = 100

_HOST_PATTERN: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")


class ZipMode(StrEnum):
    """How all files of an order are delivered in a zip (faces.md R-12, R-13)."""

    RESUMABLE = "resumable"
    """An archive with a length, that can be downloaded in parts."""
    COMPACT = "compact"
    """Compressed while it is sent, so it has no length and can't be resumed."""


_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]+={0,2})?")
_LONGEST_CLIENT: Final = 1000

_WHOLE_NUMBER: Final = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?")

MOST_HOURS: Final = 876_000
"""A hundred years, so that adding it to a date gives a date."""


class ItemIds(StrEnum):
    """The kind of id that a STAC item has."""

    URN = "urn"
    PROVIDER = "provider"
    """Names of their providers."""


@dataclass(frozen=True, slots=True)
class SettingDefinition:
    """The name, meaning and rules of one setting."""

    name: str
    description: str
    java_class: str | None
    """The class of the value in exported configurations. None: the reference has no such setting."""
    default: SettingValue
    allows: Callable[[Any], bool]
    """True for an allowed value, after conversion."""
    rule: str
    """The error text for a value that isn't allowed; part of the contract."""

    def read(self, value: object) -> SettingValue:
        """Convert a value of a client, a file or the store; ``3``, ``3.0`` and ``"3"`` are the same.

        Raises:
            SettingRejectedError: the value can't be converted, or isn't allowed.
        """
        converted = self._converted(value)
        if not self.allows(converted):
            raise SettingRejectedError(self.name, self.rule)
        return converted

    def _converted(self, value: object) -> SettingValue:
        if isinstance(self.default, str):
            if not isinstance(value, str):
                raise SettingRejectedError(self.name, f"{self.name} must be a text.")
            return value.strip()
        if isinstance(self.default, int):
            return self._hours(self.name, value)
        if not isinstance(self.default, Mapping):
            return self._texts(value)
        if not isinstance(value, Mapping):
            members = " and ".join(self.default)
            raise SettingRejectedError(self.name, f"the value must be an object with {members}.")
        return {member: self._hours(member, value.get(member)) for member in self.default}

    def _texts(self, value: object) -> Sequence[str]:
        if isinstance(value, str):
            value = value.split(",") if value.strip() else []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise SettingRejectedError(self.name, "the value must be a list of texts.")
        return [one.strip().lower() for one in value]

    def _hours(self, what: str, value: object) -> int:
        hours = _whole(value)
        if hours is None or abs(hours) > MOST_HOURS:
            raise SettingRejectedError(
                self.name, f"{what} must be a whole number of hours, at most {MOST_HOURS}."
            )
        return hours


def _whole(value: object) -> int | None:
    """Return the whole number that a number or text represents, or None."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return int(value) if value.is_integer() else None
        case str():
            return _whole_of_text(value)
    return None


def _whole_of_text(text: str) -> int | None:
    written = _WHOLE_NUMBER.fullmatch(text.strip())
    return int(written[1]) if written else None


DEFINITIONS: Final[Mapping[str, SettingDefinition]] = {
    definition.name: definition
    for definition in (
        SettingDefinition(
            name=USER_ORDERS,
            description="Parameters for User order (in hours)",
            java_class="fr.cnes.regards.modules.order.service.settings.UserOrderParameters",
            default={SUB_ORDER_DURATION: 240, NOTIFICATION_DELAY: 72},
            allows=lambda value: 0 < value[NOTIFICATION_DELAY] <= value[SUB_ORDER_DURATION],
            rule="parameter [user order parameters] must have a valid positive "
            "delayBeforeEmailNotification <= subOrderDuration.",
        ),
        SettingDefinition(
            name=APP_SUB_ORDER,
            description="Sub order duration for applicative orders (in hours)",
            java_class="java.lang.Integer",
            default=2,
            allows=lambda value: value >= 0,
            rule="parameter [suborder creation] must be a valid positive number",
        ),
        SettingDefinition(
            name=EXPIRATION,
            description="Order expiration duration maximal (in hours)",
            java_class="java.lang.Integer",
            default=168,
            allows=lambda value: value > 0,
            rule="parameter [expiration max duration] must be a valid positive number.",
        ),
        SettingDefinition(
            name=EODAG_CLIENT,
            description="Client of rs-authentication for eodag: user:password in Base64; empty: none",
            java_class="java.lang.String",
            default="",
            allows=lambda value: len(value) <= _LONGEST_CLIENT and bool(_BASE64.fullmatch(value)),
            rule="parameter [eodag client basic] must be Base64 of at most 1000 characters.",
        ),
        SettingDefinition(
            name=STAC_ITEM_IDS,
            description="What the ids of the catalog's STAC items are: urn, or provider",
            java_class=None,
            default=ItemIds.URN.value,
            allows=lambda value: value in set(ItemIds),
            rule="urn or provider is needed: what the catalog's STAC items have as ids.",
        ),
        SettingDefinition(
            name=WEBHOOK_HOSTS,
            description="Hosts to which users may have events sent, such as *.example.org",
            java_class=None,
            default=[],
            allows=lambda value: (
                len(value) <= MOST_HOSTS and all(map(_HOST_PATTERN.fullmatch, value))
            ),
            rule=f"a list of at most {MOST_HOSTS} hosts is needed, each such as hooks.example.org or "
            "*.example.org.",
        ),
        SettingDefinition(
            name=ZIP_MODE,
            description="Zip of an order: resumable after a cut, or compact (compressed)",
            java_class="java.lang.String",
            default=ZipMode.RESUMABLE.value,
            allows=lambda value: value in set(ZipMode),
            rule="parameter [zip mode] must be resumable or compact.",
        ),
    )
}
"""Every setting by its name; REST, store and export follow this table."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting with its value for a tenant."""

    definition: SettingDefinition
    value: SettingValue

    @property
    def is_default(self) -> bool:
        return self.value == self.definition.default

    @property
    def is_exported(self) -> bool:
        """True unless it is unknown to the reference and has its default."""
        return self.definition.java_class is not None or not self.is_default


def settings_of(stored: Mapping[str, object]) -> list[Setting]:
    """Return all settings of a tenant; one that isn't stored has its default.

    Raises:
        SettingRejectedError: a stored value isn't allowed.
    """
    return [
        Setting(definition, definition.read(stored.get(name, definition.default)))
        for name, definition in DEFINITIONS.items()
    ]


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """The values of a tenant's settings; durations are in hours."""

    user_sub_order_hours: int
    """``user_order_parameters.subOrderDuration``: how long storage keeps files of a user's order."""
    user_notification_delay_hours: int
    """``user_order_parameters.delayBeforeEmailNotification``."""
    app_sub_order_hours: int
    """``app_sub_order_duration``: the same for automatic orders; 0 stands for the tenant's maximum."""
    expiration_max_hours: int
    """``expiration_max_duration_in_hours``."""
    eodag_client_basic: str
    """``eodag_client_basic``: what clients of users send to get a token, as in ``Authorization: Basic``."""
    webhook_hosts: tuple[str, ...]
    """``webhook_allowed_hosts``: patterns of hosts that users may have as webhooks."""
    zip_mode: ZipMode = ZipMode.RESUMABLE
    """``zip_mode``."""

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> "TenantSettings":
        """Read stored values.

        Raises:
            SettingRejectedError: as :func:`settings_of`.
        """
        values: dict[str, Any] = {
            setting.definition.name: setting.value for setting in settings_of(stored)
        }
        return cls(
            user_sub_order_hours=values[USER_ORDERS][SUB_ORDER_DURATION],
            user_notification_delay_hours=values[USER_ORDERS][NOTIFICATION_DELAY],
            app_sub_order_hours=values[APP_SUB_ORDER] or values[EXPIRATION],
            expiration_max_hours=values[EXPIRATION],
            eodag_client_basic=values[EODAG_CLIENT],
            webhook_hosts=tuple(values[WEBHOOK_HOSTS]),
            zip_mode=ZipMode(values[ZIP_MODE]),
        )

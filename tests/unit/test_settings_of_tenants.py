"""What a tenant's settings may be, and how they are read (domain.md 14.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.errors import SettingRejectedError
from rs_order.domain.settings import (
    APP_SUB_ORDER,
    DEFINITIONS,
    EXPIRATION,
    MOST_HOURS,
    USER_ORDERS,
    SettingValue,
    TenantSettings,
    settings_of,
)


def test_what_was_never_set_has_its_default() -> None:
    """Nothing has to be written when a tenant comes."""
    assert TenantSettings.of({}) == TenantSettings(
        user_sub_order_hours=240,
        user_notification_delay_hours=72,
        app_sub_order_hours=2,
        expiration_max_hours=168,
    )
    assert all(setting.is_default for setting in settings_of({}))


def test_stored_values_are_read_as_peers_may_have_written_them() -> None:
    """The Java service's text may be ``3``, ``3.0`` or ``"3"`` (rest.md 11.1)."""
    stored = {
        USER_ORDERS: {"subOrderDuration": "10", "delayBeforeEmailNotification": 5.0},
        APP_SUB_ORDER: "3.0",
        EXPIRATION: 24.0,
        "of another version": "ignored",
    }

    assert TenantSettings.of(stored) == TenantSettings(10, 5, 3, 24)


def test_defaults_keep_their_own_rules() -> None:
    """A reset can always be carried out."""
    assert [d.read(d.default) == d.default for d in DEFINITIONS.values()] == [True] * 3


@given(st.integers(min_value=0, max_value=MOST_HOURS), st.sampled_from(["{}", "{}.0", " +{} "]))
def test_a_number_is_the_same_in_every_form(hours: int, form: str) -> None:
    """As a number, with a fraction of zero, as text."""
    definition = DEFINITIONS[APP_SUB_ORDER]

    assert definition.read(form.format(hours)) == hours
    assert definition.read(float(hours)) == definition.read(hours) == hours


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
@pytest.mark.parametrize("name", DEFINITIONS)
def test_anything_else_is_refused_by_name(name: str, value: object) -> None:
    """Whatever comes is converted or refused with the setting's name; nothing else is raised."""
    taken, refusal = _read(name, value)

    assert refusal is None or refusal.startswith(f"Invalid Tenant Setting: {name}. Cause: [")
    assert refusal is not None or (isinstance(taken, int) and 0 <= taken <= MOST_HOURS)


def _read(name: str, value: object) -> tuple[SettingValue | None, str | None]:
    """What is taken, or what is said of it."""
    try:
        return DEFINITIONS[name].read(value), None
    except SettingRejectedError as error:
        return None, str(error)

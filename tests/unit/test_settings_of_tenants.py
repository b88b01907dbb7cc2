"""The values of a tenant's settings, and how they are read (domain.md 14.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.errors import SettingRejectedError
from rs_order.domain.settings import (
    APP_SUB_ORDER,
    DEFINITIONS,
    EODAG_CLIENT,
    EXPIRATION,
    MOST_HOURS,
    USER_ORDERS,
    WEBHOOK_HOSTS,
    SettingValue,
    TenantSettings,
    settings_of,
)


def test_a_setting_that_was_never_set_has_its_default() -> None:
    """A new tenant needs no stored settings."""
    assert TenantSettings.of({}) == TenantSettings(
        user_sub_order_hours=240,
        user_notification_delay_hours=72,
        app_sub_order_hours=2,
        expiration_max_hours=168,
        eodag_client_basic="",
        webhook_hosts=(),
    )
    assert all(setting.is_default for setting in settings_of({}))


def test_stored_values_of_the_java_service_are_read() -> None:
    """Its text may be ``3``, ``3.0`` or ``"3"`` (rest.md 11.1)."""
    stored = {
        USER_ORDERS: {"subOrderDuration": "10", "delayBeforeEmailNotification": 5.0},
        APP_SUB_ORDER: "3.0",
        EXPIRATION: 24.0,
        EODAG_CLIENT: " Y2xpZW50OnNlY3JldA== ",
        "of another version": "ignored",
    }

    assert TenantSettings.of(stored) == TenantSettings(10, 5, 3, 24, "Y2xpZW50OnNlY3JldA==", ())


def test_defaults_are_valid() -> None:
    """So a reset is always possible."""
    assert [d.read(d.default) == d.default for d in DEFINITIONS.values()] == [True] * len(
        DEFINITIONS
    )


@given(st.integers(min_value=0, max_value=MOST_HOURS), st.sampled_from(["{}", "{}.0", " +{} "]))
def test_a_number_is_the_same_in_every_form(hours: int, form: str) -> None:
    """It may be a number, a number with a fraction of zero, or a text."""
    definition = DEFINITIONS[APP_SUB_ORDER]

    assert definition.read(form.format(hours)) == hours
    assert definition.read(float(hours)) == definition.read(hours) == hours


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
@pytest.mark.parametrize(
    "name", [name for name in DEFINITIONS if name not in (EODAG_CLIENT, WEBHOOK_HOSTS)]
)
def test_any_other_value_is_rejected_with_the_name(name: str, value: object) -> None:
    """A value is converted, or rejected with the name of the setting; no other error is raised."""
    converted, error = _read(name, value)

    assert error is None or error.startswith(f"Invalid Tenant Setting: {name}. Cause: [")
    assert error is not None or (isinstance(converted, int) and 0 <= converted <= MOST_HOURS)


@pytest.mark.parametrize(
    "value", ["user:password", "=", "YQ= =", "Y" * 1001, "Ñ", 3, None, ["YQ=="]]
)
def test_a_client_that_is_no_base64_is_rejected(value: object) -> None:
    """It becomes a header in a file that users load, so nothing else may get into it."""
    _, error = _read(EODAG_CLIENT, value)

    assert error is not None
    assert error.startswith(f"Invalid Tenant Setting: {EODAG_CLIENT}. Cause: [")


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        (["*.example.org", "Hooks.Example.org"], ["*.example.org", "hooks.example.org"]),
        ("a.org, *.b.org", ["a.org", "*.b.org"]),
        ([], []),
        ("", []),
    ],
)
def test_hosts_of_webhooks(value: object, hosts: list[str]) -> None:
    assert _read(WEBHOOK_HOSTS, value) == (hosts, None)


@pytest.mark.parametrize(
    "value", [None, 1, ["*"], ["*.*.org"], ["https://a.org"], ["a.org/x"], [1], ["a.org"] * 101]
)
def test_what_is_no_list_of_hosts(value: object) -> None:
    converted, error = _read(WEBHOOK_HOSTS, value)

    assert converted is None
    assert error is not None
    assert error.startswith(f"Invalid Tenant Setting: {WEBHOOK_HOSTS}. Cause: [")


def _read(name: str, value: object) -> tuple[SettingValue | None, str | None]:
    """Return the converted value, or the text of the error."""
    try:
        return DEFINITIONS[name].read(value), None
    except SettingRejectedError as error:
        return None, str(error)

"""Secrets appear in no log line, error or representation (issue 11, section 5)."""

import re

import pytest
from pydantic import SecretStr

from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.settings import Settings, SettingsError, load_settings
from tests.support.secrets import shown_secrets

SECRET = "hidden" * 20
SECRETS = {
    name: field
    for name, field in Settings.model_fields.items()
    if "Secret" in str(field.annotation)
}
VALUES = {
    name: {"database_url": "postgresql", "amqp_url": "amqp", "amqp_management_url": "http"}[name]
    + f"://user:{SECRET}@host"
    if name.endswith("_url")
    else SECRET
    for name in SECRETS
}


def test_every_setting_that_holds_a_secret_hides_it() -> None:
    """Representation, text and JSON of the settings repeat none of them."""
    settings = load_settings(**VALUES)

    assert all(isinstance(getattr(settings, name), SecretStr) for name in VALUES)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in text


def test_settings_with_the_name_of_a_secret_are_secret() -> None:
    named = {name for name in Settings.model_fields if re.search("key|secret|password", name)}

    assert named - set(SECRETS) == set()


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_is_not_repeated(name: str) -> None:
    """A part of a secret that is too short, or of a URL with another scheme, stays hidden as well."""
    wrong = f"ftp://user:{SECRET}@host" if name.endswith("_url") else [SECRET]
    with pytest.raises(SettingsError) as failed:
        load_settings(**{name: wrong})

    assert "hidden" not in "".join(failed.value.lines)
    assert f"RS_ORDER_{name.upper()}" in failed.value.lines[0]


@pytest.mark.parametrize(
    ("output", "is_secret"),
    [
        ("Bearer eyJhbGciOiJI.eyJ0ZW5hbnQiOi.abcdefgh-_1", True),
        ("amqp://rs_order:secret@broker:5672 is lost", True),
        (f"key={DEVELOPMENT_KEY}", True),
        ("amqp://broker:5672 is lost", False),
        ("amqp://rs_order:******@broker:5672 is lost", False),
        ("http://localhost:9043/user/orders?mail=a@b", False),
    ],
)
def test_what_the_suite_takes_for_a_secret(output: str, is_secret: bool) -> None:
    """The output of every test is searched for these (tests/support/secrets.py)."""
    assert bool(shown_secrets(output)) == is_secret

"""Wrong settings are named with their value and the reason, one line each (F16)."""

from pathlib import Path

import pytest

from rs_order.settings import SettingsError, changed_settings, load_settings, unknown_settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings."""
    for name, _ in unknown_settings():
        monkeypatch.delenv(name)
    return monkeypatch


def error_of(environment: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        environment.setenv(f"RS_ORDER_{name}", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return list(raised.value.lines)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "CATALOG_URL",
            "rs-catalog:80",
            "RS_ORDER_CATALOG_URL=rs-catalog:80: a URL must begin with",
        ),
        ("STORAGE_URL", "ftp://x", "RS_ORDER_STORAGE_URL=ftp://x: a URL must begin with http://"),
        ("DAM_URL", "http://", "RS_ORDER_DAM_URL=http://: a URL must begin with"),
        ("ADMIN_URL", "http://:80/x", "RS_ORDER_ADMIN_URL=http://:80/x: the URL has no host"),
        ("PUBLIC_URL", "https://x:port", "RS_ORDER_PUBLIC_URL=https://x:port: host and port"),
        ("PROCESSING_URL", "http://me:pw@[::1", "RS_ORDER_PROCESSING_URL=http://…@[::1: host and"),
        ("HTTP_PROXY_HOST", "http://x", "RS_ORDER_HTTP_PROXY_HOST=http://x: only the name"),
        ("SMTP_HOST", "x:25", "RS_ORDER_SMTP_HOST=x:25: only the name"),
        ("HTTP_PORT", "many", "RS_ORDER_HTTP_PORT=many: Input should be a valid integer"),
        ("TRUSTED_PROXIES", "gateway", "RS_ORDER_TRUSTED_PROXIES=gateway: 'gateway' does not"),
        (
            "DATABASE_URL",
            "mysql://me:pw@x",
            "RS_ORDER_DATABASE_URL: a URL must begin with postgresql://",
        ),
        ("DATABASE_URL", "postgresql://me:p/w@x", "RS_ORDER_DATABASE_URL: host and port"),
        ("DATABASE_URL", "postgresql://me:pw@x:pw2/y", "RS_ORDER_DATABASE_URL: host and port"),
        (
            "AMQP_URL",
            "http://me:pw@x",
            "RS_ORDER_AMQP_URL: a URL must begin with amqp:// or amqps://",
        ),
        ("AMQP_MANAGEMENT_URL", "amqp://me:pw@x", "RS_ORDER_AMQP_MANAGEMENT_URL: a URL must begin"),
        ("JWT_KEY_HS512", "pw", "RS_ORDER_JWT_KEY_HS512: Value should have at least 64"),
        ("ORDER_SECRET", "pw", "RS_ORDER_ORDER_SECRET: Value should have at least 32"),
    ],
)
def test_a_wrong_setting(environment: pytest.MonkeyPatch, name: str, value: str, line: str) -> None:
    (found,) = error_of(environment, **{name: value})

    assert found.startswith(line)
    assert "pw" not in found


def test_each_wrong_setting_has_its_line(environment: pytest.MonkeyPatch) -> None:
    lines = error_of(environment, HTTP_PORT="-1", LOG_LEVEL="loud")

    assert [line.partition(":")[0] for line in lines] == [
        "RS_ORDER_HTTP_PORT=-1",
        "RS_ORDER_LOG_LEVEL=loud",
    ]


def test_a_stack_trace_repeats_no_secret(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RS_ORDER_JWT_KEY_HS512", "sesame")
    with pytest.raises(SettingsError) as raised:
        load_settings()

    assert "sesame" not in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%2Fw@a:5432,b:5433/orders?sslmode=require",
        "postgresql:///orders?host=/run/postgresql",
        "postgres://[::1]:5432/orders",
    ],
)
def test_addresses_of_databases(environment: pytest.MonkeyPatch, url: str) -> None:
    """Several hosts, a socket, and an IPv6 address are addresses."""
    environment.setenv("RS_ORDER_DATABASE_URL", url)

    assert load_settings().database_url.get_secret_value() == url


def test_an_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    """Compose files and charts set variables to nothing."""
    for name in ("CATALOG_URL", "HTTP_PORT", "TENANTS", "JWT_KEY_HS256", "SMTP_HOST", "CONFIG"):
        environment.setenv(f"RS_ORDER_{name}", "")
    settings = load_settings()

    assert (settings.catalog_url, settings.http_port, settings.smtp_host) == (None, 9043, None)
    assert (settings.tenants, settings.token_keys) == ([], {})


def test_names_of_no_setting(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Misspelt ones are found with the nearest name; what Kubernetes sets for a service isn't misspelt."""
    file = tmp_path / "settings.toml"
    file.write_text('tenant = "demo"\nhttp_port = 0\n')
    for name, value in {
        "CONFIG": str(file),
        "CATALOGUE_URL": "http://x",
        "HTTP_PORT": "1",
        "ZZZ": "",
        "SERVICE_HOST": "10.0.0.1",
        "PORT": "tcp://10.0.0.1:9043",
        "PORT_9043_TCP_ADDR": "10.0.0.1",
    }.items():
        environment.setenv(f"RS_ORDER_{name}", value)

    assert list(unknown_settings()) == [
        ("RS_ORDER_CATALOGUE_URL", "RS_ORDER_CATALOG_URL"),
        ("RS_ORDER_ZZZ", None),
        ("RS_ORDER_tenant", "RS_ORDER_TENANTS"),
    ]


def test_the_log_has_what_differs_from_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without secrets: keys are hidden, and so are users, passwords and queries of addresses."""
    for name, value in {
        "DATABASE_URL": "postgresql://ann:pass@db:5432/orders?sslpassword=pass",
        "CATALOG_URL": "http://ann:pass@catalog:9030/",
        "JWT_KEY_HS512": "pass" * 16,
        "TENANTS": "project1,project2",
        "BATCH_SIZE": "500",
        "LOG_LEVEL": "info",
    }.items():
        monkeypatch.setenv(f"RS_ORDER_{name}", value)

    logged = changed_settings(load_settings())

    assert "pass" not in str(logged)
    assert logged["RS_ORDER_DATABASE_URL"] == "postgresql://***@db:5432/orders?***"
    assert logged["RS_ORDER_CATALOG_URL"] == "http://***@catalog:9030/"
    assert logged["RS_ORDER_JWT_KEY_HS512"] == "***"
    assert logged["RS_ORDER_BATCH_SIZE"] == 500
    assert "project2" in str(logged["RS_ORDER_TENANTS"])
    assert "RS_ORDER_LOG_LEVEL" not in logged

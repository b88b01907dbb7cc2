"""A command that can't do its work says why in one line."""

import socket
import subprocess
import sys

import pytest

from tests.cli.commands import NOWHERE, Ended, on_broker, rs_order, rs_order_process
from tests.support.servers import FreshBroker

AWAY = f"postgresql://me:secret@{NOWHERE}/orders"
HEAVY = {"aio_pika", "asyncpg", "fastapi", "httpx", "pydantic", "uvicorn"}


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("http_port", "many", "integer"),
        ("files_bucket_size_mb", "0", "greater than 0"),
        ("jwt_key_hs512", "short", "at least 64"),
        ("config", "/nowhere.toml", "no file /nowhere.toml"),
        ("mail_templates", "/nowhere", "there is no folder '/nowhere'"),
        ("mail_sender", "nobody", "'nobody' is not an e-mail address"),
        ("smtp_tls", "yes", "'starttls', 'tls' or 'none'"),
    ],
)
async def test_a_wrong_setting_is_named(setting: str, value: str, reason: str) -> None:
    """A wrong setting stops the start with exit code 2, named, without its value if secret."""
    _assert_wrong_setting(await rs_order("serve", **{setting: value}), setting, reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("jwt_key_hs512", "", "is not set"),
        ("periodic_files_availability_check_cron", "0 7 * * MON-FRI", "has 6 fields"),
        ("periodic_files_availability_check_cron", "0 0 25 * * *", "is no cron expression"),
        ("mail_language", "en,project1=de", "'project1=de' is neither a language (en, fr)"),
        ("amqp_notifier_events", "OrderResponse", "'OrderResponse' is no message of this service"),
    ],
)
async def test_a_setting_that_a_part_of_the_service_rejects(
    setting: str, value: str, reason: str
) -> None:
    """The same for what the parts check once the logs of their process are set up."""
    _assert_wrong_setting(await rs_order_process("serve", **{setting: value}), setting, reason)


def _assert_wrong_setting(ended: Ended, setting: str, reason: str) -> None:
    assert ended.code == 2
    ended.assert_one_line(f"RS_ORDER_{setting.upper()}", reason)


async def test_smtp_needs_a_sender() -> None:
    """Mail servers refuse a mail from nobody."""
    ended = await rs_order("serve", smtp_host="mail.example.org")

    assert ended.code == 2
    ended.assert_one_line("RS_ORDER_MAIL_SENDER", "needed when RS_ORDER_SMTP_HOST is set")


@pytest.mark.parametrize(
    "command",
    [
        ["migrate"],
        ["migrate", "--status"],
        ["tenant", "list"],
        ["orders", "list", "--tenant", "demo"],
        ["audit", "list"],
        ["dead-letters", "list"],
        ["dead-letters", "show", "some-id"],
    ],
)
async def test_database_away(command: list[str]) -> None:
    """A database that doesn't answer: its address, without credentials, and what to check."""
    _assert_database_away(await rs_order(*command, database_url=AWAY))


async def test_service_without_its_database() -> None:
    """The same for a process of the service."""
    _assert_database_away(await rs_order_process("serve", database_url=AWAY))


def _assert_database_away(ended: Ended) -> None:
    assert ended.code == 1
    ended.assert_one_line(NOWHERE, "RS_ORDER_DATABASE_URL")
    assert "secret" not in ended.err


async def test_broker_away() -> None:
    command = ("order", "--tenant", "demo", "--user", "jane@example.org", "--query", "*")

    ended = await rs_order(*command, amqp_url=f"amqp://me:secret@{NOWHERE}")

    assert ended.code == 1
    ended.assert_one_line("RS_ORDER_AMQP_URL")
    assert "secret" not in ended.err


async def test_port_taken(database_url: str, broker: FreshBroker) -> None:
    """An address that somebody else listens on is named, with the settings to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        ended = await rs_order_process(
            "serve",
            **on_broker(broker),
            database_url=database_url,
            http_host="127.0.0.1",
            http_port=port,
        )

    assert ended.code == 1
    ended.assert_one_line(f"127.0.0.1:{port}", "RS_ORDER_HTTP_PORT")


async def test_no_such_archive(broker: FreshBroker) -> None:
    ended = await rs_order_process(
        "sandbox", "--archive", "/nowhere", "--port", "0", **on_broker(broker)
    )

    assert ended.code == 1
    ended.assert_one_line("/nowhere/manifest.json")


async def test_fault_that_does_not_exist() -> None:
    ended = await rs_order("sandbox", "--fault", "gravity=off")

    assert ended.code == 1
    ended.assert_one_line("gravity")


async def test_debug_shows_the_trace() -> None:
    """Whoever asks for debugging gets the trace, and the line all the same."""
    ended = await rs_order_process(
        "migrate", log_level="debug", database_url=f"postgresql://me@{NOWHERE}/orders"
    )

    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1].startswith("rs-order: The database at")


@pytest.mark.parametrize(
    "command",
    [
        ["order", "--tenant", "demo"],
        ["serve", "--role", "king"],
        ["dead-letters", "replay"],
        ["dead-letters", "replay", "some-id", "--all"],
        ["dead-letters", "replay", "--tenant", "demo"],
        ["dead-letters", "discard", "some-id"],
        ["dead-letters", "discard", "some-id", "--because", " "],
    ],
)
async def test_wrong_use(command: list[str]) -> None:
    """Wrong or missing options end with exit code 2 before anything is done."""
    ended = await rs_order(*command, amqp_url=f"amqp://{NOWHERE}")

    assert ended.code == 2
    assert "Usage:" in ended.err


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, rs_order.cli; print({HEAVY} & sys.modules.keys())"
    shown = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout == "set()\n"

"""Opens the database for a command."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rs_order.cli.failures import CommandFailed, database_errors_explained

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.settings import Settings


@asynccontextmanager
async def opened_database(
    settings: "Settings | None" = None, *, after_deployment: bool = False
) -> "AsyncIterator[Database]":
    """Open the database and bring its schemas up to date."""
    from rs_order.app.database import open_database
    from rs_order.cli.terminal import configure_command_logs
    from rs_order.settings import load_settings

    settings = settings or load_settings()
    configure_command_logs(settings)
    with database_errors_explained(settings):
        async with open_database(settings, after_deployment=after_deployment) as database:
            yield database


def require_served(database: "Database", tenant: str) -> None:
    """Check that the deployment serves a tenant.

    Raises:
        CommandFailed: it doesn't; the text lists the tenants.
    """
    if not database.tenants.serves(tenant):
        names = ", ".join(sorted(database.tenants.names())) or "none"
        raise CommandFailed(f"No tenant {tenant} is served here; there are: {names}")

"""``rs-order asyncapi`` and ``rs-order openapi``: print the API documents, generated from the code."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from importlib.metadata import version
from typing import Any

import typer

from rs_order.domain.identity import SERVICE

commands = typer.Typer()


@commands.command("asyncapi")
def asyncapi_command() -> None:
    """Print the AsyncAPI 3.0 document of the AMQP messages, as JSON."""
    from rs_order.app.asyncapi import asyncapi

    # It has the names of default settings, whatever the settings of this process are.
    _print(asyncapi())


@commands.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document of the REST endpoints, as JSON."""
    from rs_order.app.rest import absent_services, create_app

    app = create_app(absent_services())
    app.version = version(SERVICE)
    _print(app.openapi())


def _print(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))

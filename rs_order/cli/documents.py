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
    from rs_order.broker.queue_names import topology
    from rs_order.contracts.asyncapi import asyncapi_document
    from rs_order.contracts.asyncapi_messages import INSTANCE, Addresses

    # Uses the names of a deployment with default settings, whatever the settings of this process are.
    names = topology(instance_identifier=INSTANCE)
    addresses = Addresses(
        order_requests=names.order_requests.name,
        order_cancels=names.order_cancels.name,
        file_references=names.file_references.name,
        processing_results=names.processing_results.name,
        process_rights=names.process_rights.name,
        events=names.events.name,
        of_instance={
            consumed.event: consumed.queue.name
            for consumed in reversed((*names.security_events, *names.tenant_events))
        },
    )
    _print(asyncapi_document(addresses, version(SERVICE)))


@commands.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document of the REST endpoints, as JSON."""
    from rs_order.app.rest import absent_services, create_app

    app = create_app(absent_services())
    app.version = version(SERVICE)
    _print(app.openapi())


def _print(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))

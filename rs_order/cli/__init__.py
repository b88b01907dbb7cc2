"""The command ``rs-order`` (architecture.md 7), with one module per group of commands.

A command imports slow packages only when it runs, so that ``--help`` is fast.
"""

import typer

from rs_order.cli import (
    audit_commands,
    dead_letter_commands,
    demo,
    documents,
    event_commands,
    hold_commands,
    import_command,
    limit_commands,
    order_commands,
    place_order,
    queue_commands,
    quote_command,
    sandbox,
    serve,
    share_commands,
    tenants,
    webhook_commands,
    why_command,
)
from rs_order.domain.identity import SERVICE

app = typer.Typer(
    name=SERVICE,
    help="Order service for space-data archives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (
    serve,
    tenants,
    sandbox,
    place_order,
    order_commands,
    why_command,
    event_commands,
    webhook_commands,
    dead_letter_commands,
    hold_commands,
    limit_commands,
    share_commands,
    queue_commands,
    quote_command,
    audit_commands,
    import_command,
    documents,
    demo,
):
    app.add_typer(group.commands)

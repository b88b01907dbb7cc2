"""The command ``rs-order`` (architecture.md 7): one module for each family of commands.

Whatever takes time to import is imported by the command that needs it, so that ``--help`` is at once
there.
"""

import typer

from rs_order.cli import dead_letter_commands, demo, documents, place_order, sandbox, serve, tenants
from rs_order.domain.identity import SERVICE

app = typer.Typer(
    name=SERVICE,
    help="Order service for space-data archives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for family in (serve, tenants, sandbox, place_order, dead_letter_commands, documents, demo):
    app.add_typer(family.commands)

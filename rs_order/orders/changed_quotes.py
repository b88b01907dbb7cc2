"""The answer to an order of a quote whose selection has changed (faces.md Q-6)."""

from rs_order.core.errors import QuoteChanged
from rs_order.domain.tallies import FileTotals
from rs_order.rest.errors import Problem
from rs_order.rest.problems import ProblemCode


def changed_quote(error: QuoteChanged) -> Problem:
    """Return the problem, with the figures of then and now."""
    members = {"quoted": _figures(error.quoted), "now": _figures(error.now)}
    return Problem(ProblemCode.QUOTE_CHANGED, str(error), members=members)


def _figures(amount: FileTotals) -> dict[str, int]:
    return {"files": amount.files, "bytes": amount.bytes}

"""Finds what no commit of ours should leave behind: wrong counters, and work that no step stands for.

Neither should ever happen while the broker keeps what it took; each is told when it does.
"""

from rs_order.application.reconcile.mend_order import MendOrder
from rs_order.application.reconcile.rebuild_steps import Part, RebuildSteps
from rs_order.application.reconcile.recount import Recount, WalkPart, WalkPlace
from rs_order.application.reconcile.rounds import ReconcileRounds, begin_reconciling

__all__ = [
    "MendOrder",
    "Part",
    "RebuildSteps",
    "ReconcileRounds",
    "Recount",
    "WalkPart",
    "WalkPlace",
    "begin_reconciling",
]

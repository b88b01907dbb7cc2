"""Finds what no commit of ours should leave behind: wrong counters, and work that no step stands for.

Neither should ever happen while the broker keeps what it took; each is told when it does.
"""

from rs_order.application.reconcile.mend_order import MendOrder
from rs_order.application.reconcile.rebuild_steps import RebuildPageStep, RebuildSteps
from rs_order.application.reconcile.recount import Recount, RecountStep
from rs_order.application.reconcile.rounds import ReconcileRounds, ReconcileStep, begin_reconciling

__all__ = [
    "MendOrder",
    "RebuildPageStep",
    "RebuildSteps",
    "ReconcileRounds",
    "ReconcileStep",
    "Recount",
    "RecountStep",
    "begin_reconciling",
]

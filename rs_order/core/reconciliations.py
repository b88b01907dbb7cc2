"""The runs of the reconciler of a tenant, which begin when the tenant is used for the first time."""

from datetime import datetime
from typing import Final

from rs_order.core.shared_steps import ReconcileStep
from rs_order.store.unit_of_work import UnitOfWork

RECONCILIATIONS: Final = "reconcile"
"""Name of the runs in the store."""


async def begin_reconciling(uow: UnitOfWork, now: datetime) -> bool:
    """Begin the runs of a tenant; False if they have begun.

    The commit that stores a request or an order does so, because from then on a lost step has to be found.
    """
    begun = await uow.runs.begin(RECONCILIATIONS, 1, now)
    if begun:
        await uow.messages.send([ReconcileStep(2).to(uow.tenant, now)])
    return begun

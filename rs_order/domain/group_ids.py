"""Group ids of restore requests: they name the sub-order that asked, and storage's events repeat them.

So an event about an earlier request, which arrives again after the files have moved to another sub-order, is
recognised. For all others the ids are UUIDs like any other: of version 8, with 44 random bits.
"""

import secrets
from uuid import UUID

from rs_order.domain.ids import SubOrderId

_VERSION = 8
_OURS = 0x7273
"""The first 16 bits."""
_SUB_ORDER_BITS = 62
_SUB_ORDER = (1 << _SUB_ORDER_BITS) - 1


def group_id(sub_order: SubOrderId) -> UUID:
    """Return a new group id for a request of a sub-order."""
    bits = _OURS << 112 | secrets.randbits(32) << 80 | _VERSION << 76 | secrets.randbits(12) << 64
    return UUID(int=bits | 0b10 << _SUB_ORDER_BITS | sub_order)


def asking_sub_order(group: str) -> SubOrderId | None:
    """Return the sub-order that a group id names, or None if the id isn't one of ours."""
    try:
        found = UUID(group)
    except ValueError:
        return None
    is_ours = found.int >> 112 == _OURS and found.version == _VERSION
    return SubOrderId(found.int & _SUB_ORDER) if is_ours else None

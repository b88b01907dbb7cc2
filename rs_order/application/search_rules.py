"""What a search of orders asks for, in the words of the store (rest.md 8.1, decisions.md)."""

from typing import Final

from rs_order.application.errors import InvalidInput
from rs_order.contracts.order_search import SearchRequestParameters, ValuesRestriction
from rs_order.domain.states import OrderStatus
from rs_order.store.order_views import OrderSearch

MAX_VALUES: Final = 1000
_MODES: Final = ("INCLUDE", "EXCLUDE")


def search_of(parameters: SearchRequestParameters) -> OrderSearch:
    """The search.

    Raises:
        InvalidInput: the restriction on statuses breaks its rules; one message for each.
    """
    created = parameters.creation_date
    return OrderSearch(
        owner=parameters.owner or None,
        statuses=_statuses(parameters.statuses) if parameters.statuses else None,
        created_from=created.after if created else None,
        created_to=created.before if created else None,
        waiting_for_user=parameters.waiting_for_user,
    )


def _statuses(restriction: ValuesRestriction) -> frozenset[OrderStatus] | None:
    """The statuses that pass, None for all."""
    broken = _broken_rules(restriction)
    known = frozenset(status for status in OrderStatus if status in (restriction.values or ()))
    if not broken and restriction.mode == "INCLUDE" and not known:
        broken = [f"statuses.values must hold one of {', '.join(OrderStatus)}"]
    if broken:
        raise InvalidInput(*broken)
    if restriction.mode == "INCLUDE":
        return known
    return frozenset(OrderStatus) - known if known else None


def _broken_rules(restriction: ValuesRestriction) -> list[str]:
    broken = []
    if restriction.values is None:
        broken.append("statuses.values must not be null")
    elif len(restriction.values) > MAX_VALUES:
        broken.append(f"statuses.values must not hold more than {MAX_VALUES} values")
    if restriction.mode not in _MODES:
        broken.append(f"statuses.mode must be one of {', '.join(_MODES)}")
    return broken

"""Describes a process to the others: its health, and how its calls of other services went.

Processes of two versions run side by side during an update, so a reader takes only what it knows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rs_order.contracts.administration import HealthStatus
from rs_order.ports import ComponentHealth
from rs_order.regards.call_watch import OF_OTHERS, ServiceCalls


def described(
    health: Mapping[str, ComponentHealth], calls: Mapping[str, ServiceCalls]
) -> dict[str, Any]:
    """Return the state as JSON."""
    of_health = {
        name: {"status": one.status.value, "details": one.details} for name, one in health.items()
    }
    of_calls = {
        name: {
            "lastGood": _written(one.last_good),
            "lastFailure": _written(one.last_failure),
            "failures": one.failures,
        }
        for name, one in calls.items()
    }
    state: dict[str, Any] = _plain({"health": of_health, "calls": of_calls})
    return state


def health_in(state: Mapping[str, Any]) -> dict[str, ComponentHealth]:
    """Return the health of the process that described itself so."""
    known = set(HealthStatus)
    return {
        name: ComponentHealth(HealthStatus(one["status"]), one["details"])
        for name, one in state["health"].items()
        if one["status"] in known
    }


def calls_in(state: Mapping[str, Any]) -> dict[str, ServiceCalls]:
    """Return the calls of the process that described itself so."""
    return {
        name: ServiceCalls(
            _instant(one["lastGood"]),
            _instant(one["lastFailure"]),
            one["failures"],
            name in OF_OTHERS,
        )
        for name, one in state["calls"].items()
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: names may be those of an enumeration."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

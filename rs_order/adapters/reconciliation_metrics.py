"""What the reconciler found; both numbers should stay 0."""

from prometheus_client import Counter

_drifts = Counter("rs_order_drift", "Counters that differed from what they count", ["table"])
_steps = Counter("rs_order_steps_written_again", "Steps of work that stood still", ["step"])


def count_drift(table: str) -> None:
    _drifts.labels(table).inc()


def count_steps(name: str, number: int) -> None:
    _steps.labels(name).inc(number)

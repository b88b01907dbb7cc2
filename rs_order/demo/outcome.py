"""What came of a case."""

from dataclasses import dataclass, field

from rs_order.demo.cases import Case


@dataclass(slots=True)
class Outcome:
    """How a case went; times are seconds since the request."""

    case: Case
    first_answer: float | None = None
    first_ready: float | None = None
    final: float | None = None
    downloading: float = 0.0
    """Seconds of all downloads with their checks."""
    files: int = 0
    size: int = 0
    """Bytes of the files received."""
    problems: list[str] = field(default_factory=list)
    """What did not hold."""

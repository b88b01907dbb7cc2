"""Processes: what rs-processing does with files before they are handed out (domain.md 5.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProcessChoice:
    """A process attached to a dataset, with what the user filled in."""

    process_id: UUID
    parameters: Mapping[str, str] = field(default_factory=dict)


class Scope(StrEnum):
    """What one execution works on."""

    SUBORDER = "SUBORDER"
    FEATURE = "FEATURE"
    """One product."""


class Cardinality(StrEnum):
    """How many outputs an execution has, and what each belongs to."""

    ONE_PER_EXECUTION = "ONE_PER_EXECUTION"
    ONE_PER_FEATURE = "ONE_PER_FEATURE"
    ONE_PER_INPUT_FILE = "ONE_PER_INPUT_FILE"


class LimitKind(StrEnum):
    """What a process counts when it takes no more."""

    NO_LIMIT = "NO_LIMIT"
    FILES = "FILES"
    FEATURES = "FEATURES"
    """Products."""
    BYTES = "BYTES"


LARGEST_FORECAST = 2**43
"""Bytes of one output: the sum of a million such is still a 64-bit number."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How large outputs will be: a factor of the inputs' bytes, or so many bytes."""

    factor: float | None = None
    size: int | None = None

    def of(self, inputs: int) -> int:
        """Bytes expected of inputs of so many bytes; a process may foretell any nonsense."""
        expected = self.factor * inputs if self.factor is not None else self.size or 0
        return int(min(expected, LARGEST_FORECAST))


@dataclass(frozen=True, slots=True)
class Process:
    """A process as rs-processing describes it."""

    id: UUID
    scope: Scope
    cardinality: Cardinality
    data_types: frozenset[str]
    """Types of the files it takes, of the catalog's; files of another type are no inputs."""
    limit_kind: LimitKind
    limit: int
    """0: none, whatever the kind."""
    forecast: Forecast
    forbids_split: bool
    """All inputs of a dataset must fit in one sub-order."""

"""The processes of rs-processing, which make new files from ordered ones (domain.md 5.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProcessChoice:
    """A process attached to a dataset, with the user's parameters."""

    process_id: UUID
    parameters: Mapping[str, str] = field(default_factory=dict)


class Scope(StrEnum):
    """The inputs of one execution."""

    SUBORDER = "SUBORDER"
    FEATURE = "FEATURE"
    """One product."""


class Cardinality(StrEnum):
    """The number of outputs of an execution."""

    ONE_PER_EXECUTION = "ONE_PER_EXECUTION"
    ONE_PER_FEATURE = "ONE_PER_FEATURE"
    ONE_PER_INPUT_FILE = "ONE_PER_INPUT_FILE"


class LimitKind(StrEnum):
    """The unit in which a process limits its inputs."""

    NO_LIMIT = "NO_LIMIT"
    FILES = "FILES"
    FEATURES = "FEATURES"
    """Products."""
    BYTES = "BYTES"


LARGEST_FORECAST = 2**43
"""Bytes of one output; the sum of a million fits in 64 bits."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected size of an output: a factor of the inputs' bytes, or a number of bytes."""

    factor: float | None = None
    size: int | None = None

    def of(self, inputs: int) -> int:
        """Return the expected bytes for the bytes of the inputs, at most ``LARGEST_FORECAST``."""
        expected = self.factor * inputs if self.factor is not None else self.size or 0
        return int(min(expected, LARGEST_FORECAST))


@dataclass(frozen=True, slots=True)
class Process:
    """A process, described by rs-processing."""

    id: UUID
    scope: Scope
    cardinality: Cardinality
    data_types: frozenset[str]
    """Types of the files that are its inputs."""
    limit_kind: LimitKind
    limit: int
    """0: no limit, whatever the kind."""
    forecast: Forecast
    forbids_split: bool
    """All inputs of a dataset must fit in one sub-order."""

"""The processes that rs-processing offers (remote-services.md 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from rs_order.sandbox.service_protocol import Identity


class Scope(StrEnum):
    """The input of one execution: a sub-order or a product."""

    SUBORDER = "SUBORDER"
    FEATURE = "FEATURE"


class Cardinality(StrEnum):
    """The number of outputs of an execution."""

    ONE_PER_EXECUTION = "ONE_PER_EXECUTION"
    ONE_PER_FEATURE = "ONE_PER_FEATURE"
    ONE_PER_INPUT_FILE = "ONE_PER_INPUT_FILE"


class SizeLimit(StrEnum):
    """The quantity that limits the input of a process."""

    NO_LIMIT = "NO_LIMIT"
    FILES = "FILES"
    FEATURES = "FEATURES"
    BYTES = "BYTES"


class Parameter(BaseModel):
    """A parameter that the user fills in."""

    name: str
    desc: str = ""


class Process(BaseModel):
    """A process that users may choose for an order."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    active: bool = True
    scope: Scope = Scope.FEATURE
    cardinality: Cardinality = Cardinality.ONE_PER_FEATURE
    datatypes: tuple[str, ...] = ("RAWDATA",)
    limit_type: SizeLimit = SizeLimit.NO_LIMIT
    limit: Annotated[int, Field(ge=0)] = 0
    """0 means no limit, for every type."""
    forecast: str = "*1.000000"
    forbids_split: bool = False
    params: tuple[Parameter, ...] = ()
    info: dict[str, str | None] = {}
    """Replacements for members of ``processInfo``; None removes a member."""

    def described_to(self, identity: Identity) -> dict[str, Any]:
        """Return the process in the form of REGARDS; ``processInfo`` is a map of texts."""
        members: dict[str, str | None] = {
            "scope": self.scope,
            "cardinality": self.cardinality,
            "datatypes": ",".join(self.datatypes),
            "sizeLimitType": self.limit_type,
            "sizeLimitValue": str(self.limit),
            "sizeForecast": self.forecast,
            "forbidSplitInSuborders": str(self.forbids_split).lower(),
            "regards.tenant": identity.tenant,
            "regards.userRole": identity.role,
        }
        info = {name: text for name, text in (members | self.info).items() if text is not None}
        return {
            "processId": str(self.id),
            "processName": self.name,
            "active": self.active,
            "processInfo": info,
            "params": [parameter.model_dump() for parameter in self.params],
        }


class RightsChange(BaseModel):
    """A change of the rights of a process (amqp.md 3.3)."""

    tenant: str
    type: Literal["CREATE", "UPDATE", "DELETE"] = "UPDATE"
    datasets: list[str] = []
    """URNs of the datasets it is linked to after the change."""
    all_datasets: bool = False

    def event(self, id_: UUID) -> dict[str, Any]:
        """Return the body of the event. A deletion has only the state before it."""
        state = {
            "pluginConfiguration": {"businessId": str(id_)},
            "rights": {
                "role": "REGISTERED_USER",
                "datasets": self.datasets,
                "isLinkedToAllDatasets": self.all_datasets,
            },
        }
        members = {"CREATE": ["after"], "UPDATE": ["before", "after"], "DELETE": ["before"]}
        return {"type": self.type} | dict.fromkeys(members[self.type], state)


def process_id(name: str) -> UUID:
    """Return the id of a demo process; it is the same in every sandbox."""
    return uuid5(NAMESPACE_URL, f"https://regards.example.org/processes/{name}")


def _demo(name: str, scope: Scope, cardinality: Cardinality, **others: Any) -> Process:
    return Process(id=process_id(name), name=name, scope=scope, cardinality=cardinality, **others)


DEMO_PROCESSES = (
    _demo(
        "mosaic", Scope.SUBORDER, Cardinality.ONE_PER_EXECUTION, forecast="10m", forbids_split=True
    ),
    _demo("footprints", Scope.SUBORDER, Cardinality.ONE_PER_FEATURE, forecast="4k"),
    _demo("checksums", Scope.SUBORDER, Cardinality.ONE_PER_INPUT_FILE, forecast="128b"),
    _demo("archive", Scope.FEATURE, Cardinality.ONE_PER_EXECUTION),
    _demo(
        "reproject",
        Scope.FEATURE,
        Cardinality.ONE_PER_FEATURE,
        forecast="*2.500000",
        params=(Parameter(name="epsg", desc="Target EPSG code"),),
    ),
    _demo(
        "clip",
        Scope.FEATURE,
        Cardinality.ONE_PER_INPUT_FILE,
        forecast="*0.500000",
        limit_type=SizeLimit.FEATURES,
        limit=100,
        forbids_split=True,
    ),
)
"""A process for each combination of scope and cardinality."""


class Processes:
    """The processes on offer, the same for every tenant and role."""

    def __init__(self, processes: Iterable[Process] = DEMO_PROCESSES) -> None:
        self._processes = {process.id: process for process in processes}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def add(self, process: Process) -> None:
        """Offer a process, in place of one with the same id."""
        self._processes[process.id] = process

    def remove(self, id_: UUID) -> bool:
        return self._processes.pop(id_, None) is not None

    def find(self, id_: str) -> Process | None:
        return next((process for process in self if str(process.id) == id_.lower()), None)

    def reset(self) -> None:
        self._processes = {process.id: process for process in DEMO_PROCESSES}

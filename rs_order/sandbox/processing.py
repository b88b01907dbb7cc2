"""rs-processing: which processes there are (remote-services.md 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from rs_order.sandbox.answers import answer
from rs_order.sandbox.gate import caller
from rs_order.sandbox.tokens import Identity


class Scope(StrEnum):
    """What one execution works on: a sub-order, or a product."""

    SUBORDER = "SUBORDER"
    FEATURE = "FEATURE"


class Cardinality(StrEnum):
    """What each output of an execution belongs to."""

    ONE_PER_EXECUTION = "ONE_PER_EXECUTION"
    ONE_PER_FEATURE = "ONE_PER_FEATURE"
    ONE_PER_INPUT_FILE = "ONE_PER_INPUT_FILE"


class SizeLimit(StrEnum):
    """What a process counts of what it is given."""

    NO_LIMIT = "NO_LIMIT"
    FILES = "FILES"
    FEATURES = "FEATURES"
    BYTES = "BYTES"


class Parameter(BaseModel):
    """Something the user fills in."""

    name: str
    desc: str = ""


class Process(BaseModel):
    """One process."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    active: bool = True
    scope: Scope = Scope.FEATURE
    cardinality: Cardinality = Cardinality.ONE_PER_FEATURE
    datatypes: tuple[str, ...] = ("RAWDATA",)
    limit_type: SizeLimit = SizeLimit.NO_LIMIT
    limit: Annotated[int, Field(ge=0)] = 0
    """0: none, whatever the type."""
    forecast: str = "*1.000000"
    forbids_split: bool = False
    params: tuple[Parameter, ...] = ()
    info: dict[str, str | None] = {}
    """Texts in the place of those that ``processInfo`` would have; None leaves one out."""

    def described_to(self, identity: Identity) -> dict[str, Any]:
        """The process as REGARDS writes it; ``processInfo`` is a map of texts."""
        told: dict[str, str | None] = {
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
        info = {name: text for name, text in (told | self.info).items() if text is not None}
        return {
            "processId": str(self.id),
            "processName": self.name,
            "active": self.active,
            "processInfo": info,
            "params": [parameter.model_dump() for parameter in self.params],
        }


class RightsChange(BaseModel):
    """What becomes of the rights of a process (amqp.md 3.3)."""

    tenant: str
    type: Literal["CREATE", "UPDATE", "DELETE"] = "UPDATE"
    datasets: list[str] = []
    """URNs of the datasets it is linked to afterwards."""
    all_datasets: bool = False

    def event(self, id_: UUID) -> dict[str, Any]:
        """The body of the event; of a process that is gone only what it was."""
        told = {
            "pluginConfiguration": {"businessId": str(id_)},
            "rights": {
                "role": "REGISTERED_USER",
                "datasets": self.datasets,
                "isLinkedToAllDatasets": self.all_datasets,
            },
        }
        members = {"CREATE": ["after"], "UPDATE": ["before", "after"], "DELETE": ["before"]}
        return {"type": self.type} | dict.fromkeys(members[self.type], told)


def process_id(name: str) -> UUID:
    """The id of a demo process, the same in every sandbox."""
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
"""One of each scope and cardinality."""


class Processes:
    """The processes there are, for every tenant and role."""

    def __init__(self, processes: Iterable[Process] = DEMO_PROCESSES) -> None:
        self._processes = {process.id: process for process in processes}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def add(self, process: Process) -> None:
        """Offer a process; one of the same id is replaced."""
        self._processes[process.id] = process

    def remove(self, id_: UUID) -> bool:
        return self._processes.pop(id_, None) is not None

    def find(self, id_: str) -> Process | None:
        return next((process for process in self if str(process.id) == id_.lower()), None)

    def reset(self) -> None:
        self._processes = {process.id: process for process in DEMO_PROCESSES}


def processing_router(processes: Processes) -> APIRouter:
    router = APIRouter(prefix="/rs-processing")

    @router.get("/process")
    async def all_processes(request: Request) -> Response:
        identity = caller(request)
        return answer([process.described_to(identity) for process in processes])

    @router.get("/process/{id_}")
    async def process(request: Request, id_: str) -> Response:
        """An unknown id is no error: 200 without a body."""
        found = processes.find(id_)
        return answer(found.described_to(caller(request))) if found else Response(b"")

    return router

"""Processes under way: what the job of the Java service knows of one, so that it can begin again (M3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from rs_order.domain.correlation import BatchCorrelation
from rs_order.domain.files import NO_CHECKSUM, CatalogFile, DataType, FileType, OtherType, identity
from rs_order.domain.ids import Checksum, OrderId, Urn
from rs_order.domain.input_batches import InputFile, InputProduct, keyed
from rs_order.domain.process import Process
from rs_order.regards.processing import MalformedProcess, process_of

PARAMETERS: Final = (
    "orderDataFileInputsPerFeature",
    "processDesc",
    "batchCorrelationId",
)
"""The parameters of a process job that are read."""
_BEGUN_AGAIN: Final = 1_000_000
"""Added to the number of a batch that begins again, so that late results of the first one aren't its own."""
INPUTS: Final = (
    "order_id",
    "sub_order_id",
    "dataset_task_id",
    "identity",
    "product_urn",
    "product_id",
    "product_version",
    "data_type",
    "key",
    "name",
    "url",
    "external",
    "online",
    "size",
    "checksum",
    "checksum_algorithm",
    "mime_type",
    "state",
    "reason",
)
"""The columns of ``process_input`` that are copied."""


@dataclass(frozen=True, slots=True)
class ProcessUnderWay:
    """A process that begins again, with its inputs."""

    process: Process
    correlation_id: str
    products: tuple[InputProduct, ...]

    @property
    def asks_storage(self) -> bool:
        """True if storage has to restore an input."""
        return any(state == "PENDING" for *_, state, _ in self._states())

    def records(self, order: int, sub_order: int, task: int) -> list[tuple[Any, ...]]:
        """Return the rows of the inputs, with the columns of ``INPUTS``."""
        return [
            (
                order,
                sub_order,
                task,
                identity(product.urn, one.file),
                product.urn,
                product.provider_id,
                product.version,
                one.file.data_type,
                one.key,
                one.file.name,
                one.file.url,
                one.file.external,
                one.file.online,
                one.file.size,
                one.file.checksum,
                one.file.checksum_algorithm,
                one.file.mime_type,
                state,
                reason,
            )
            for product, one, state, reason in self._states()
        ]

    def _states(self) -> Iterator[tuple[InputProduct, InputFile, str, str | None]]:
        for product in self.products:
            for one in product.inputs:
                if one.file.external:
                    yield product, one, "AVAILABLE", None
                elif not one.file.checksum:
                    yield product, one, "ERROR", NO_CHECKSUM
                else:
                    yield product, one, "PENDING", None


def process_under_way(order: int, parameters: Mapping[str, str]) -> ProcessUnderWay | None:
    """Return the process of a job; None if its parameters can't be read."""
    try:
        description = orjson.loads(parameters["processDesc"])
        process = process_of(UUID(description["processId"]), description["processInfo"])
        batch = BatchCorrelation.parse(orjson.loads(parameters["batchCorrelationId"]))
        features = orjson.loads(parameters["orderDataFileInputsPerFeature"])["filesPerFeature"]
        products = tuple(_product(feature, files) for feature, files in features)
    except (KeyError, TypeError, ValueError, MalformedProcess):
        return None
    if batch is None or not products:
        return None
    again = BatchCorrelation(OrderId(order), batch.selection_id, batch.number + _BEGUN_AGAIN)
    return ProcessUnderWay(process, str(again), products)


def _product(feature: Mapping[str, Any], files: list[Mapping[str, Any]]) -> InputProduct:
    inputs = keyed([_file(file) for file in files])
    version = files[0].get("version") if files else 0
    return InputProduct(Urn(feature["ipId"]), feature.get("label"), version or 0, tuple(inputs))


def _file(record: Mapping[str, Any]) -> CatalogFile:
    size, checksum = record.get("filesize"), record.get("checksum")
    return CatalogFile(
        data_type=_type_of(record.get("dataType", DataType.RAWDATA)),
        name=record["filename"],
        url=record.get("uri") or "",
        external=bool(record.get("reference")),
        size=size if isinstance(size, int) and size >= 0 else None,
        checksum=Checksum(checksum) if checksum else None,
        checksum_algorithm=record.get("digestAlgorithm"),
        mime_type=record.get("mimeType"),
        online=bool(record.get("online")),
    )


def _type_of(name: str) -> FileType:
    return DataType(name) if name in set(DataType) else OtherType(name)

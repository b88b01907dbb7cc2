"""The outputs that a process promises, and those that a result delivers (domain.md 5.5, 8.4).

A result changes the outputs of its own execution only (W26), each found by its whole identifier (W27).
Those that it delivers become available; the others of the execution fail.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rs_order.domain.correlation import FileId
from rs_order.domain.ids import DataFileId, Urn
from rs_order.domain.input_batches import InputProduct
from rs_order.domain.process import Cardinality, Process, Scope

NOT_DELIVERED = "The process made no file for it."


@dataclass(frozen=True, slots=True)
class PromisedOutput:
    """A file that a process will make."""

    key: FileId
    name: str
    product: Urn
    """The dataset, if the file is made from several products."""
    provider_id: str | None
    version: int
    size: int
    """Forecast bytes."""


def promised(
    process: Process, batch: str, dataset: Urn, products: Sequence[InputProduct]
) -> list[PromisedOutput]:
    """Return the outputs of a sub-order (domain.md 5.5)."""
    forecast = process.forecast.of
    if process.cardinality is Cardinality.ONE_PER_INPUT_FILE:
        return [
            PromisedOutput(
                key=FileId(batch, product.urn, one.key),
                name=one.file.name,
                product=product.urn,
                provider_id=product.provider_id,
                version=product.version,
                size=forecast(one.size),
            )
            for product in products
            for one in product.inputs
        ]
    if process.scope is Scope.SUBORDER and process.cardinality is Cardinality.ONE_PER_EXECUTION:
        size = forecast(sum(product.bytes for product in products))
        return [PromisedOutput(FileId(batch), batch, dataset, None, 0, size)]
    return [
        PromisedOutput(
            key=FileId(batch, product.urn),
            name=product.urn,
            product=product.urn,
            provider_id=product.provider_id,
            version=product.version,
            size=forecast(product.bytes),
        )
        for product in products
    ]


@dataclass(frozen=True, slots=True)
class AwaitedOutput:
    """A promised output of an order whose result is awaited."""

    id: DataFileId
    key: str
    product: Urn


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that an execution made."""

    url: str
    name: str
    size: int | None
    checksum: str | None
    checksum_algorithm: str | None
    inputs: tuple[str, ...]
    """Identifiers of its inputs."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outputs that a result delivers, and those that it doesn't."""

    made: Mapping[DataFileId, MadeFile]
    missing: Sequence[DataFileId]


def within(awaited: Iterable[AwaitedOutput], product: Urn | None) -> list[AwaitedOutput]:
    """Return the outputs of an execution: all of its batch, or those of its product."""
    return [one for one in awaited if product is None or one.product == product]


def deliver(
    cardinality: Cardinality, batch: str, outputs: Sequence[AwaitedOutput], made: Sequence[MadeFile]
) -> Delivery:
    """Match the files that an execution made with its outputs.

    A file that names no output, or several, is ignored. If several files name one output, the first counts.
    """
    match cardinality:
        case Cardinality.ONE_PER_EXECUTION:
            given = {one.id: made[0] for one in outputs} if made else {}
        case Cardinality.ONE_PER_FEATURE:
            products = {one.product: one.id for one in outputs}
            given = _first_of(products, ((_product_of(batch, file), file) for file in made))
        case Cardinality.ONE_PER_INPUT_FILE:
            keys = {one.key: one.id for one in outputs}
            given = _first_of(keys, ((file.inputs[0], file) for file in made if file.inputs))
    return Delivery(given, [one.id for one in outputs if one.id not in given])


def _first_of(
    ids: Mapping[str, DataFileId] | Mapping[Urn, DataFileId],
    named: Iterable[tuple[str | None, MadeFile]],
) -> dict[DataFileId, MadeFile]:
    known: dict[str, DataFileId] = {str(name): id_ for name, id_ in ids.items()}
    given: dict[DataFileId, MadeFile] = {}
    for name, file in named:
        if name is not None and name in known:
            given.setdefault(known[name], file)
    return given


def _product_of(batch: str, file: MadeFile) -> Urn | None:
    """Return the one product of this batch that a file names, or None if it names none or several."""
    ids = [FileId.parse(text) for text in file.inputs]
    products = {one.product for one in ids if one is not None and one.batch == batch}
    return products.pop() if len(products) == 1 else None

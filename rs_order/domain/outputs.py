"""What a process is expected to make, and which of it each result brings (domain.md 5.5, 8.4).

A result changes the outputs of its own execution only (W26), each found by its whole identifier (W27):
those it brings become available, the others of the execution failed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rs_order.domain.correlation import FileId
from rs_order.domain.ids import DataFileId, Urn
from rs_order.domain.process import Cardinality, Process, Scope
from rs_order.domain.windows import InputProduct

NOT_DELIVERED = "The process made no file for it."


@dataclass(frozen=True, slots=True)
class PromisedOutput:
    """A file that a process will make, before it is made."""

    key: FileId
    name: str
    product: Urn
    """The dataset, when it is made of several products."""
    provider_id: str | None
    version: int
    size: int
    """Bytes, as the process forecasts them."""


def promised(
    process: Process, batch: str, dataset: Urn, products: Sequence[InputProduct]
) -> list[PromisedOutput]:
    """The outputs of a sub-order (domain.md 5.5)."""
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
    """A promised output as the order holds it, while its result is awaited."""

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
    """Identifiers of the inputs it was made of."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a result means for the outputs of its execution."""

    made: Mapping[DataFileId, MadeFile]
    missing: Sequence[DataFileId]


def within(awaited: Iterable[AwaitedOutput], product: Urn | None) -> list[AwaitedOutput]:
    """The outputs of an execution: all of its batch, or those of the product it works on."""
    return [one for one in awaited if product is None or one.product == product]


def deliver(
    cardinality: Cardinality, batch: str, outputs: Sequence[AwaitedOutput], made: Sequence[MadeFile]
) -> Delivery:
    """Give the files that an execution made to its outputs.

    A made file that names no output, or several, belongs to nobody; of two for one output the first
    counts.
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
    """The one product of this batch that a made file names; None when it is not one."""
    ids = [FileId.parse(text) for text in file.inputs]
    products = {one.product for one in ids if one is not None and one.batch == batch}
    return products.pop() if len(products) == 1 else None

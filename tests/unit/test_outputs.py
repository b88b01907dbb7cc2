"""The expected outputs of a process, and the files of its results: domain.md 5.4, 5.5 and 8.4."""

import json
from dataclasses import replace

import pytest

from rs_order.domain.correlation import (
    BatchCorrelation,
    ExecutionCorrelation,
    FileId,
    UnreadableExecution,
)
from rs_order.domain.ids import DataFileId, OrderId, Urn
from rs_order.domain.input_batches import InputFile, InputProduct
from rs_order.domain.outputs import AwaitedOutput, MadeFile, deliver, promised, within
from rs_order.domain.process import Cardinality, Forecast, Scope
from tests.unit.catalog import a_file
from tests.unit.test_input_batches import PROCESS

BATCH = "order-12_dsSel-34_subOrder-1"
DATASET = Urn("URN:AIP:DATASET:demo:1:V1")
A, B = Urn("URN:AIP:DATA:demo:a:V1"), Urn("URN:AIP:DATA:demo:b:V1")
PRODUCTS = [
    InputProduct(
        urn,
        name,
        3,
        tuple(InputFile(f"{name}{n}", a_file(size, name=f"{name}{n}")) for n in (1, 2)),
    )
    for urn, name, size in ((A, "a", 100), (B, "b", 10))
]


@pytest.mark.parametrize(
    ("scope", "cardinality", "expected"),
    [
        (Scope.SUBORDER, Cardinality.ONE_PER_EXECUTION, [(f"file:/{BATCH}", BATCH, DATASET, 440)]),
        (
            Scope.FEATURE,
            Cardinality.ONE_PER_EXECUTION,
            [(f"file:/{BATCH}/{A}", A, A, 400), (f"file:/{BATCH}/{B}", B, B, 40)],
        ),
        *(
            (
                scope,
                Cardinality.ONE_PER_FEATURE,
                [(f"file:/{BATCH}/{A}", A, A, 400), (f"file:/{BATCH}/{B}", B, B, 40)],
            )
            for scope in Scope
        ),
        *(
            (
                scope,
                Cardinality.ONE_PER_INPUT_FILE,
                [
                    (f"file:/{BATCH}/{A}/a1", "a1", A, 200),
                    (f"file:/{BATCH}/{A}/a2", "a2", A, 200),
                    (f"file:/{BATCH}/{B}/b1", "b1", B, 20),
                    (f"file:/{BATCH}/{B}/b2", "b2", B, 20),
                ],
            )
            for scope in Scope
        ),
    ],
)
def test_outputs_follow_from_scope_and_cardinality(
    scope: Scope, cardinality: Cardinality, expected: list[tuple[str, str, Urn, int]]
) -> None:
    """Each has key, name, product and forecast size, here twice the size of its inputs."""
    process = replace(PROCESS, scope=scope, cardinality=cardinality, forecast=Forecast(factor=2.0))

    outputs = promised(process, BATCH, DATASET, PRODUCTS)

    assert [(str(one.key), one.name, one.product, one.size) for one in outputs] == expected


def awaited(*keys: FileId) -> list[AwaitedOutput]:
    return [
        AwaitedOutput(DataFileId(number), str(key), key.product or DATASET)
        for number, key in enumerate(keys)
    ]


def made(*inputs: str, url: str = "file:/out") -> MadeFile:
    return MadeFile(url, "name", 1, "c", "SHA-256", inputs)


def key(product: Urn | None = None, name: str | None = None, batch: str = BATCH) -> str:
    return str(FileId(batch, product, name))


PER_FEATURE = awaited(FileId(BATCH, A), FileId(BATCH, B))
PER_FILE = awaited(FileId(BATCH, A, "a1"), FileId(BATCH, A, "a2"), FileId(BATCH, B, "b1"))
ONE = awaited(FileId(BATCH))


@pytest.mark.parametrize(
    ("cardinality", "outputs", "files", "matches"),
    [
        (Cardinality.ONE_PER_EXECUTION, ONE, [made()], {0: 0}),
        (Cardinality.ONE_PER_EXECUTION, ONE, [made(url="1"), made(url="2")], {0: 0}),
        (Cardinality.ONE_PER_EXECUTION, ONE, [], {}),
        (Cardinality.ONE_PER_FEATURE, PER_FEATURE, [made(key(A, "a1"), key(A, "a2"))], {0: 0}),
        (
            Cardinality.ONE_PER_FEATURE,
            PER_FEATURE,
            [made(key(B, "b1")), made(key(A, "a1"))],
            {1: 0, 0: 1},
        ),
        (Cardinality.ONE_PER_FEATURE, PER_FEATURE, [made(key(A, "a1"), key(B, "b1"))], {}),
        (Cardinality.ONE_PER_FEATURE, PER_FEATURE, [made(), made(key(B))], {1: 1}),
        (
            Cardinality.ONE_PER_FEATURE,
            PER_FEATURE,
            [made(key(A, "a1"), url="1"), made(key(A, "a2"), url="2")],
            {0: 0},
        ),
        (Cardinality.ONE_PER_FEATURE, PER_FEATURE, [made(key(A, batch=f"{BATCH}0"))], {}),
        (Cardinality.ONE_PER_FEATURE, PER_FEATURE, [made("nonsense", key(A))], {0: 0}),
        (
            Cardinality.ONE_PER_INPUT_FILE,
            PER_FILE,
            [made(key(A, "a1")), made(key(B, "b1"))],
            {0: 0, 2: 1},
        ),
        (Cardinality.ONE_PER_INPUT_FILE, PER_FILE, [made(key(A, "a2"), key(A, "a1"))], {1: 0}),
        (Cardinality.ONE_PER_INPUT_FILE, PER_FILE, [made(), made(key(A, "a"))], {}),
        (Cardinality.ONE_PER_INPUT_FILE, PER_FILE, [made(key(A, "a1", f"{BATCH}0"))], {}),
    ],
    ids=[
        "one",
        "further files don't count",
        "none",
        "the product that all inputs name",
        "in any order",
        "two products: no output",
        "no product: no output",
        "two files of one product: the first",
        "another batch with the same prefix",
        "an unreadable input is ignored",
        "by the input itself",
        "the first input counts",
        "a name that is only a prefix",
        "an input of another batch",
    ],
)
def test_files_are_matched_with_the_outputs_that_they_name(
    cardinality: Cardinality,
    outputs: list[AwaitedOutput],
    files: list[MadeFile],
    matches: dict[int, int],
) -> None:
    """Whole identifiers are compared (W27); only outputs without a file are missing (W25)."""
    delivery = deliver(cardinality, BATCH, outputs, files)

    assert {id_: files.index(file) for id_, file in delivery.made.items()} == matches
    assert sorted(delivery.missing) == sorted({one.id for one in outputs} - set(matches))


def test_an_execution_of_a_product_has_the_outputs_of_that_product() -> None:
    assert [one.id for one in within(PER_FILE, A)] == [0, 1]
    assert [one.id for one in within(PER_FILE, None)] == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-1_dsSel-2",
        "order-1_dsSel-2_subOrder-3 ",
        "order-1_dsSel-2_subOrder-x",
        "xorder-1_dsSel-2_subOrder-3",
        f"order-{'9' * 30}_dsSel-2_subOrder-3",
    ],
)
def test_another_text_is_no_batch_correlation(text: str) -> None:
    assert BatchCorrelation.parse(text) is None


def test_a_batch_correlation_is_read_as_it_was_written() -> None:
    correlation = BatchCorrelation(OrderId(12), 34, 1)

    assert str(correlation) == BATCH
    assert BatchCorrelation.parse(BATCH) == correlation


@pytest.mark.parametrize("product", [None, A])
def test_an_execution_correlation_is_read_as_it_was_written(product: Urn | None) -> None:
    correlation = ExecutionCorrelation("jané@example.org", product)
    feature = ["undefined"] if product is None else ["defined", A]

    assert json.loads(str(correlation)) == {"user": "jané@example.org", "featureId": feature}
    assert ExecutionCorrelation.parse(str(correlation)) == correlation


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"user":"a"}',
        '{"user":1,"featureId":["undefined"]}',
        '{"user":"a","featureId":["defined"]}',
    ],
)
def test_an_unreadable_execution_correlation_is_rejected(text: str) -> None:
    with pytest.raises(UnreadableExecution):
        ExecutionCorrelation.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"file:/{BATCH}", FileId(BATCH)),
        (f"file:/{BATCH}/{A}", FileId(BATCH, A)),
        (f"file:/{BATCH}/{A}/dir/a name", FileId(BATCH, A, "dir/a name")),
        ("file:/", None),
        ("http://x/y", None),
    ],
)
def test_file_ids_are_read_part_by_part(text: str, expected: FileId | None) -> None:
    assert FileId.parse(text) == expected

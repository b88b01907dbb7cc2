"""What a process is expected to make, and what each result brings: domain.md 5.4, 5.5 and 8.4."""

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
def test_outputs_are_promised_by_scope_and_cardinality(
    scope: Scope, cardinality: Cardinality, expected: list[tuple[str, str, Urn, int]]
) -> None:
    """Key, name, product and forecast size; a factor of 2 on what goes in."""
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
    ("cardinality", "outputs", "files", "given"),
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
        "further ones don't count",
        "none",
        "the product all inputs name",
        "in any order",
        "two products named: nobody's",
        "none named: nobody's",
        "two of one product: the first",
        "another batch that begins alike",
        "what can't be read names nothing",
        "by the input itself",
        "its first input counts",
        "a name that only begins alike",
        "another batch's input",
    ],
)
def test_made_files_go_to_the_outputs_they_name(
    cardinality: Cardinality,
    outputs: list[AwaitedOutput],
    files: list[MadeFile],
    given: dict[int, int],
) -> None:
    """By whole identifiers (W27); outputs without a file are missing, the others are not (W25)."""
    delivery = deliver(cardinality, BATCH, outputs, files)

    assert {id_: files.index(file) for id_, file in delivery.made.items()} == given
    assert sorted(delivery.missing) == sorted({one.id for one in outputs} - set(given))


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
def test_what_is_not_of_our_making_is_no_batch(text: str) -> None:
    assert BatchCorrelation.parse(text) is None


def test_a_batch_is_read_as_it_was_written() -> None:
    correlation = BatchCorrelation(OrderId(12), 34, 1)

    assert str(correlation) == BATCH
    assert BatchCorrelation.parse(BATCH) == correlation


@pytest.mark.parametrize("product", [None, A])
def test_an_execution_is_read_as_it_was_written(product: Urn | None) -> None:
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
def test_an_execution_that_can_not_be_read_is_refused(text: str) -> None:
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

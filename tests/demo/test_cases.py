"""The demo derives the expected files from the manifest alone."""

from pathlib import Path

import pytest

from rs_order.demo.archive import Product, read_archive
from rs_order.demo.cases import ByEodag, Case, Delivery, Skipped, plan_for
from rs_order.demo.errors import DemoError
from rs_order.demo.product_selection import count_sub_orders
from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE
from tests.demo.tiny_archives import dataset, product, small_file, write_archive

ALL_CASES = [
    "nearline",
    "several sub-orders",
    "two users",
    "online",
    "cut and resumed",
    "heard by a webhook",
    "eodag",
    "external",
    "quicklooks",
    "name pattern",
    "attached files",
    "too big",
    "nothing found",
    "unknown user",
]


def _names(case: Case | Skipped) -> list[str]:
    assert isinstance(case, Case)
    assert isinstance(case.expected, Delivery)
    return sorted(case.expected.files)


def test_the_packaged_archive_has_all_cases() -> None:
    plan = plan_for(read_archive(BUNDLED_ARCHIVE), has_eodag=True)

    assert [case.name for case in plan.cases] == ALL_CASES
    assert not [case for case in plan.cases if isinstance(case, Skipped)]


def test_eodag_orders_raw_data_of_a_dataset_without_attached_files(tmp_path: Path) -> None:
    """Attached files would come with the order; quicklooks don't, because eodag orders RAWDATA."""
    raw, picture = (
        small_file(tmp_path, "one.dat"),
        small_file(tmp_path, "one.png", type="QUICKLOOK_SD"),
    )
    attached = small_file(tmp_path, "notes.txt", location="dam")
    archive = write_archive(
        tmp_path,
        dataset("A", product("P", raw), attached=(attached,)),
        dataset("B", product("Q", raw, picture)),
    )
    (found,) = [
        case.expected
        for case in plan_for(read_archive(archive), has_eodag=True).cases
        if isinstance(case, Case) and isinstance(case.expected, ByEodag)
    ]
    without = {case.name: case for case in plan_for(read_archive(archive)).cases}

    assert (found.collection, found.urn) == ("B", product("Q")["urn"])
    assert list(found.files) == ["one.dat"]
    assert isinstance(without["eodag"], Skipped)


def test_expected_files(tmp_path: Path) -> None:
    """Kinds and names are filtered; attached files of a dataset belong to every order of it."""
    raw, picture = (
        small_file(tmp_path, "one.dat"),
        small_file(tmp_path, "one.png", type="QUICKLOOK_SD"),
    )
    description = small_file(tmp_path, "about.txt", type="DESCRIPTION")
    attached = small_file(tmp_path, "notes.txt", location="dam")
    archive = write_archive(
        tmp_path, dataset("A", product("P", raw, picture, description), attached=(attached,))
    )

    cases = {case.name: case for case in plan_for(read_archive(archive)).cases}

    assert _names(cases["nearline"]) == ["notes.txt", "one.dat", "one.png"]
    assert _names(cases["quicklooks"]) == ["notes.txt", "one.png"]
    assert _names(cases["name pattern"]) == ["notes.txt", "one.dat"]
    assert isinstance(cases["external"], Skipped)
    assert isinstance(cases["several sub-orders"], Skipped)


def test_files_of_one_name_are_not_ordered_together(tmp_path: Path) -> None:
    """The query leaves the second product out, because files of one name get other names in a zip."""
    file = small_file(tmp_path, "same.dat")
    archive = write_archive(tmp_path, dataset("A", product("P", file), product("Q", file)))

    nearline = plan_for(read_archive(archive)).cases[0]

    assert isinstance(nearline, Case)
    assert nearline.query == f'id:("{product("P")["urn"]}")'


@pytest.mark.parametrize(
    ("sizes", "bucket", "count"),
    [
        ([10, 10, 10], 100, 1),
        ([10, 10, 10], 10, 3),
        ([10, 10, 10], 11, 2),
        ([10, 10, 10], 20, 2),
        ([100, 1], 10, 2),
        ([1, 100], 10, 1),
        ([], 10, 0),
    ],
)
def test_sub_orders_are_counted_by_the_rule(sizes: list[int], bucket: int, count: int) -> None:
    """A product that fills a sub-order closes it; a product is never split (C8, C9)."""
    products = [
        Product.model_validate(
            {
                "urn": f"URN:{number}",
                "files": [
                    {
                        "type": "RAWDATA",
                        "filename": "f",
                        "size": size,
                        "location": "online",
                        "md5": "0",
                    }
                ],
            }
        )
        for number, size in enumerate(sizes)
    ]

    assert count_sub_orders(products, bucket) == count


@pytest.mark.parametrize(
    ("manifest", "message"),
    [(None, "can't be read"), ('{"datasets": [{}]}', "malformed at datasets")],
)
def test_unusable_manifest(manifest: str | None, message: str, tmp_path: Path) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")

    with pytest.raises(DemoError, match=message):
        read_archive(tmp_path)

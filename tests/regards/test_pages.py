"""Reading a page one item at a time gives the same as parsing it as a whole."""

import json
from typing import Any

import pytest

from rs_order.domain.files import DataType
from rs_order.regards.catalog import MalformedFeature, page_of, product_of
from rs_order.regards.pages import items_of, parsed

PAGES: list[dict[str, Any]] = [
    {"content": []},
    {"content": [1, "two", None, {"content": [3]}, [4]], "links": []},
    {"links": [{"content": ["not this"]}], "metadata": {"number": 0}, "content": [{"a": "]}é\n"}]},
]


def read(page: bytes, others: dict[str, Any] | None = None) -> list[Any]:
    """Return the items of a page, whose texts give the same once more."""
    items = list(items_of(page, others))
    assert [parsed(item.text) for item in items] == [item.value for item in items]
    return [item.value for item in items]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("indent", [None, 2])
def test_items_are_those_of_the_page(page: dict[str, Any], indent: int | None) -> None:
    """Other members may precede or follow them."""
    assert read(json.dumps(page, indent=indent).encode()) == page["content"]


ITEMS = [
    {"content": {"id": "URN:1", "files": {}}, "links": []},
    {
        "content": {
            "id": 'a text },{"content": in an item',
            "more": [{"content": 1}, {"content": 2}],
        }
    },
    {"content": {"id": "é\ud800\0", "version": 2**70}},
    {"content": {"id": "URN:4"}, "links": [{"content": []}]},
]
"""One has the text between two items in it, and one has a text that the fast parser doesn't read."""


@pytest.mark.parametrize(
    "others", [{}, {"links": [{"content": ["not this"]}]}, {"metadata": {"totalElements": 4}}]
)
@pytest.mark.parametrize("items", [ITEMS[:1], ITEMS[:2], ITEMS, [*ITEMS[1::-1], 3]])
def test_items_without_blanks_between_them_are_those_of_the_page(
    items: list[Any], others: dict[str, Any]
) -> None:
    """This is how the platform writes them, and they are parsed faster."""
    page = {**others, "content": items, "last": True}
    text = json.dumps(page, separators=(",", ":")).encode()
    found: dict[str, Any] = {}

    assert read(text, found) == items
    assert found == {**others, "last": True}
    for length in range(len(text)):
        with pytest.raises(ValueError):  # noqa: PT011 - any: the caller adds where it came from
            list(items_of(text[:length]))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "42", "{}", "{", '{"content"', '{"content": 42}', '{"content": [1'),
        *('{"content": [1,]}', '{"content": [1] "x": 2}', '{"content": [1]} more', "\ufeff{}"),
    ],
)
def test_a_malformed_page_is_rejected(text: str) -> None:
    """A truncated page is not read as a short one."""
    with pytest.raises(ValueError):  # noqa: PT011 - any: the caller adds where it came from
        list(items_of(text.encode()))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("properties", "is_kept"), [({}, False), ({"text": "x" * 10_000}, True)])
async def test_products_are_kept_in_the_smaller_form(
    properties: dict[str, str], is_kept: bool, indent: int | None
) -> None:
    """Products with many files are made anew at each reading. Products with few files are made once."""
    files = [{"checksum": f"c{number}", "filesize": number} for number in range(100)]
    features = [
        feature(id=f"URN:{at}", files={"RAWDATA": files[at:]}, properties=properties)
        for at in range(3)
    ]
    if is_kept:
        features = [one | {"files": {"RAWDATA": files[:1]}} for one in features]
    page = {"content": [{"content": one} for one in features], "metadata": {"totalElements": 7}}
    separators = (",", ":") if indent is None else None
    text = json.dumps(page, indent=indent, separators=separators).encode()

    found = await page_of(bytearray(text), every_type=False)

    assert list(found.products) == [product_of(one) for one in features]
    assert list(found.products[1:]) == [product_of(one) for one in features[1:]]
    assert (found.products[0] is found.products[0]) == is_kept
    assert found.total == 7


def feature(**members: Any) -> dict[str, Any]:
    return {"id": "URN:1", "providerId": "P", "version": 2, "files": {}, **members}


def with_file(**members: Any) -> dict[str, Any]:
    file = {"uri": "https://h/x/name%20of.png", "reference": True, **members}
    return feature(files={"QUICKLOOK_SD": [file]})


def test_only_orderable_files_are_read() -> None:
    """Files of other types aren't even checked (domain.md 1.4)."""
    files = {"THUMBNAIL": [{"uri": 7}], "AIP": "?", "RAWDATA": [{"checksum": "c"}], "OTHER": None}

    product = product_of(feature(files=files))

    assert [(file.data_type, file.name) for file in product.files] == [(DataType.RAWDATA, "c")]


def test_optional_members() -> None:
    """Null and absent are the same; a missing name is taken from the URL (rest.md 10.3)."""
    (file,) = product_of(with_file(filename=None, filesize=None, checksum=None)).files

    assert (file.name, file.size, file.checksum) == ("name of.png", None, None)
    assert (file.external, file.online, file.mime_type) == (True, False, None)
    assert product_of({"id": "URN:1"}).version == 1


@pytest.mark.parametrize(
    "bad", [None, 42, [], {}, feature(id=None), feature(id=""), feature(id=7), feature(id="URN:\0")]
)
def test_a_product_without_id_is_rejected(bad: Any) -> None:
    with pytest.raises(MalformedFeature):
        product_of(bad)


@pytest.mark.parametrize(
    ("bad", "name", "defect"),
    [
        (
            with_file(filename="a", filesize=-1),
            "a (QUICKLOOK_SD 1)",
            "filesize isn't a whole number from 0",
        ),
        (
            with_file(filename="a", filesize="10"),
            "a (QUICKLOOK_SD 1)",
            "filesize isn't a whole number",
        ),
        (with_file(filesize=1.5), "QUICKLOOK_SD 1", "filesize isn't a whole number"),
        (with_file(filesize=True), "QUICKLOOK_SD 1", "filesize isn't a whole number"),
        (with_file(filesize=2**53), "QUICKLOOK_SD 1", "filesize isn't a whole number"),
        (
            with_file(filename="a", reference="yes"),
            "a (QUICKLOOK_SD 1)",
            "reference is neither true nor",
        ),
        (with_file(filename="a", checksum=1), "a (QUICKLOOK_SD 1)", "checksum isn't a text"),
        (
            with_file(filename="a", uri=None),
            "a (QUICKLOOK_SD 1)",
            "it has neither uri nor checksum",
        ),
        (with_file(filename=["a"]), "QUICKLOOK_SD 1", "filename isn't a text"),
        (
            with_file(filename="half \ud800"),
            "half ? (QUICKLOOK_SD 1)",
            "filename: half a surrogate pair",
        ),
        (
            with_file(filename="zero \0"),
            "zero ? (QUICKLOOK_SD 1)",
            "filename: the character U+0000",
        ),
        (with_file(uri="http://["), "QUICKLOOK_SD 1", "uri: "),
        (with_file(uri="https://h/zero%00"), "QUICKLOOK_SD 1", "uri: the character U+0000"),
        (feature(files=[]), "RAWDATA 1", "files isn't an object"),
        (feature(files={"RAWDATA": {}}), "RAWDATA 1", "files.RAWDATA isn't a list"),
        (feature(files={"RAWDATA": [1]}), "RAWDATA 1", "it isn't an object"),
    ],
)
def test_f9e_a_malformed_file_is_in_error_with_its_reason(bad: Any, name: str, defect: str) -> None:
    """It has no source, so that neither storage nor another server is asked for it."""
    (file,) = product_of(bad).files

    assert file.name == name
    assert (file.defect or "").startswith(f"The catalog describes it wrongly: {defect}")
    assert (file.url, file.checksum, file.external) == ("", None, False)


def test_f9e_other_files_of_the_product_are_not_affected() -> None:
    """Two files without any name differ by their position."""
    files = [{"checksum": "c", "filesize": 3}, {}, {"checksum": "d"}, {}]

    product = product_of(feature(files={"RAWDATA": files}))

    assert [file.name for file in product.files if file.defect] == ["RAWDATA 2", "RAWDATA 4"]
    assert [file.checksum for file in product.files if not file.defect] == ["c", "d"]


@pytest.mark.parametrize(
    ("members", "defect"),
    [
        ({"version": "2"}, "version isn't a whole number"),
        ({"version": 2**31}, "version isn't a whole number"),
        ({"providerId": 7}, "providerId isn't a text"),
    ],
)
def test_f9e_all_files_of_a_malformed_product_are_in_error(
    members: dict[str, Any], defect: str
) -> None:
    product = product_of(feature(files={"RAWDATA": [{"checksum": "c"}]}, **members))

    (file,) = product.files
    assert (file.defect or "").startswith(f"The catalog describes its product wrongly: {defect}")
    assert file.checksum is None

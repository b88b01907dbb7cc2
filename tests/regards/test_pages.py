"""Reading a page one item at a time gives the same as parsing it as a whole."""

import json
from typing import Any

import pytest

from rs_order.domain.files import DataType
from rs_order.regards.catalog import MalformedFeature, product_of
from rs_order.regards.pages import items_of

PAGES: list[dict[str, Any]] = [
    {"content": []},
    {"content": [1, "two", None, {"content": [3]}, [4]], "links": []},
    {"links": [{"content": ["not this"]}], "metadata": {"number": 0}, "content": [{"a": "]}é\n"}]},
]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("indent", [None, 2])
def test_items_are_those_of_the_page(page: dict[str, Any], indent: int | None) -> None:
    """Other members may precede or follow them."""
    assert list(items_of(json.dumps(page, indent=indent).encode())) == page["content"]


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
    "bad",
    [
        *(None, 42, [], {}, feature(id=None), feature(id=""), feature(version="2")),
        *(feature(files=[]), feature(files={"RAWDATA": {}}), feature(files={"RAWDATA": [1]})),
        *(with_file(filesize=-1), with_file(filesize=1.5), with_file(filesize=True)),
        *(with_file(reference="yes"), with_file(checksum=1), with_file(uri=None)),
        # Values that no column can store. The catalog must not cause an error of the database.
        *(with_file(filesize=2**53), feature(version=2**31), feature(id="URN:\0")),
        *(with_file(filename="half \ud800"), with_file(filename="zero \0")),
        *(with_file(uri="http://["), with_file(uri="https://h/zero%00")),
    ],
)
def test_malformed_features_are_rejected(bad: Any) -> None:
    """Members that identify a file, or decide how it is ordered, must exist with the right type."""
    with pytest.raises(MalformedFeature):
        product_of(bad)

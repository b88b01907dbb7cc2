"""The comparison of the files of an order with the manifest."""

import pytest

from rs_order.demo.archive import File
from rs_order.demo.zip_verification import Entry, differences

EXPECTED = {
    name: File.model_validate(
        {"type": "RAWDATA", "filename": name, "size": 1, "location": "online", "md5": md5}
    )
    for name, md5 in (("a", "1"), ("b", "2"))
}
A, B = Entry("a", "1", 1), Entry("b", "2", 1)


def test_all_as_expected() -> None:
    assert differences(EXPECTED, [B, A]) == []


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([A], "b is missing"),
        ([A, B, Entry("c", "3", 1)], "c was not ordered"),
        ([A, B, B], "b came 2 times"),
        ([A, Entry("b", "9", 1)], "b has MD5 9 instead of 2"),
        ([A, B, Entry("NOTICE.txt", "", 4, "Failed")], "NOTICE.txt: Failed"),
    ],
)
def test_each_difference_is_found(entries: list[Entry], problem: str) -> None:
    assert differences(EXPECTED, entries) == [problem]

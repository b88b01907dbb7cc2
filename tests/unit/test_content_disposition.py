"""Names of downloads in the Content-Disposition header (RFC 6266)."""

import pytest

from rs_order.downloads.streaming import attachment


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.fits", 'attachment; filename="a.fits"'),
        ("a b (1).fits", 'attachment; filename="a b (1).fits"'),
        ("été.nc", "attachment; filename=\"ete.nc\"; filename*=UTF-8''%C3%A9t%C3%A9.nc"),
        ("観測.jp2", "attachment; filename=\"__.jp2\"; filename*=UTF-8''%E8%A6%B3%E6%B8%AC.jp2"),
        ("🛰.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%F0%9F%9B%B0.txt"),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("100%41.txt", "attachment; filename=\"100_41.txt\"; filename*=UTF-8''100%2541.txt"),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("..\\win.ini", 'attachment; filename="win.ini"'),
        ("a\r\nSet-Cookie: b=c", 'attachment; filename="a__Set-Cookie: b=c"'),
        ("", 'attachment; filename="_"'),
    ],
)
def test_names_in_any_script(name: str, header: str) -> None:
    """An ASCII name is sent as it is; another one in a similar ASCII form and in encoded form."""
    assert attachment(name) == header
    assert header.isascii()
    assert header.isprintable()

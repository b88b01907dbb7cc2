"""Addresses and subjects can't inject headers."""

import pytest

from rs_order.ports import Mail, UnusableAddress


def a_mail(to: str = "jane@example.org", subject: str = "Hello") -> Mail:
    return Mail(key="k", to=to, subject=subject, html="")


@pytest.mark.parametrize(
    "address", ["jane@example.org", "j.o'neil+orders@sub.example.org", "jané@exämple.org", "a@b"]
)
def test_a_valid_address_is_kept_unchanged(address: str) -> None:
    assert a_mail(address).to == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "jane",
        "jane@",
        "@example.org",
        "jane@example.org\r\nBcc: evil@example.org",
        "jane@example.org\n",
        "jane@example.org,evil@example.org",
        "jane@example.org evil@example.org",
        "jane@example.org;evil@example.org",
        "Jane <jane@example.org>",
        "<jane@example.org>",
        "a@b@c",
        'jane"@example.org',
        "jane\x00@example.org",
        "jane\u2028@example.org",
        "jane\x85@example.org",
    ],
)
def test_anything_but_one_address_is_rejected(address: str) -> None:
    """A mail server could read these as a second recipient or a new line."""
    with pytest.raises(UnusableAddress, match="is not an e-mail address"):
        a_mail(address)


@pytest.mark.parametrize(
    ("written", "subject"),
    [
        ("Order number 42 is confirmed", "Order number 42 is confirmed"),
        ("  two\r\nBcc: evil@example.org\n", "two Bcc: evil@example.org"),
        ("a\x00b\x1fc\x7fd\x85e\u2028f", "a b c d e f"),
        ("La commande est confirmée", "La commande est confirmée"),
    ],
)
def test_a_subject_is_one_line(written: str, subject: str) -> None:
    assert a_mail(subject=written).subject == subject

"""No address and no subject brings in a header of its own."""

import pytest

from rs_order.ports import Mail, UnusableAddress


def a_mail(to: str = "jane@example.org", subject: str = "Hello") -> Mail:
    return Mail(key="k", to=to, subject=subject, html="")


@pytest.mark.parametrize(
    "address", ["jane@example.org", "j.o'neil+orders@sub.example.org", "jané@exämple.org", "a@b"]
)
def test_an_address_is_taken_as_it_is(address: str) -> None:
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
def test_what_is_not_one_address_is_refused(address: str) -> None:
    """Nothing that a mail server could read as a second recipient or a new line."""
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

"""Sending mails by SMTP to a real server, and which of its answers are final."""

from typing import Any

import pytest

from rs_order.domain.ids import Tenant
from rs_order.mails.smtp import SmtpMailer, SmtpServer
from rs_order.ports import Mail, RemoteRejection, RemoteUnavailable
from tests.mails.servers import (
    HOST,
    LOGIN,
    PASSWORD,
    Certificate,
    SmtpBox,
    certificate,
    smtp_server,
)

PROJECT1 = Tenant("project1")
HTML = (
    "<p>Éphémérides, " + "a line that is longer than SMTP allows in one, " * 40 + "\n.\nend</p>\n"
)
MAIL = Mail(
    key="project1.7", to="jane@example.org", subject="La commande numéro 7 est confirmée", html=HTML
)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificate"))


def mailer(box: SmtpBox, trust: Certificate | None = None, **server: Any) -> SmtpMailer:
    return SmtpMailer(
        SmtpServer(HOST, box.port, **server),
        "orders@site.example",
        trust.trusting if trust else None,
    )


async def test_a_mail_arrives_as_it_was_written() -> None:
    """It has one recipient, the configured sender, the exact HTML, and headers of an automatic mail."""
    async with smtp_server() as box:
        await mailer(box, encryption="none").send(PROJECT1, MAIL)

    (received,) = box.received
    headers = received.message
    assert (received.sender, received.recipients) == ("orders@site.example", ["jane@example.org"])
    assert (headers["From"], headers["To"]) == ("orders@site.example", "jane@example.org")
    assert headers["Subject"] == MAIL.subject
    assert headers["Message-ID"] == "<project1.7@site.example>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["Date"].datetime is not None
    assert headers.get_content_type() == "text/html"
    assert headers.get_content().replace("\r\n", "\n") == HTML


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
async def test_a_login_is_made_on_an_encrypted_connection(
    encryption: str, signed: Certificate
) -> None:
    """By STARTTLS, or by TLS from the start."""
    contexts = {encryption: signed.server}
    async with smtp_server(**contexts, login=True) as box:
        known = mailer(box, signed, encryption=encryption, username=LOGIN, password=PASSWORD)
        await known.send(PROJECT1, MAIL)

    (received,) = box.received
    assert received.encrypted
    assert received.login == LOGIN


async def test_a_server_that_is_not_trusted_gets_nothing(signed: Certificate) -> None:
    """No mail and no password is sent: the certificate must be trusted by the system."""
    async with smtp_server(starttls=signed.server, login=True) as box:
        stranger = mailer(box, username=LOGIN, password=PASSWORD)
        with pytest.raises(RemoteUnavailable, match="certificate verify failed"):
            await stranger.send(PROJECT1, MAIL)

    assert box.received == []


async def test_nothing_is_sent_unencrypted_when_encryption_is_required() -> None:
    """A server without STARTTLS counts as unavailable, since an operator can repair it."""
    async with smtp_server() as box:
        with pytest.raises(RemoteUnavailable, match="STARTTLS"):
            await mailer(box).send(PROJECT1, MAIL)

    assert box.received == []


async def test_a_wrong_password_counts_as_unavailable(signed: Certificate) -> None:
    """The mail waits until an operator repairs it; the error doesn't contain the password."""
    async with smtp_server(starttls=signed.server, login=True) as box:
        wrong = mailer(box, signed, username=LOGIN, password="not it")
        with pytest.raises(RemoteUnavailable, match="535") as caught:
            await wrong.send(PROJECT1, MAIL)

    assert "not it" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("RCPT", "550 No such user", RemoteRejection),
        ("RCPT", "450 Mailbox busy", RemoteUnavailable),
        ("DATA", "554 Looks like spam", RemoteRejection),
        ("DATA", "451 Try again", RemoteUnavailable),
        ("MAIL", "550 Who are you?", RemoteUnavailable),
        ("MAIL", "421 Closing", RemoteUnavailable),
    ],
)
async def test_only_a_rejected_recipient_or_text_is_final(
    command: str, answer: str, error: type[Exception]
) -> None:
    """Temporary failures and faults of our settings are retried."""
    async with smtp_server() as box:
        box.answers[command] = answer
        with pytest.raises(error, match=answer[4:].replace("?", r"\?")) as caught:
            await mailer(box, encryption="none").send(PROJECT1, MAIL)

    assert str(caught.value).startswith(f"SMTP server {HOST}:{box.port}: ")
    assert box.received == []


async def test_a_stopped_server_is_unavailable() -> None:
    async with smtp_server() as box:
        pass

    with pytest.raises(RemoteUnavailable):
        await mailer(box, encryption="none").send(PROJECT1, MAIL)

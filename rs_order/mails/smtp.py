"""Sends mails by SMTP, for installations whose rs-admin-instance sends none."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, Literal

import aiosmtplib

from rs_order.contracts.wire import excerpt
from rs_order.domain.ids import Tenant
from rs_order.ports import Mail, RemoteError, RemoteRejection, RemoteUnavailable

SECONDS: Final = 60.0
"""Timeout of one mail, from the connection to the server's last reply."""
_PERMANENT = 500

Encryption = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The SMTP server, and how to connect to it."""

    host: str
    port: int
    encryption: Encryption = "starttls"
    """``tls``: from the start. ``starttls``: after the greeting; without it, no mail is sent."""
    username: str | None = None
    password: str | None = None

    @property
    def name(self) -> str:
        """The name of the server in errors."""
        return f"SMTP server {self.host}:{self.port}"


class SmtpMailer:
    """Implements :class:`rs_order.ports.Mailer` with one connection per mail."""

    def __init__(
        self, server: SmtpServer, sender: str, tls_context: ssl.SSLContext | None = None
    ) -> None:
        """``sender`` is the From address; ``tls_context`` decides which certificates are trusted."""
        self._server = server
        self._sender = sender
        self._tls_context = tls_context

    async def send(self, tenant: Tenant, mail: Mail) -> None:  # noqa: ARG002 - one server for all
        """See :meth:`rs_order.ports.Mailer.send`."""
        server = self._server
        try:
            async with asyncio.timeout(SECONDS):
                await aiosmtplib.send(
                    self._message(mail),
                    hostname=server.host,
                    port=server.port,
                    username=server.username,
                    password=server.password,
                    use_tls=server.encryption == "tls",
                    start_tls=server.encryption == "starttls",
                    tls_context=self._tls_context,
                    timeout=SECONDS,
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise self._failure(error) from error

    def _message(self, mail: Mail) -> EmailMessage:
        """Return the message, marked as automatic, with the same message id at every attempt."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{mail.key}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.html, subtype="html")
        return message

    def _failure(self, error: Exception) -> RemoteError:
        """Return the error to raise.

        Only a rejected recipient or text is final. An operator can still correct a login or a sender.
        """
        name = self._server.name
        match error:
            case aiosmtplib.SMTPRecipientsRefused(recipients=[recipient, *_]):
                code, text = recipient.code, recipient.message
            case aiosmtplib.SMTPDataError(code=code, message=text):
                pass
            case _:
                return RemoteUnavailable(name, _one_line(f"{type(error).__name__}: {error}"))
        detail = _one_line(f"{code} {text}")
        return (
            RemoteRejection(name, code, detail)
            if code >= _PERMANENT
            else RemoteUnavailable(name, detail)
        )


def _one_line(text: str) -> str:
    return excerpt(" ".join(text.split()))

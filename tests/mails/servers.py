"""A real SMTP server for one test: it stores accepted mails and gives the answers the test sets."""

# ruff: noqa: ARG002, N802 - names and signatures are the library's

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

HOST = "127.0.0.1"
LOGIN, PASSWORD = "rs-order", "a password"


@dataclass
class Received:
    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    login: str | None


@dataclass
class SmtpBox:
    """The received mails, and the answers of the server."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """The answer to a command (``MAIL``, ``RCPT``, ``DATA``) instead of 250."""

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if answer := self.answers.get("MAIL"):
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if answer := self.answers.get("RCPT"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if answer := self.answers.get("DATA"):
            return answer
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(
            Received(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                message,
                encrypted=server.transport.get_extra_info("cipher") is not None,
                login=session.auth_data.login.decode() if session.auth_data else None,
            )
        )
        return "250 OK"


@asynccontextmanager
async def smtp_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: bool = False,
) -> AsyncIterator[SmtpBox]:
    """Serve on a free port; with ``login`` clients must authenticate."""
    box = SmtpBox()

    def check(
        server: Any, session: Any, envelope: Any, mechanism: str, credentials: LoginPassword
    ) -> AuthResult:
        known = (LOGIN.encode(), PASSWORD.encode())
        good = (credentials.login, credentials.password) == known
        return AuthResult(success=good, handled=good, auth_data=credentials)

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            # The library doesn't notice that the connection is already encrypted.
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
            return SMTP(
                box,
                hostname="mail.test",
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_required=login,
                auth_require_tls=tls is None,
                authenticator=check if login else None,
                enable_SMTPUTF8=True,
                loop=asyncio.get_running_loop(),
            )

    listener = await asyncio.get_running_loop().create_server(protocol, HOST, 0, ssl=tls)
    box.port = listener.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        listener.close()
        await listener.wait_closed()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for localhost."""

    file: Path
    server: ssl.SSLContext
    trusting: ssl.SSLContext
    """A context for clients that trust the certificate."""


def certificate(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "server.pem", folder / "server.key"
    public.write_bytes(signed.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, private)
    return Certificate(public, server, ssl.create_default_context(cafile=str(public)))

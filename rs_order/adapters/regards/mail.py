"""rs-admin-instance takes mails away (remote-services.md 6.2)."""

from typing import Any

from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.token_issuer import TokenIssuer
from rs_order.domain.ids import Tenant
from rs_order.ports.errors import RemoteRefusal
from rs_order.ports.mail import Mail

_PATH = "/email"


class RegardsMailer:
    """Implements :class:`rs_order.ports.mail.Mailer`; called as administrator of the installation."""

    def __init__(
        self, service: RemoteService, tokens: TokenIssuer, sender: str | None = None
    ) -> None:
        """``sender`` is the From address; None: the mail service's own (domain.md 16.2)."""
        self._service = service
        self._tokens = tokens
        self._sender = sender

    async def send(self, tenant: Tenant, mail: Mail) -> None:  # noqa: ARG002 - one service for all
        body: dict[str, Any] = {"to": [mail.to], "subject": mail.subject, "text": mail.html}
        if self._sender is not None:
            body["from"] = self._sender
        if not await self._service.create(_PATH, self._tokens.instance(), body):
            raise RemoteRefusal(self._service.name, 404, f"{_PATH}: status 404: no such endpoint")

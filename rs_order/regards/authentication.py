"""Client of the platform's OAuth endpoint, which gives tokens for passwords (console.md 2)."""

from base64 import b64encode
from typing import Final

from rs_order.domain.ids import Tenant
from rs_order.ports import RemoteRejection
from rs_order.regards.http import RemoteService

_PATH: Final = "/oauth/token"


class RegardsAuthentication:
    """Implements :class:`rs_order.ports.Authentication`. Nothing is cached or logged."""

    def __init__(self, service: RemoteService, client: str | None) -> None:
        """``client``: ``name:secret`` of this service as a client of the endpoint; None: it needs none."""
        self._service = service
        self._authorization = f"Basic {b64encode(client.encode()).decode()}" if client else None

    async def sign_in(self, project: Tenant, name: str, password: str) -> str | None:
        fields = {
            "grant_type": "password",
            "username": name,
            "password": password,
            "scope": project,
        }
        try:
            answer = await self._service.post_form(_PATH, fields, self._authorization)
        except RemoteRejection:
            return None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise self._service.bad_response(_PATH, "the answer has no access_token")
        return token

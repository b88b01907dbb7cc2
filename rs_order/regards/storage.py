"""Client of rs-storage: quotas, and what is at hand (remote-services.md 3.4, 3.6). It downloads nothing."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from rs_order.domain.ids import Checksum, Tenant
from rs_order.regards.http import RemoteService, TokenIssuer

UNLIMITED: Final = -1
"""The quota of a user who may download any number of files."""
_AVAILABILITY: Final = "/resources/availability/status"


class RegardsStorage:
    """Asks storage what a user may download, and which files it has at hand.

    All calls raise RemoteRejection or RemoteUnavailable.
    """

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def downloads_left(self, tenant: Tenant, email: str) -> int | None:
        """Return how many more files the user may download; None: any number, or it isn't known."""
        path = f"/quota/current/{quote(email, safe='@')}"
        answer = await self._service.get(path, self._tokens.downloader(tenant, email))
        if answer is None:
            return None
        most, used = (self._number(path, answer, name) for name in ("maxQuota", "currentQuota"))
        return None if most == UNLIMITED else max(0, most - used)

    async def available(
        self, tenant: Tenant, email: str, checksums: Sequence[Checksum]
    ) -> set[Checksum] | None:
        """Return which of the files need no restoration; None: this storage doesn't say."""
        token = self._tokens.downloader(tenant, email)
        answer = await self._service.post(_AVAILABILITY, token, {"checksums": list(checksums)})
        if answer is None:
            return None
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise self._service.bad_response(_AVAILABILITY, "the answer is no list of files")
        asked = set(checksums)
        return asked & {one.get("checksum") for one in answer if one.get("available") is True}

    def _number(self, path: str, answer: Any, name: str) -> int:
        value = answer.get(name) if isinstance(answer, dict) else None
        if type(value) is not int or value < UNLIMITED:
            raise self._service.bad_response(path, f"the answer has no number {name}")
        return value

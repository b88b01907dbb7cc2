"""Creates missing virtual hosts through the broker's management API (amqp.md 1.1)."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

from rs_order.broker.errors import VhostProvisioningError

TIMEOUT_SECONDS = 10.0
ALL_PERMISSIONS = {"configure": ".*", "write": ".*", "read": ".*"}


async def create_missing_vhosts(
    management_url: str, amqp_url: str, vhosts: Iterable[str]
) -> tuple[str, ...]:
    """Create the virtual hosts that don't exist, and give the AMQP user all permissions on them.

    Existing virtual hosts and their permissions are not changed.

    Args:
        management_url: of the management API; its credentials take precedence over those of ``amqp_url``.
        amqp_url: names the user who gets the permissions.
        vhosts: names, without a leading slash.

    Returns:
        The names of the created virtual hosts.

    Raises:
        VhostProvisioningError: the API can't be reached, or rejected a call.
    """
    user, _ = _credentials(amqp_url)
    credentials = _credentials(management_url if urlsplit(management_url).username else amqp_url)
    async with aiohttp.ClientSession(
        headers={"Authorization": aiohttp.encode_basic_auth(*credentials, encoding="utf-8")},
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        trust_env=True,
    ) as client:
        api = _Api(client, _without_credentials(management_url).rstrip("/"))
        existing = {vhost["name"] for vhost in await api.call("GET", "/api/vhosts")}
        missing = tuple(vhost for vhost in vhosts if vhost not in existing)
        for vhost in missing:
            path = quote(vhost, safe="")
            await api.call("PUT", f"/api/vhosts/{path}")
            permissions = f"/api/permissions/{path}/{quote(user, safe='')}"
            await api.call("PUT", permissions, ALL_PERMISSIONS)
    return missing


class _Api:
    """The management API of a broker."""

    def __init__(self, client: aiohttp.ClientSession, address: str) -> None:
        self._client = client
        self._address = address

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the content of the response, or None if it has none.

        Raises:
            VhostProvisioningError: the API can't be reached, or rejected the call.
        """
        url = URL(self._address + path, encoded=True)
        try:
            async with self._client.request(
                method, url, json=body, raise_for_status=True
            ) as response:
                return await response.json() if await response.read() else None
        except (aiohttp.ClientError, OSError) as error:
            # Not its representation: that of a rejection has the credentials.
            cause = ": ".join(filter(None, [type(error).__name__, str(error)]))
            raise VhostProvisioningError(
                f"{method} {path} on the broker's management API failed: {cause}. Create the virtual "
                "hosts by hand and leave AMQP_MANAGEMENT_URL unset, or correct it and its credentials."
            ) from error


def _credentials(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return unquote(parts.username or "guest"), unquote(parts.password or "guest")


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

"""Creates missing virtual hosts through the broker's management API (amqp.md 1.1)."""

from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

import httpx

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
    async with httpx.AsyncClient(
        base_url=_without_credentials(management_url), auth=credentials, timeout=TIMEOUT_SECONDS
    ) as client:
        existing = {vhost["name"] for vhost in (await _call(client, "GET", "/api/vhosts")).json()}
        missing = tuple(vhost for vhost in vhosts if vhost not in existing)
        for vhost in missing:
            path = quote(vhost, safe="")
            await _call(client, "PUT", f"/api/vhosts/{path}")
            permissions = f"/api/permissions/{path}/{quote(user, safe='')}"
            await _call(client, "PUT", permissions, ALL_PERMISSIONS)
    return missing


async def _call(
    client: httpx.AsyncClient, method: str, path: str, body: object = None
) -> httpx.Response:
    try:
        response = await client.request(method, path, json=body)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise VhostProvisioningError(
            f"{method} {path} on the broker's management API failed: {error!r}. Create the virtual "
            "hosts by hand and leave AMQP_MANAGEMENT_URL unset, or correct it and its credentials."
        ) from error
    return response


def _credentials(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return unquote(parts.username or "guest"), unquote(parts.password or "guest")


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

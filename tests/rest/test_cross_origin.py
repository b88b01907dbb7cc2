"""CORS headers: the web pages that may call the service (rest.md 2.5)."""

from contextlib import aclosing
from dataclasses import replace

import httpx
import pytest

from rs_order.app.rest import RestServices
from rs_order.rest.rest_app import RestSettings
from tests.rest.conftest import serving

pytestmark = pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
"""No test of this module reads an order, so one kind of store is enough."""

ALLOWED = ("https://portal.example.org:8443", "Regards.example.org")
PATH = "/actuator/info"


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        ((), None, "*"),
        ((), "https://anywhere.example.org", "*"),
        (ALLOWED, "https://portal.example.org:8443", "https://portal.example.org:8443"),
        (ALLOWED, "http://regards.example.org:8080", "http://regards.example.org:8080"),
        (ALLOWED, "https://portal.example.org", None),
        (ALLOWED, "https://regards.example.org.elsewhere.org", None),
        (ALLOWED, "null", None),
        (ALLOWED, "http://[", None),
        (ALLOWED, None, None),
    ],
)
async def test_only_pages_of_allowed_origins_get_cors_headers(
    services: RestServices, allowed: tuple[str, ...], origin: str | None, answered: str | None
) -> None:
    """All origins are allowed, or those of the setting. This also holds for a preflight."""
    services = replace(services, settings=RestSettings(cross_origins=allowed))
    headers = {"Origin": origin} if origin else {}

    async with (
        aclosing(serving(services)) as urls,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        url = await anext(urls)
        answers = [
            await client.request(verb, url + PATH, headers=headers) for verb in ("GET", "OPTIONS")
        ]
        await anext(urls, None)

    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers.get("Access-Control-Allow-Origin") == answered
        assert ("Access-Control-Allow-Methods" in answer.headers) == (answered is not None)
        exposed = answer.headers.get("Access-Control-Expose-Headers", "")
        assert ("Content-Disposition" in exposed) == (answered is not None)  # F24
        assert answer.headers.get("Vary") == ("Origin" if allowed else None)

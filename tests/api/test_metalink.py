"""The metalink of the complete service (rest.md 14)."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.downloading import ordered


async def test_rest_14_metalink_and_the_token_in_it(here: Platform) -> None:
    """The content type. The token in a file's URL opens the public metalink of this order only.

    rest.md 14, metalink.
    """
    jane, joe = new_user(here), new_user(here)
    order_id, other_id = await ordered(here, jane, EVE_01), await ordered(here, joe, EVE_01)

    async with here.client(jane) as client:
        answer = await client.get(f"/user/orders/{order_id}/metalink/download")
        others = await client.get(f"/user/orders/{other_id}/metalink/download")
    (address,) = re.findall(r"<url[^>]*>([^<]+)</url>", answer.text)
    query = parse_qs(urlsplit(address.replace("&amp;", "&")).query)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{here.port}", trust_env=False, timeout=60
    ) as nobody:
        public = await nobody.get("/user/orders/metalink/download", params=query)
        elsewhere = await nobody.get(
            "/user/orders/metalink/download", params={**query, "scope": "project2"}
        )

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/metalink+xml")
    assert address.startswith("http://localhost:9043/api/v1/rs-order/orders/public/files/")
    assert list(query) == ["orderToken", "scope"]
    assert (public.status_code, public.headers["Content-Type"]) == (200, "application/metalink+xml")
    assert f"order_{order_id}_" in public.headers["Content-Disposition"]
    assert (others.status_code, others.json()) == (403, {"messages": ["Access is denied"]})
    assert (elsewhere.status_code, elsewhere.content) == (401, b"")

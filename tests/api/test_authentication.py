"""Authentication of callers in the complete service (rest.md 2.1)."""

import time

import httpx
import jwt
import pytest

from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from tests.acceptance.platform import Platform

NO_ORDER = "/user/orders/987654321/download"
"""An order that doesn't exist: 404 for a registered user, 403 for the public."""
USER, PUBLIC, NOBODY = 404, 403, 401

TOKEN = "{token}"
HEADER = {"scope": "project1"}


async def answer(
    here: Platform,
    authorization: str | None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    tenant: str = "project1",
) -> httpx.Response:
    token = here.sandbox.token("jane@example.org", tenant=tenant)
    sent = dict(headers or {})
    if authorization is not None:
        sent["Authorization"] = authorization.replace(TOKEN, token)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{here.port}", timeout=60) as client:
        return await client.get(NO_ORDER, headers=sent, params=query)


@pytest.mark.parametrize(
    ("authorization", "headers", "query", "status"),
    [
        (f"Bearer {TOKEN}", {}, {}, USER),
        (f"Bearer    {TOKEN}", {}, {}, USER),
        (f"Bearer{TOKEN}", {}, {}, USER),
        (f"Bearer {TOKEN}", {"scope": "project2"}, {"scope": "elsewhere"}, USER),
        (f"bearer {TOKEN}", {}, {}, NOBODY),
        (f"BEARER {TOKEN}", {}, {}, NOBODY),
        (f"bearer {TOKEN}", HEADER, {}, PUBLIC),
        (TOKEN, {}, {}, NOBODY),
        (f"Basic {TOKEN}", {}, {}, NOBODY),
        ("Basic amFuZTpzZWNyZXQ=", {}, {"scope": "project1"}, PUBLIC),
        (None, {}, {}, NOBODY),
        (None, HEADER, {}, PUBLIC),
        (None, {}, {"scope": "project1"}, PUBLIC),
        (None, HEADER, {"scope": "elsewhere"}, PUBLIC),
        (None, {"scope": ""}, {"scope": ""}, NOBODY),
        ("Bearer", HEADER, {}, NOBODY),
        ("Bearer nonsense", HEADER, {"scope": "project1"}, NOBODY),
    ],
)
async def test_who_calls(
    here: Platform,
    authorization: str | None,
    headers: dict[str, str],
    query: dict[str, str],
    status: int,
) -> None:
    """The caller is the bearer of a token, else the public of a scope. A bad token is never ignored."""
    got = await answer(here, authorization, headers=headers, query=query)

    assert got.status_code == status
    assert len(got.json()["messages"]) == 1


@pytest.mark.parametrize(
    ("claims", "key", "algorithm"),
    [
        ({}, "another key ".ljust(80, "x"), "HS512"),
        ({"exp": int(time.time()) - 1}, DEVELOPMENT_KEY, "HS512"),
        ({"email": None}, DEVELOPMENT_KEY, "HS512"),
        ({}, DEVELOPMENT_KEY, "HS256"),
        ({"exp": None}, DEVELOPMENT_KEY, "HS512"),
    ],
    ids=["another key", "expired", "no e-mail", "an algorithm without a key", "no expiry"],
)
async def test_an_invalid_token_is_401(
    here: Platform, claims: dict[str, object], key: str, algorithm: str
) -> None:
    """401 with a reason that contains no part of the token."""
    token = signed(claims, key, algorithm)
    got = await answer(here, f"Bearer {token}")
    (message,) = got.json()["messages"]

    assert got.status_code == NOBODY
    assert message.startswith("Authentication failed: the token ")
    assert token not in message


def signed(claims: dict[str, object], key: str = DEVELOPMENT_KEY, algorithm: str = "HS512") -> str:
    every = {
        "tenant": "project1",
        "sub": "j",
        "email": "j@x",
        "role": "INSTANCE_ADMIN",
        "exp": int(time.time()) + 60,
        **claims,
    }
    return jwt.encode({k: v for k, v in every.items() if v is not None}, key, algorithm=algorithm)


@pytest.mark.parametrize("claim", ["tenant", "sub", "email", "role"])
@pytest.mark.parametrize("text", ["j\0@x", "j\ud800@x"], ids=["U+0000", "half a surrogate pair"])
async def test_a_claim_that_cannot_be_stored_is_401(here: Platform, claim: str, text: str) -> None:
    """F15: 401 that names the claim, never a 500."""
    got = await answer(here, f"Bearer {signed({claim: text})}")
    (message,) = got.json()["messages"]

    assert got.status_code == NOBODY
    assert message.startswith(f"Authentication failed: the claim {claim} is invalid: ")


async def test_a_token_id_may_be_a_number(here: Platform) -> None:
    """F15: REGARDS writes no ``jti``, so its type isn't checked."""
    assert (await answer(here, f"Bearer {signed({'jti': 5})}")).status_code == USER


async def test_a_scope_that_cannot_be_stored(here: Platform) -> None:
    """Like F15, for the project of a caller without a token."""
    got = await answer(here, None, query={"scope": "pro\0ject"})

    assert got.status_code == USER
    assert len(got.json()["messages"]) == 1


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("project2", "There is no order 987654321"),
        ("elsewhere", "There is no project elsewhere here"),
        ("instance", "There is no project instance here"),
        ('x" or 1=1', 'There is no project x" or 1=1 here'),
    ],
)
async def test_the_tenant_is_that_of_the_token(here: Platform, tenant: str, message: str) -> None:
    """A scope doesn't change it. An unserved project is 404 with its name."""
    got = await answer(here, f"Bearer {TOKEN}", headers=HEADER, tenant=tenant)

    assert (got.status_code, got.json()) == (404, {"messages": [message]})

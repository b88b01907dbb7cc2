"""Order tokens for the REST tests."""

from typing import Any

import jwt

from tests.rest.conftest import NOW, ORDER_SECRET
from tests.rest.fake_downloads import EXPIRES_AT, ORDER, OWNER

FUTURE = int(EXPIRES_AT.timestamp())
PAST = int(NOW.timestamp()) - 1


def order_token(key: str = ORDER_SECRET, algorithm: str | None = "HS256", **claims: Any) -> str:
    """Return an order token of the owner. A claim that is None is left out."""
    all_claims = {
        "tenant": "demo",
        "role": "REGISTERED_USER",
        "sub": OWNER,
        "email": OWNER,
        "ORDER_ID": str(ORDER),
        "exp": FUTURE,
        **claims,
    }
    return jwt.encode(
        {name: value for name, value in all_claims.items() if value is not None},
        key,
        algorithm=algorithm,
    )


BAD_TOKENS = {
    "empty": "",
    "no token": "x.y.z",
    "forged": order_token(key="another key that is long enough to be taken for one"),
    "unsigned": order_token(key="", algorithm="none"),
    "another algorithm": order_token(algorithm="HS512", key=ORDER_SECRET * 2),
    "expired": order_token(exp=PAST),
    "never expires": order_token(exp=None),
    "of another project": order_token(tenant="project1"),
    "of no project": order_token(tenant=None),
    "without order": order_token(ORDER_ID=None),
    "order as number": order_token(ORDER_ID=12),
    "order as word": order_token(ORDER_ID="twelve"),
    "order in another script": order_token(ORDER_ID="١٢"),
    "order beyond 64 bits": order_token(ORDER_ID="9" * 30),
}
"""Tokens that are rejected (rest.md 10.1, point 1)."""

"""Which tokens are believed (rest.md 2.2)."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.entrypoints.rest import InvalidToken, TokenVerifier

HMAC_KEYS = {name: f"{name} key ".ljust(80, "x") for name in ("HS256", "HS384", "HS512")}
CLAIMS = {"tenant": "demo", "sub": "jane", "email": "j@x", "role": "EXPLOIT"}
JANE = Caller(Tenant("demo"), "j@x", "EXPLOIT")


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_key(name: str) -> str:
    der = rsa_key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


@cache
def verifier() -> TokenVerifier:
    rsa_keys = {name: public_key(name) for name in ("RS256", "RS384", "RS512")}
    return TokenVerifier({**HMAC_KEYS, **rsa_keys})


def token(algorithm: str = "HS512", key: Any = None, **claims: Any) -> str:
    every = {**CLAIMS, "exp": int(time.time()) + 60, **claims}
    kept = {name: value for name, value in every.items() if value is not None}
    if key is None:
        key = HMAC_KEYS[algorithm] if algorithm in HMAC_KEYS else rsa_key(algorithm)
    return jwt.encode(kept, key, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512"])
def test_six_algorithms(algorithm: str) -> None:
    """Each with its own key."""
    assert verifier().verify(token(algorithm)) == JANE


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"iss": "regards"},
        {"aud": "anybody"},
        {"iat": int(time.time()) + 3600},
        {"accessGroups": ["public"]},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_claims_that_do_not_matter(claims: dict[str, Any]) -> None:
    """What REGARDS doesn't write is neither asked for nor judged."""
    assert verifier().verify(token(**claims)) == JANE


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(CLAIMS)}."


def signed_with_public_key() -> str:
    """HMAC with the bytes of a public key, which everybody knows; no library signs that."""
    message = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(CLAIMS)}"
    secret = base64.b64decode(public_key("RS256"))
    digest = hmac.digest(secret, message.encode(), "sha256")
    return f"{message}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{part({**CLAIMS, 'role': 'PROJECT_ADMIN'})}.{signature}"


REFUSED: dict[str, Callable[[], str]] = {
    "none": unsigned,
    "ES256": lambda: token("ES256", ec.generate_private_key(ec.SECP256R1())),
    "PS256": lambda: token("PS256", rsa_key("RS256")),
    "expired": lambda: token(exp=int(time.time()) - 1),
    "forged": lambda: token(key="x" * 80),
    "key of another algorithm": lambda: token("HS256", HMAC_KEYS["HS512"]),
    "public key as secret": signed_with_public_key,
    "cut": lambda: token()[:-10],
    "tampered": tampered,
    "no tenant": lambda: token(tenant=None),
    "no sub": lambda: token(sub=None),
    "no email": lambda: token(email=None),
    "no role": lambda: token(role=None),
    "empty email": lambda: token(email=""),
    "number as role": lambda: token(role=7),
    "list as email": lambda: token(email=["j@x"]),
    "empty": lambda: "",
    "dots": lambda: "..",
    "text": lambda: "not a token",
    "not ASCII": lambda: "é.è.ê",
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_tokens_that_are_refused(make: Callable[[], str]) -> None:
    """Whatever is wrong with a token, it ends here, and nothing of it is repeated."""
    bad = make()

    with pytest.raises(InvalidToken) as raised:
        verifier().verify(bad)

    assert not bad or bad not in str(raised.value)


def test_algorithms_without_key() -> None:
    """A blank key is no key."""
    only = TokenVerifier({"HS512": HMAC_KEYS["HS512"], "HS256": " "})

    assert only.verify(token()) == JANE
    for algorithm in ("HS256", "RS256"):
        with pytest.raises(InvalidToken):
            only.verify(token(algorithm))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"RS256": "not base64!"}, "RS256 key isn't the base64"),
        ({"RS384": base64.b64encode(b"not a key").decode()}, "RS384 key isn't the base64"),
        ({"ES256": "x"}, "ES256 is no algorithm"),
        (
            {
                "RS512": base64.b64encode(
                    ec.generate_private_key(ec.SECP256R1())
                    .public_key()
                    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                ).decode()
            },
            "RS512 key isn't an RSA key",
        ),
    ],
    ids=["not base64", "not DER", "other algorithm", "other kind"],
)
def test_keys_that_cannot_be_used(keys: dict[str, str], text: str) -> None:
    """The start stops with a line that names the algorithm, and not the key."""
    with pytest.raises(ValueError, match=text) as raised:
        TokenVerifier(keys)

    assert next(iter(keys.values())) not in str(raised.value) or keys == {"ES256": "x"}

"""Valid tokens are accepted and all others rejected (rest.md 2.2)."""

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
from rs_order.rest.tokens import InvalidToken, TokenVerifier

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
    all_claims = {**CLAIMS, "exp": int(time.time()) + 60, **claims}
    payload = {name: value for name, value in all_claims.items() if value is not None}
    if key is None:
        key = HMAC_KEYS[algorithm] if algorithm in HMAC_KEYS else rsa_key(algorithm)
    return jwt.encode(payload, key, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512"])
def test_tokens_of_all_six_algorithms_are_accepted(algorithm: str) -> None:
    """Each algorithm has a key of its own."""
    assert verifier().verify(token(algorithm)) == JANE


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "regards"},
        {"jti": 5},
        {"aud": "another-service"},
        {"iat": int(time.time()) + 3600},
        {"accessGroups": ["public"]},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_claims_that_regards_does_not_write_are_ignored(claims: dict[str, Any]) -> None:
    """A token with such a claim is accepted, whatever the claim's value is."""
    assert verifier().verify(token(**claims)) == JANE


def test_tokens_without_expiry_need_the_permission_of_the_operator() -> None:
    """By default they are rejected, because a stolen one would be valid for ever."""
    accepting = TokenVerifier(HMAC_KEYS, without_expiry=True)

    assert accepting.verify(token(exp=None)) == JANE
    with pytest.raises(InvalidToken, match="expired"):
        accepting.verify(token(exp=int(time.time()) - 1))
    with pytest.raises(InvalidToken, match="no claim exp"):
        verifier().verify(token(exp=None))


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(CLAIMS)}."


def signed_with_hmac(secret: bytes, algorithm: str = "HS256", **header: Any) -> str:
    """Return a token signed with any secret and any header, which no library would sign."""
    message = f"{part({'alg': algorithm, 'typ': 'JWT', **header})}.{part(CLAIMS)}"
    digest = hmac.digest(secret, message.encode(), f"sha{algorithm[-3:]}")
    return f"{message}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def public_key_as_secret(algorithm: str, form: str) -> str:
    """Return a token signed with a public key as HMAC secret, in one of the key's encodings."""
    text = public_key(f"RS{algorithm[-3:]}")
    key = rsa_key(f"RS{algorithm[-3:]}").public_key()
    forms = {
        "DER": base64.b64decode(text),
        "base64": text.encode(),
        "PEM": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }
    return signed_with_hmac(forms[form], algorithm)


def with_key_inside() -> str:
    """Return a token signed with an unknown key that is in the token's own header."""
    secret = b"s" * 80
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(secret).decode()}
    return signed_with_hmac(secret, "HS512", jwk=jwk, kid="1", jku="https://x/keys")


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{part({**CLAIMS, 'role': 'PROJECT_ADMIN'})}.{signature}"


REJECTED: dict[str, Callable[[], str]] = {
    "none": unsigned,
    "ES256": lambda: token("ES256", ec.generate_private_key(ec.SECP256R1())),
    "PS256": lambda: token("PS256", rsa_key("RS256")),
    "PS512": lambda: token("PS512", rsa_key("RS512")),
    "no algorithm": lambda: f"{part({'typ': 'JWT'})}.{part(CLAIMS)}.",
    "a list of algorithms": lambda: f"{part({'alg': ['HS512']})}.{part(CLAIMS)}.{'A' * 86}",
    "an algorithm in lower case": lambda: signed_with_hmac(HMAC_KEYS["HS512"].encode(), "hs512"),
    "None": lambda: f"{part({'alg': 'None'})}.{part(CLAIMS)}.",
    "HS512 without a signature": lambda: f"{part({'alg': 'HS512'})}.{part(CLAIMS)}.",
    "a key of its own": with_key_inside,
    "a critical extension": lambda: signed_with_hmac(
        HMAC_KEYS["HS512"].encode(), "HS512", crit=["x"], x=1
    ),
    "expired": lambda: token(exp=int(time.time()) - 1),
    "forged": lambda: token(key="x" * 80),
    "key of another algorithm": lambda: token("HS256", HMAC_KEYS["HS512"]),
    "cut": lambda: token()[:-10],
    "tampered": tampered,
    "no tenant": lambda: token(tenant=None),
    "no sub": lambda: token(sub=None),
    "no email": lambda: token(email=None),
    "no role": lambda: token(role=None),
    "empty email": lambda: token(email=""),
    "empty tenant": lambda: token(tenant=""),
    "expiry that is no time": lambda: token(exp="tomorrow"),
    "no expiry": lambda: token(exp=None),
    "expiry that is never": lambda: token(exp=float("inf")),
    "U+0000 in the tenant": lambda: token(tenant="de\0mo"),
    "U+0000 in sub": lambda: token(sub="\0"),
    "half a surrogate pair in the email": lambda: token(email="j\ud800@x"),
    "half a surrogate pair in the role": lambda: token(role="\udfff"),
    "half a surrogate pair as algorithm": lambda: signed_with_hmac(b"x", alg="\ud800"),
    "a head that is nested too deep": lambda: (
        f"{base64.urlsafe_b64encode(b'[' * 30_000).decode()}.e30."
    ),
    "number as role": lambda: token(role=7),
    "list as email": lambda: token(email=["j@x"]),
    "empty": lambda: "",
    "dots": lambda: "..",
    "text": lambda: "not a token",
    "not ASCII": lambda: "é.è.ê",
}


@pytest.mark.parametrize("make", REJECTED.values(), ids=REJECTED)
def test_bad_tokens_are_rejected(make: Callable[[], str]) -> None:
    """The error text doesn't contain the token."""
    bad = make()

    with pytest.raises(InvalidToken) as raised:
        verifier().verify(bad)

    assert not bad or bad not in str(raised.value)


ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512")


@pytest.mark.parametrize(
    ("named", "signed_for"),
    [(a, b) for a in ALGORITHMS for b in ALGORITHMS if a != b and a[:2] == b[:2]],
)
def test_a_key_is_valid_for_its_own_algorithm_only(named: str, signed_for: str) -> None:
    """A token that is signed with the key of another algorithm of the same kind is rejected."""
    key = HMAC_KEYS[signed_for] if named.startswith("HS") else rsa_key(signed_for)

    with pytest.raises(InvalidToken):
        verifier().verify(token(named, key))


@pytest.mark.parametrize("form", ["DER", "base64", "PEM"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_never_used_as_a_secret(algorithm: str, form: str) -> None:
    """This also holds if only the public key is set and no HMAC key."""
    only_rsa = TokenVerifier({f"RS{algorithm[-3:]}": public_key(f"RS{algorithm[-3:]}")})
    forged = public_key_as_secret(algorithm, form)

    for one in (verifier(), only_rsa):
        with pytest.raises(InvalidToken):
            one.verify(forged)


def test_rsa_tokens_are_rejected_if_only_hmac_keys_are_set() -> None:
    only_hmac = TokenVerifier(HMAC_KEYS)

    with pytest.raises(InvalidToken):
        only_hmac.verify(token("RS256"))


def test_algorithms_without_a_key_are_rejected() -> None:
    """A blank key counts as no key."""
    only_hs512 = TokenVerifier({"HS512": HMAC_KEYS["HS512"], "HS256": " "})

    assert only_hs512.verify(token()) == JANE
    for algorithm in ("HS256", "RS256"):
        with pytest.raises(InvalidToken):
            only_hs512.verify(token(algorithm))


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
def test_invalid_keys_are_rejected(keys: dict[str, str], text: str) -> None:
    """The error names the algorithm and doesn't contain the key."""
    with pytest.raises(ValueError, match=text) as raised:
        TokenVerifier(keys)

    assert next(iter(keys.values())) not in str(raised.value) or keys == {"ES256": "x"}

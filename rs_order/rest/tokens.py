"""Verifies REGARDS tokens locally (rest.md 2.2)."""

import base64
import binascii
import math
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt
from cachetools import LRUCache
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from jwt.types import Options

from rs_order.contracts.wire import storable
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant

HMAC_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512")
_MANDATORY_CLAIMS: Final = ("tenant", "sub", "email", "role")
_UNVERIFIED: Final[Options] = {
    "verify_aud": False,
    "verify_iss": False,
    "verify_iat": False,
    "verify_jti": False,
    "verify_sub": False,
}
"""Claims that REGARDS doesn't write, or only as the name of the user (rest.md 2.2), in any form."""


_REMEMBERED: Final = 1000
"""Tokens that were accepted and are remembered; the least recently used ones are forgotten first."""


class InvalidToken(Exception):
    """A token can't be accepted. The text gives the reason and contains nothing of the token."""

    code = "invalid-token"


class TokenVerifier:
    """Verifies tokens with the keys that the platform's services share."""

    def __init__(self, keys: Mapping[str, str], *, without_expiry: bool = False) -> None:
        """Take the keys by algorithm, as the properties ``jwt.signing-key.*`` contain them.

        The secret of an HS algorithm is the UTF-8 encoding of its key. The key of an RS algorithm is a
        public key: base64 of its X.509 DER. An algorithm without a key, or with a blank one, isn't accepted.
        Tokens that never expire are accepted only if ``without_expiry`` is set.

        Raises:
            ValueError: an algorithm or a key is invalid. The text names the algorithm.
        """
        self._keys = {
            algorithm: _usable_key(algorithm, key) for algorithm, key in keys.items() if key.strip()
        }
        self._options: Options = {**_UNVERIFIED, "require": [] if without_expiry else ["exp"]}
        self._verified: LRUCache[str, tuple[Caller, float]] = LRUCache(_REMEMBERED)
        """Callers, and the times from which on their tokens are expired."""

    def verify(self, token: str) -> Caller:
        """Return the caller that the token identifies. A token that was accepted isn't read again.

        Raises:
            InvalidToken: the token is forged or expired, has an algorithm without key, lacks a claim, or
                has one that can't be stored.
        """
        known = self._verified.get(token)
        if known is not None and time.time() < known[1]:
            return known[0]
        claims = self._claims(token)
        tenant, _, email, role = (_text_claim(claims, name) for name in _MANDATORY_CLAIMS)
        caller = Caller(Tenant(tenant), email, role)
        self._verified[token] = caller, int(claims["exp"]) if "exp" in claims else math.inf
        return caller

    def seconds_left(self, token: str) -> float:
        """Return how long a token is still valid; 0 if it isn't."""
        try:
            self.verify(token)
        except InvalidToken:
            return 0
        return self._verified[token][1] - time.time()

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            key = self._keys.get(str(algorithm))
            if key is None:
                raise InvalidToken("the token is signed in a way this service doesn't accept")
            # Allow only the algorithm that belongs to the key, so that a public key is never used as an
            # HMAC secret.
            return jwt.decode(token, key, algorithms=[str(algorithm)], options=self._options)
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"the token has no claim {error.claim}") from error
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("the token has expired") from error
        except jwt.PyJWTError as error:
            raise InvalidToken("the token can't be trusted") from error


def _text_claim(claims: Mapping[str, Any], name: str) -> str:
    """Return a mandatory claim.

    Raises:
        InvalidToken: it is missing, empty or no text, or has a character that no text column stores.
    """
    claim = claims.get(name)
    if not isinstance(claim, str) or not claim:
        raise InvalidToken(f"the token has no claim {name}")
    try:
        return storable(claim)
    except ValueError as error:
        raise InvalidToken(f"the claim {name} is invalid: {error}") from error


def _usable_key(algorithm: str, key: str) -> bytes | RSAPublicKey:
    if algorithm in HMAC_ALGORITHMS:
        return key.encode()
    if algorithm not in RSA_ALGORITHMS:
        raise ValueError(
            f"{algorithm} is no algorithm for tokens; the supported ones are "
            f"{', '.join(HMAC_ALGORITHMS + RSA_ALGORITHMS)}"
        )
    try:
        public_key = load_der_public_key(base64.b64decode("".join(key.split()), validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the {algorithm} key isn't the base64 of a DER public key") from error
    if not isinstance(public_key, RSAPublicKey):
        raise ValueError(f"the {algorithm} key isn't an RSA key")  # noqa: TRY004 - a wrong value
    return public_key

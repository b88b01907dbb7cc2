"""Builds the verifier of REGARDS tokens and the issuer of order tokens from the keys that are set."""

import structlog

from rs_order.downloads.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.ports import Clock, OrderTokens
from rs_order.rest.tokens import TokenVerifier
from rs_order.settings import DEVELOPMENT_KEY, PREFIX, Settings, SettingsError

log = structlog.get_logger(__name__)


def token_verifier(settings: Settings) -> TokenVerifier:
    """Return the verifier of the callers' tokens.

    Raises:
        SettingsError: a key is invalid, or the key of HS512 isn't set. The text names the variable.
    """
    if settings.signing_key == DEVELOPMENT_KEY:
        log.warning("development-key", variable=f"{PREFIX}JWT_KEY_HS512")
    for algorithm, key in settings.token_keys.items():
        try:
            TokenVerifier({algorithm: key})
        except ValueError as error:
            raise SettingsError(f"{PREFIX}JWT_KEY_{algorithm}: {error}") from error
    return TokenVerifier(settings.token_keys, without_expiry=settings.tokens_without_expiry)


def order_tokens(settings: Settings, clock: Clock) -> OrderTokens:
    """Return the issuer of order tokens, which let their bearers download an order without an account."""
    if settings.order_secret is None:
        return NoOrderTokens()
    return JwtOrderTokens(settings.order_secret.get_secret_value(), clock)

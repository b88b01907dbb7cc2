"""What tokens are checked and made with, by the keys that are set."""

from rs_order.downloads.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.ports import Clock, OrderTokens
from rs_order.rest.tokens import TokenVerifier
from rs_order.settings import PREFIX, Settings, SettingsError


def token_verifier(settings: Settings) -> TokenVerifier:
    """What tells who calls.

    Raises:
        SettingsError: a key that can't be used; names its variable.
    """
    for algorithm, key in settings.token_keys.items():
        try:
            TokenVerifier({algorithm: key})
        except ValueError as error:
            raise SettingsError(f"{PREFIX}JWT_KEY_{algorithm}: {error}") from error
    return TokenVerifier(settings.token_keys)


def order_tokens(settings: Settings, clock: Clock) -> OrderTokens:
    """What opens an order to whoever has its token."""
    if settings.order_secret is None:
        return NoOrderTokens()
    return JwtOrderTokens(settings.order_secret.get_secret_value(), clock)

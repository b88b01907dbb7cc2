"""The identities of outgoing calls (remote-services.md 1.5)."""

from datetime import timedelta

import jwt
import pytest

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.regards.http import TokenIssuer
from tests.regards.conftest import DEMO, KEY
from tests.support.clock import ManualClock


def claims(token: str) -> dict[str, object]:
    """Return the claims of a token with a valid signature. The tests check the expiry themselves."""
    return dict(jwt.decode(token, KEY, algorithms=["HS512"], options={"verify_exp": False}))


def test_system_token(clock: ManualClock) -> None:
    """The service itself, with exactly the claims of REGARDS."""
    issuer = TokenIssuer(KEY, now=clock.monotonic)

    assert claims(issuer.system(DEMO)) == {
        "tenant": "demo",
        "sub": "rs-order",
        "email": "rs-order",
        "role": "ROLE_SYS_rs-order",
        "exp": 7200,
    }


def test_other_identities(clock: ManualClock) -> None:
    """A user with the given role, a downloader with a role that reads every file, and the instance."""
    issuer = TokenIssuer(KEY, now=clock.monotonic)

    def identity(token: str) -> tuple[object, ...]:
        return tuple(claims(token)[name] for name in ("tenant", "email", "role"))

    assert identity(issuer.on_behalf(Caller(DEMO, "j@x", "EXPLOIT"))) == ("demo", "j@x", "EXPLOIT")
    assert identity(issuer.downloader(DEMO, "j@x")) == ("demo", "j@x", "PROJECT_ADMIN")
    assert identity(issuer.instance()) == ("instance", "rs-order", "INSTANCE_ADMIN")


def test_tokens_are_reused_until_shortly_before_they_expire(clock: ManualClock) -> None:
    """A token is always valid for at least another minute."""
    issuer = TokenIssuer(KEY, validity_seconds=600, now=clock.monotonic)
    first = issuer.system(DEMO)
    clock.ahead = timedelta(seconds=539)
    assert first == issuer.system(DEMO)
    clock.ahead = timedelta(seconds=541)

    assert claims(issuer.system(DEMO))["exp"] == 541 + 600
    assert issuer.system(DEMO) != issuer.system(Tenant("project1"))


def test_a_validity_below_the_margin_is_rejected() -> None:
    """Such a token could never be used."""
    with pytest.raises(ValueError, match="more than 60 s, not 30 s"):
        TokenIssuer(KEY, validity_seconds=30)

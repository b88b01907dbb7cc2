"""Proofs of forms, and places to which a sign-in leads back."""

import pytest

from rs_order.console.order_acts import place_of
from rs_order.console.sessions import form_proof


def test_the_proof_of_a_form_is_of_one_browser_and_one_user() -> None:
    proofs = {
        form_proof("secret", "project1\njane"),
        form_proof("secret", "project1\njohn"),
        form_proof("other", "project1\njane"),
    }

    assert len(proofs) == 3
    assert form_proof("secret", "project1\njane") in proofs


@pytest.mark.parametrize(
    ("back", "place"),
    [
        ("orders/12?state=ERROR", "orders/12?state=ERROR"),
        ("", "my-orders"),
        ("//evil.example", "my-orders"),
        ("/elsewhere", "my-orders"),
        ("../actuator/health", "my-orders"),
    ],
)
def test_an_act_leads_back_to_a_page_of_the_console(back: str, place: str) -> None:
    assert place_of(back) == place

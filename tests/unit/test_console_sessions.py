"""Wrong passwords, proofs of forms, and places to which a sign-in leads back."""

import pytest

from rs_order.console.order_acts import place_of
from rs_order.console.sessions import WrongPasswords, form_proof
from tests.support.clock import ManualClock


def test_the_sixth_wrong_password_within_a_minute_waits() -> None:
    clock = ManualClock()
    wrong = WrongPasswords(clock.monotonic)
    for _ in range(5):
        assert wrong.wait("project1", "jane") == 0
        wrong.count("project1", "jane")
        clock.move(seconds=2)

    assert wrong.wait("project1", "jane") == 50
    assert wrong.wait("project1", "JANE") == 50
    clock.move(seconds=50)
    assert wrong.wait("project1", "jane") == 0


def test_wrong_passwords_count_by_project_and_name() -> None:
    wrong = WrongPasswords(ManualClock().monotonic)
    for _ in range(5):
        wrong.count("project1", "jane")

    assert wrong.wait("project2", "jane") == 0
    assert wrong.wait("project1", "john") == 0
    assert wrong.wait("project1", "jane") > 0


def test_a_correct_password_forgets_the_wrong_ones() -> None:
    wrong = WrongPasswords(ManualClock().monotonic)
    for _ in range(5):
        wrong.count("project1", "jane")
    wrong.forget("project1", "jane")

    assert wrong.wait("project1", "jane") == 0


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

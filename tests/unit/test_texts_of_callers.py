"""Texts of callers can be repeated in answers and log lines, even with invalid characters (F15)."""

import json

from rs_order.logs import event_as_json
from rs_order.rest.errors import messages_answer


def test_an_answer_replaces_half_a_surrogate_pair() -> None:
    answer = messages_answer(404, "There is no j\ud800")

    assert json.loads(bytes(answer.body)) == {"messages": ["There is no j?"]}


def test_a_log_line_has_half_a_surrogate_pair() -> None:
    event = {"user": "j\ud800", "number": 2**70}

    assert json.loads(event_as_json(event)) == event

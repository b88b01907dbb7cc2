"""What the pages of dead letters compute."""

from rs_order.console.letters import (
    Fault,
    Line,
    body_text,
    difference,
    faults_of,
    pairs,
    same_body,
    short_queue,
    with_faults,
)


def test_json_is_indented_and_anything_else_stays() -> None:
    assert body_text('{"a":"é"}'.encode()) == '{\n  "a": "é"\n}'
    assert body_text(b"\xff not JSON") == "\\xff not JSON"
    assert body_text(b"[" * 100_000) == "[" * 100_000


def test_a_body_that_a_browser_sends_back_unchanged_is_the_same() -> None:
    body = b'{"a":1}'

    assert same_body('{\r\n  "a": 1\r\n}', body)
    assert not same_body('{\r\n  "a": 2\r\n}', body)


def test_a_difference_has_both_texts() -> None:
    assert difference("a\nb", "a\nc") == [Line("", "a"), Line("-", "b"), Line("+", "c")]
    assert difference("a\n" * 5000, "a") is None


def test_a_fault_stands_at_its_member() -> None:
    faults = faults_of(["queries: must be a list", "the body is no object"])

    assert faults == [Fault("queries", "must be a list"), Fault("", "the body is no object")]
    text = '{\n  "user": "jane",\n  "queries": "x"\n}'
    lines = with_faults(text, faults)
    assert [len(wrong) for _, wrong in lines] == [1, 0, 1, 0]
    assert with_faults("", faults)[0][1] == faults


def test_queues_of_the_platform_have_their_last_name() -> None:
    assert short_queue("regards.broadcast.x.OrderRequestEventHandler") == "OrderRequestEventHandler"
    assert short_queue("rs-order.steps") == "rs-order.steps"


def test_headers_are_texts() -> None:
    assert pairs({"b": {"x": 1}, "a": "t", "c": None}) == [("a", "t"), ("b", '{"x": 1}')]

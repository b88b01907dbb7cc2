"""Checks corrected bodies of dead letters against the contracts of messages and steps."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import ValidationError

from rs_order.consumers.batches import UnreadableBodyError, faults_of, read_body
from rs_order.contracts.wire import WireModel
from rs_order.core.steps import UnknownStep, read_step, step_class
from rs_order.dead_letters.acts import BodyCheck

Message = TypeVar("Message", bound=WireModel)


def message_check(
    model: type[Message], invalid: Callable[[Message], str | None] = lambda _: None
) -> BodyCheck:
    """Return the check of a queue's messages.

    Args:
        model: the class that bodies are parsed into.
        invalid: returns why a message is rejected, or None if it is valid.
    """

    def check(body: bytes) -> Sequence[str]:
        try:
            reason = invalid(model.model_validate(read_body(body)))
        except UnreadableBodyError as error:
            return [str(error)]
        except ValidationError as error:
            return faults_of(error)
        return [reason] if reason else []

    return check


def step_check(body: bytes) -> Sequence[str]:
    """Check the body of a step."""
    try:
        content = read_body(body)
        read_step(step_class(content), content)
    except (UnreadableBodyError, UnknownStep) as error:
        return [str(error)]
    except ValidationError as error:
        return faults_of(error)
    return []

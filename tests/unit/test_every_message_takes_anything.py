"""Every message of a peer is handled or becomes a dead letter with a reason, whatever its body is."""

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

import rs_order.app.application  # noqa: F401 - registers every step
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Outcome
from rs_order.consumers.batches import (
    Batches,
    NotifyFailures,
    Received,
    UnreadableBodyError,
    read_body,
)
from rs_order.contracts.order_messages import OrderCancelRequest, OrderRequest
from rs_order.contracts.platform_messages import (
    FileReferenceEvent,
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
    TenantConnectionEvent,
    TenantEvent,
)
from rs_order.contracts.processing_messages import ExecutionResultEvent, ProcessRightsEvent
from rs_order.contracts.wire import WireModel
from rs_order.core.steps import StepQueue, UnknownStep, read_step, step_class, step_names
from rs_order.domain.ids import Tenant
from rs_order.orders.order_end import invalid_cancel_request
from rs_order.requests.accept import invalid_order_request
from tests.support.mutations import RAW, VALUES

CONTRACTS: dict[type[WireModel], Any] = {
    OrderRequest: invalid_order_request,
    OrderCancelRequest: invalid_cancel_request,
    **dict.fromkeys(
        (
            FileReferenceEvent,
            ExecutionResultEvent,
            ProcessRightsEvent,
            RoleEvent,
            ResourceAccessEvent,
            ResourceAccessInit,
            TenantEvent,
            TenantConnectionEvent,
        ),
        lambda _: None,
    ),
}
EXPECTED = {DeadLetterReason.NOT_CONVERTED_MESSAGE, DeadLetterReason.INVALID_MESSAGE}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
quick = settings(max_examples=60, derandomize=True, database=None, deadline=None)


class OneTenant:
    """Implements ``ServedTenants``."""

    def serves(self, _: str) -> bool:
        return True

    def is_inactive(self, _: str) -> bool:
        return False

    def names(self) -> Sequence[Tenant]:
        return [Tenant("project1")]

    async def load(self) -> None:
        """Know all tenants already."""


class NoNotifications:
    async def notify(self, _: object) -> None:
        """Send nothing."""


def bodies(members: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Return objects with these members, other JSON, and what is no JSON."""
    objects = st.fixed_dictionaries({}, optional=dict.fromkeys(members, JSON))
    encoded = (objects | JSON).map(lambda value: json.dumps(value).encode())
    return encoded | st.binary() | st.sampled_from(RAW)


def handled_or_dead(
    model: type[WireModel], invalid: Callable[[Any], str | None], body: bytes
) -> None:
    handled: list[Received[Any]] = []

    async def handle(_: Tenant, messages: Sequence[Received[Any]]) -> None:
        handled.extend(messages)

    failures = cast("NotifyFailures", NoNotifications())
    batches = Batches(model, handle, OneTenant(), failures, invalid=invalid)
    delivery = Delivery(body=body, headers={"regards.tenant": "project1"}, queue="q")
    (outcome,) = result_of(batches([delivery]))

    if isinstance(outcome, DeadLetter):
        assert outcome.reason in EXPECTED
        assert outcome.detail
    assert len(handled) == (not isinstance(outcome, DeadLetter))


def result_of(handling: Coroutine[Any, Any, Sequence[Outcome]]) -> Sequence[Outcome]:
    """Run a coroutine that waits for nothing, which needs no event loop."""
    with pytest.raises(StopIteration) as ended:
        handling.send(None)
    return cast("Sequence[Outcome]", ended.value.value)


@pytest.mark.parametrize("model", CONTRACTS, ids=lambda model: model.__name__)
def test_any_body(model: type[WireModel]) -> None:
    members = [field.alias or name for name, field in model.model_fields.items()]

    @quick
    @given(body=bodies(members))
    def check(body: bytes) -> None:
        handled_or_dead(model, CONTRACTS[model], body)

    check()


@quick
@given(
    name=st.sampled_from(sorted(name for queue in StepQueue for name in step_names(queue))),
    data=st.data(),
)
def test_any_step(name: str, data: st.DataObject) -> None:
    """It is read, or one of the three errors that the consumer expects says why not."""
    kind = step_class({"step": name})
    optional = dict.fromkeys(map(to_camel, kind.__dataclass_fields__), JSON)
    members = data.draw(st.fixed_dictionaries({}, optional=optional))
    try:
        body = read_body(json.dumps(members | {"step": name}).encode())
        assert isinstance(read_step(step_class(body), body), kind)
    except (UnreadableBodyError, UnknownStep, ValidationError):
        return

"""Group ids of restore requests name the sub-order that asked, and errors are matched by them."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.contracts.platform_messages import AVAILABILITY_ERROR, FileReferenceEvent
from rs_order.domain.group_ids import asking_sub_order, group_id
from rs_order.domain.ids import Checksum, SubOrderId
from rs_order.scheduling.restoration import Rejections

Groups = list[SubOrderId | None] | str | None
FIRST, SECOND = SubOrderId(7), SubOrderId(8)
FILE = Checksum("c" * 32)


@given(st.integers(min_value=1, max_value=2**62 - 1))
def test_a_group_id_is_a_uuid_that_names_its_sub_order(number: int) -> None:
    one, other = group_id(SubOrderId(number)), group_id(SubOrderId(number))

    assert one != other
    assert one.version == 8
    assert asking_sub_order(str(one)) == number


@pytest.mark.parametrize(
    "group",
    [
        "0b7f1f1e-6c0e-4e5c-9f7c-3a4f3d1d2b10",
        "0b7f1f1e-6c0e-8e5c-9f7c-3a4f3d1d2b10",
        "72737f1e-6c0e-4e5c-9f7c-3a4f3d1d2b10",
        "",
        "group",
        "0" * 32,
        "ü",
    ],
)
def test_other_group_ids_name_none(group: str) -> None:
    assert asking_sub_order(group) is None


@pytest.mark.parametrize(
    ("events", "askers"),
    [
        ([[FIRST]], {FILE: {FIRST}}),
        ([[FIRST, SECOND]], {FILE: {FIRST, SECOND}}),
        ([[FIRST], [SECOND]], {FILE: {FIRST, SECOND}}),
        ([[FIRST, None]], {}),
        ([[FIRST], []], {}),
        ([[]], {}),
        (["nonsense"], {}),
        ([None], {}),
    ],
)
def test_an_error_concerns_those_whose_requests_it_names(
    events: list[Groups],
    askers: dict[Checksum, set[SubOrderId]],
) -> None:
    """It concerns everybody if it names no request, or one that isn't ours."""
    rejections = Rejections()
    for event in events:
        rejections.add(
            FileReferenceEvent(
                type=AVAILABILITY_ERROR, checksum=FILE, message="broken", groups=wire_form(event)
            )
        )

    assert rejections.reasons == {FILE: "broken"}
    assert rejections.askers() == askers


def wire_form(groups: Groups) -> Any:
    """Return group ids as an event has them; None: the id of another service."""
    if not isinstance(groups, list):
        return groups
    return [str(uuid4() if one is None else group_id(one)) for one in groups]

"""How ranges came true: shares over periods, and by storage (faces.md Y-12)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rs_order.contracts.calibration_bodies import CalibrationDto
from rs_order.domain.calibration import Period, calibrate
from rs_order.domain.estimates import Range, Sample
from tests.support.clock import NOW

HOUR = timedelta(hours=1)


def sample(hours_ago: float, took: float, storage: str | None = "tape", **members: Any) -> Sample:
    """Return a sub-order that was expected within 1000 to 3000 s and settled so long ago."""
    settled = NOW - hours_ago * HOUR
    one = Sample(settled - timedelta(seconds=took), settled, 10, 2000.0, Range(1000.0, 3000.0))
    return replace(one, storage=storage, **members)


def test_shares_over_periods_and_by_storage() -> None:
    old = [sample(24 * 8 - number / 100, 5000) for number in range(500)]
    week = [sample(50, 2000), sample(49, 999)]
    day = [
        sample(3, 2000),
        sample(2, 3001),
        sample(1, 2000, "disk"),
        sample(0, 9, None, expected=None),
    ]
    found = calibrate([*old, *week, *day], NOW)
    body = CalibrationDto.of("project1", found, NOW).to_wire()

    assert body["periods"][:2] == [
        {
            "period": "last-24-hours",
            "ranges": 3,
            "inside": 2,
            "early": 0,
            "late": 1,
            "none": 1,
            "share": 0.667,
            "medianWidthSeconds": 2000,
            "medianRatio": 3.0,
        },
        {
            "period": "last-7-days",
            "ranges": 5,
            "inside": 3,
            "early": 1,
            "late": 1,
            "none": 1,
            "share": 0.6,
            "medianWidthSeconds": 2000,
            "medianRatio": 3.0,
        },
    ]
    assert (found.together[Period.LAST].ranges, found.together[Period.LAST].inside) == (500, 0.006)
    assert "level" not in body
    assert body["samples"] == 500
    assert {one["storage"]: one["periods"][0]["ranges"] for one in body["storages"]} == {
        "disk": 1,
        "tape": 2,
    }


def test_nothing_was_given() -> None:
    found = calibrate([], NOW)
    body = CalibrationDto.of("project1", found, NOW).to_wire()

    assert [one["ranges"] for one in body["periods"]] == [0, 0, 0]
    assert all("share" not in one for one in body["periods"])
    assert body["storages"] == []

"""How expected times came true, for operators (faces.md Y-12)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, WireModel
from rs_order.domain.calibration import Calibration, Period, Share
from rs_order.domain.estimates import Outcome


class PeriodDto(WireModel):
    """How the ranges came true that were given when sub-orders were asked of storage."""

    model_config = ConfigDict(populate_by_name=True)

    period: Period = Field(
        description="By the end of the sub-orders. `last-500` counts those with a range."
    )
    ranges: int = Field(description="Sub-orders that had a range.", examples=[214])
    inside: int = Field(examples=[187])
    early: int = Field(examples=[9])
    late: int = Field(examples=[18])
    none: int = Field(description="Sub-orders without a range.", examples=[6])
    share: float | None = Field(
        None, description="`inside` / `ranges`; absent without a range.", examples=[0.874]
    )
    median_width_seconds: int | None = Field(
        None, alias="medianWidthSeconds", description="Of the ranges.", examples=[5400]
    )
    median_ratio: float | None = Field(
        None,
        alias="medianRatio",
        description="The upper end of a range divided by its lower end.",
        examples=[2.6],
    )

    @classmethod
    def of(cls, period: Period, share: Share) -> "PeriodDto":
        width, ratio = share.median_width, share.median_ratio
        return cls(
            period=period,
            ranges=share.ranges,
            inside=share.outcomes[Outcome.INSIDE],
            early=share.outcomes[Outcome.EARLY],
            late=share.outcomes[Outcome.LATE],
            none=share.outcomes[Outcome.NONE],
            share=None if share.inside is None else round(share.inside, 3),
            median_width_seconds=None if width is None else round(width),
            median_ratio=None if ratio is None else round(ratio, 2),
        )


class StorageCalibrationDto(WireModel):
    """The ranges of sub-orders from one storage."""

    storage: str = Field(
        description="As the last event of a sub-order named it.", examples=["tape-1"]
    )
    periods: list[PeriodDto]


class CalibrationDto(WireModel):
    """How the expected times of a project came true."""

    model_config = ConfigDict(populate_by_name=True)

    tenant: str = Field(examples=["project1"])
    computed_at: Instant = Field(alias="computedAt")
    level: float | None = Field(
        None,
        description="The level that users see; absent: it is too low, or there are too few ranges, and no"
        " range is shown.",
        examples=[0.85],
    )
    samples: int = Field(
        description="The number of ranges that the level is measured from.", examples=[214]
    )
    periods: list[PeriodDto] = Field(description="Of all storages together.")
    storages: list[StorageCalibrationDto]

    @classmethod
    def of(cls, tenant: str, found: Calibration, now: Instant) -> "CalibrationDto":
        return cls(
            tenant=tenant,
            computed_at=now,
            level=found.experience.level,
            samples=found.experience.outcomes,
            periods=_periods(found.together),
            storages=[
                StorageCalibrationDto(storage=storage, periods=_periods(shares))
                for storage, shares in found.by_storage.items()
            ],
        )


def _periods(shares: dict[Period, Share]) -> list[PeriodDto]:
    return [PeriodDto.of(period, share) for period, share in shares.items()]

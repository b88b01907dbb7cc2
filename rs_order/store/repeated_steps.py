"""Steps that failed, or whose work stands still: how often each was written again, and why it failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rs_order.domain.ids import OrderId
from rs_order.store.pool import Connection, Row, statements

SQL = statements("repeated_steps")

LONGEST_PAUSE = timedelta(days=1)
"""Between two times that the reconciler writes the same step."""


@dataclass(frozen=True, slots=True)
class StalledWork:
    """Work that has no step, as it seems."""

    step: str
    """The name of its step."""
    subject: str
    """The members of the step."""
    order_id: OrderId | None = None
    progress: str | None = None
    """The progress of the work, if the members don't have it."""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that had failed and is done now, or needn't be done any more."""

    step: str
    subject: str
    order_id: OrderId | None


class RepeatedSteps:
    """The failed steps and the stalled work of a tenant."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def note_stalled(
        self,
        stalled: Sequence[StalledWork],
        now: datetime,
        *,
        until: datetime,
        known_since: datetime,
        pause: timedelta,
    ) -> set[tuple[str, str]]:
        """Note stalled work, and return step and subject of what must be written again.

        Args:
            stalled: distinct work.
            now: when it was found.
            until: what was noted until then has had its time.
            known_since: what was last found before is noted as if for the first time.
            pause: after which a step may be written the second time; the next pauses are longer.
        """
        if not stalled:
            return set()
        rows = await self._connection.fetch(
            SQL["note_stalled"],
            [one.step for one in stalled],
            [one.subject for one in stalled],
            [one.progress for one in stalled],
            [one.order_id for one in stalled],
            now,
            until,
            known_since,
            pause,
            LONGEST_PAUSE,
        )
        return {(row["step"], row["subject"]) for row in rows if row["due"]}

    async def any_unconfirmed(self, steps: Sequence[str], since: datetime) -> bool:
        """True if stalled work of these steps was noted since then."""
        return bool(await self._connection.fetchval(SQL["any_unconfirmed"], steps, since))

    async def note_failure(
        self,
        step: str,
        subjects: Sequence[str],
        order_id: OrderId | None,
        *,
        cause: str,
        detail: str,
        now: datetime,
    ) -> bool:
        """Note that a step failed. True if it is its first failure with this cause."""
        rows = await self._connection.fetch(
            SQL["note_failure"], step, subjects, order_id, cause, detail, now
        )
        return any(row["failures"] == 1 for row in rows)

    async def forget(self, step: str, subjects: Sequence[str]) -> list[FailedStep]:
        """Forget a step that was done. Return it if it had failed."""
        return _failed(await self._connection.fetch(SQL["forget"], step, subjects))

    async def forget_unseen(self, steps: Sequence[str], since: datetime) -> list[FailedStep]:
        """Forget the steps of work that wasn't found stalled since then. Return those that had failed."""
        return _failed(await self._connection.fetch(SQL["forget_unseen"], steps, since))

    async def forget_old(self, before: datetime) -> None:
        """Forget what didn't happen again since ``before``."""
        await self._connection.fetch(SQL["forget_old"], before)


def _failed(rows: Sequence[Row]) -> list[FailedStep]:
    return [
        FailedStep(row["step"], row["subject"], row["order_id"]) for row in rows if row["failures"]
    ]

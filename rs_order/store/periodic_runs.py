"""Work that is repeated, such as the purge of the inbox: each run happens once."""

from datetime import datetime

from rs_order.store.pool import Connection, statements

SQL = statements("periodic_runs")


class PeriodicRuns:
    """The number of the last run of each kind of periodic work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(
        self, name: str, number: int, next_at: datetime | None, schedule: str | None = None
    ) -> bool:
        """Count a run. False if it isn't the next one, because it was counted before.

        Args:
            name: of the work.
            number: of the run.
            next_at: when the following run is due; None: there will be none.
            schedule: that the following run is planned by.
        """
        run = await self._connection.fetchval(SQL["begin"], name, number, schedule, next_at)
        return run is not None

    async def reschedule(self, name: str, schedule: str, next_at: datetime | None) -> int | None:
        """Cancel the planned run, by counting it, if it was planned by another schedule.

        Return the run number to continue from, or None if the schedule is unchanged.
        """
        run: int | None = await self._connection.fetchval(
            SQL["reschedule"], name, schedule, next_at
        )
        return run

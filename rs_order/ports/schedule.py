"""When something happens again and again."""

from datetime import datetime
from typing import Protocol


class Schedule(Protocol):
    """Instants by a rule."""

    @property
    def text(self) -> str:
        """The rule as an operator wrote it; another text is another rule."""
        ...

    def after(self, at: datetime) -> datetime:
        """The first instant later than this one."""
        ...

"""How a remote service can let us down. A verdict is final; trouble is asked again (decisions.md, AMQP).

RemoteError
├── RemoteRefusal      4xx: the service understood and said no
└── RemoteTrouble      5xx, refused connection, no answer: nobody said anything yet
    └── RemoteNonsense an answer that doesn't keep the service's contract
"""


class RemoteError(Exception):
    """A remote service did not give what was asked of it."""

    code = "remote-error"

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.detail = detail


class RemoteRefusal(RemoteError):
    """The service understood the call and refused it (4xx)."""

    code = "remote-refusal"

    def __init__(self, service: str, status: int, detail: str) -> None:
        super().__init__(service, detail)
        self.status = status


class RemoteTrouble(RemoteError):
    """The service is down, too slow, or failed (5xx); asking again later may help."""

    code = "remote-trouble"

    def __init__(self, service: str, detail: str, status: int | None = None) -> None:
        """``status``: of the answer in which the service said so; None when no answer came."""
        super().__init__(service, detail)
        self.status = status

    @property
    def answered(self) -> bool:
        return self.status is not None


class RemoteNonsense(RemoteTrouble):
    """The service answered 200 with something its contract doesn't allow."""

    code = "remote-nonsense"

    @property
    def answered(self) -> bool:
        return True

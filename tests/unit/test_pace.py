"""A limit on the intake of order requests slows them down, and rejects none."""

from rs_order.consumers.pace import Pace


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def test_messages_wait_for_those_before_them() -> None:
    """After a time without messages, the first ones don't wait."""
    time = Time()
    pace = Pace(10, sleep=time.sleep, now=time)

    for messages in (10, 5, 1):
        await pace.wait(messages)
    assert time.slept == [1.0, 0.5]

    time.now += 60
    await pace.wait(10)
    assert time.slept == [1.0, 0.5]
    time.now += 0.25
    await pace.wait(1)
    assert time.slept == [1.0, 0.5, 0.75]

"""Measures several sides in turn, so that what changes on the machine meanwhile concerns all of them."""

from collections.abc import Awaitable, Callable, Mapping

ROUNDS = 5
"""The fewest rounds of a full run."""
QUICK_ROUNDS = 1


def rounds_of(quick: bool) -> int:
    """Return how many rounds a run has."""
    return QUICK_ROUNDS if quick else ROUNDS


async def interleaved(
    rounds: int, sides: Mapping[str, Callable[[], Awaitable[float]]]
) -> dict[str, tuple[float, ...]]:
    """Measure every side once per round (A B A B …), and return the samples of each side by its name."""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            samples[name].append(await measure())
    return {name: tuple(values) for name, values in samples.items()}

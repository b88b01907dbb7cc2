"""The media types that a client accepts (RFC 9110, 12.5.1)."""

import re
from typing import Final

_WEIGHT: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


def quality(accept: str, media_type: str) -> float:
    """Return how much a client wants a media type, from 0 (not at all) to 1; the closest range counts.

    Args:
        accept: the header ``Accept``. What can't be read in it counts as 1.
        media_type: without parameters, in lower case.
    """
    main_type = media_type.partition("/")[0]
    ranges = dict(_range(one) for one in accept.split(","))
    for name in (media_type, f"{main_type}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [one.removeprefix("q=") for one in parameters if one.startswith("q=")]
    readable = bool(weights) and _WEIGHT.fullmatch(weights[0])
    return name, float(weights[0]) if readable else 1

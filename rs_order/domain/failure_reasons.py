"""The reasons of failed downloads, as sentences for the user (domain.md 11.1, rest.md 10.3).

The sentences of the contract are verbatim; the others are for failures without a text in the contract.
"""

from typing import Final

QUOTA_EXCEEDED: Final = "Download failed due to exceeded quota"
"""For a 429 without a text of its own."""
NO_ANSWER: Final = "Server returned no content"
"""rs-storage or rs-dam could not be reached, or did not respond."""
PARTS_DIFFER: Final = (
    "Storage delivers another content than before; the file will be read as a whole"
)
"""The parts of a file that were read at different times don't make up the file."""
PARTS_DISPROVED: Final = (
    "Wrong content: parts of it that were sent before aren't those of the catalog"
)
TRANSFER_FAILED: Final = "Error during file download"
"""An external file could not be opened or read to its end."""
NO_CHECKSUM: Final = "The file has no checksum to ask storage for"
NOT_ALLOWED: Final = "The service may not read files at this address"


def bad_status(status: int) -> str:
    return f"Server returned HTTP error code {status}"


def short_read(received: int, expected: int | None) -> str:
    """Return the reason for a transfer that ended early; ``expected`` is None if the size is unknown."""
    size = "?" if expected is None else expected
    return f"Cannot completely download data file from storage, only {received}/{size} bytes"


def short_retrieval(sent: int, expected: int | None) -> str:
    """Return the same reason for a file that was downloaded by itself (domain.md 11.2, D2)."""
    size = "?" if expected is None else expected
    return f"Cannot completely retrieve data file from storage, only {sent}/{size} bytes"


def too_long(expected: int) -> str:
    return f"Wrong content: more than the {expected} bytes of the catalog"


def wrong_checksum(algorithm: str, received: str, expected: str) -> str:
    return f"Wrong content: {algorithm} is {received} instead of {expected}"

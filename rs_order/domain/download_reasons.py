"""The sentences that tell a user why he didn't get a file (domain.md 11.1, rest.md 10.3).

Those of the contract are verbatim; the others say what the contract has no words for.
"""

from typing import Final

QUOTA_EXCEEDED: Final = "Download failed due to exceeded quota"
"""Said when a 429 gives no text of its own."""
NO_ANSWER: Final = "Server returned no content"
"""Storage or dam couldn't be reached, or never answered."""
TRANSFER_FAILED: Final = "Error during file download"
"""An external file couldn't be read, or not to its end."""
NO_CHECKSUM: Final = "The file has no checksum to ask storage for"
NOT_ALLOWED: Final = "The service may not read files at this address"


def bad_status(status: int) -> str:
    return f"Server returned HTTP error code {status}"


def short_read(received: int, expected: int | None) -> str:
    """Bytes that came of the bytes there should have been; None when nobody said how many."""
    size = "?" if expected is None else expected
    return f"Cannot completely download data file from storage, only {received}/{size} bytes"


def short_retrieval(sent: int, expected: int | None) -> str:
    """The same of a file that was downloaded by itself (domain.md 11.2, D2)."""
    size = "?" if expected is None else expected
    return f"Cannot completely retrieve data file from storage, only {sent}/{size} bytes"


def too_long(expected: int) -> str:
    return f"Wrong content: more than the {expected} bytes of the catalog"


def wrong_checksum(algorithm: str, received: str, expected: str) -> str:
    return f"Wrong content: {algorithm} is {received} instead of {expected}"

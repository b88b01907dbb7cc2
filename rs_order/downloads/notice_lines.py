"""The lines of ``NOTICE.txt`` (rest.md 10.3)."""

from rs_order.downloads.entry_names import one_line


def failed_line(name: str, reason: str) -> bytes:
    """Return the line about a file that isn't in the archive, or isn't right in it."""
    return f"Failed to download file ({one_line(name)}): {one_line(reason)}.".encode()


def unverifiable_line(name: str, reason: str) -> bytes:
    """Return the line about a file whose checksum can't be checked."""
    return f"Checksum of file ({one_line(name)}) not checked: {one_line(reason)}.".encode()

"""How hard to compress a file, judged by its name."""

from typing import Final

ONLY_WRAPPED: Final = 0
LIGHT: Final = 1
"""A third of the time of zlib's default for nearly its gain."""

_ALREADY_COMPRESSED: Final = frozenset(
    {
        *("7z", "bz2", "gz", "lz4", "rar", "tgz", "tbz", "txz", "xz", "z", "zip", "zst"),
        *("avif", "gif", "j2k", "jp2", "jpeg", "jpg", "jpx", "png", "webp"),
        *("docx", "fz", "h5z", "laz", "pdf", "pptx", "safe", "xlsx"),
        *("avi", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "ogg", "webm"),
    }
)


def level_for(name: str) -> int:
    """The zlib level for a file."""
    extension = name.rpartition(".")[2].lower()
    return ONLY_WRAPPED if extension in _ALREADY_COMPRESSED else LIGHT

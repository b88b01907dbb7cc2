"""Lets the operator edit the body of a message with their editor."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson

from rs_order.cli.failures import CommandFailed
from rs_order.core.errors import InvalidInput


def edited_body(body: bytes, check: Callable[[bytes], None]) -> bytes:
    """Return the body as the operator saved it in ``$VISUAL`` or ``$EDITOR``.

    Args:
        body: is indented in the editor if it is JSON.
        check: raises InvalidInput for a body that breaks the contract.

    Raises:
        CommandFailed: the editor failed, nothing was changed, or the body breaks the contract. Then the text
            names the file that keeps the work.
    """
    file = _file_with(_indented(body))
    before = file.read_bytes()
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603 - the operator's own editor
    except (OSError, subprocess.CalledProcessError) as error:
        raise CommandFailed(
            f"The editor {editor!r} failed: {error}. Nothing was changed"
        ) from error
    after = file.read_bytes()
    if after == before:
        file.unlink()
        raise CommandFailed("The body is the same; nothing was changed")
    try:
        check(after)
    except InvalidInput as error:
        raise CommandFailed(
            f"{'; '.join(error.messages)}. Nothing was changed. Correct {file} and pass it with --body"
        ) from error
    file.unlink()
    return after


def _file_with(content: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(prefix="dead-letter-", suffix=".json")
    os.close(descriptor)
    file = Path(name)
    file.write_bytes(content)
    return file


def _indented(body: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    except orjson.JSONDecodeError:
        return body

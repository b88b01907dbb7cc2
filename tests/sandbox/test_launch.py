"""``serve`` in a process of its own, and archives that can't be served."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import httpx
import pytest

from rs_order.sandbox.archive_folder import ArchiveError
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions

_COMMAND = """
import asyncio, functools
from rs_order.sandbox import SandboxOptions, serve
asyncio.run(serve(SandboxOptions(), functools.partial(print, flush=True)))
"""


async def test_serve_prints_its_addresses_and_stops_on_sigterm() -> None:
    """It prints a line with the variable of each service; SIGTERM ends it with exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COMMAND, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode().strip() for _ in range(15)]
    variables = dict(line.split("=", 1) for line in lines if line.startswith("RS_ORDER_"))
    async with httpx.AsyncClient(timeout=60) as http:
        status = (await http.get(variables["RS_ORDER_CATALOG_URL"] + "/x")).status_code
    process.send_signal(signal.SIGTERM)
    code = await process.wait()

    assert set(variables) == {
        "RS_ORDER_JWT_KEY_HS512",
        "RS_ORDER_CATALOG_URL",
        "RS_ORDER_CATALOG_STAC_URL",
        "RS_ORDER_AUTHENTICATION_URL",
        "RS_ORDER_TOKEN_URL",
        "RS_ORDER_STORAGE_URL",
        "RS_ORDER_DAM_URL",
        "RS_ORDER_PROCESSING_URL",
        "RS_ORDER_EXTERNAL_ALLOWED_NETWORKS",
        "RS_ORDER_FILE_URL_FOLDERS",
        "RS_ORDER_ADMIN_URL",
        "RS_ORDER_ADMIN_INSTANCE_URL",
    }
    assert (status, code) == (401, 0)
    assert variables["RS_ORDER_JWT_KEY_HS512"] == f"'{DEVELOPMENT_KEY}'"
    assert any("public development key" in line for line in lines)


def _manifest(path: str, size: int) -> str:
    file = {
        "type": "RAWDATA",
        "filename": "a",
        "path": path,
        "size": size,
        "mimeType": "text/plain",
        "location": "online",
        "md5": "0" * 32,
    }
    product = {"providerId": "P", "urn": "URN:AIP:DATA:demo:p:V1", "files": [file]}
    dataset = {"id": "D", "label": "d", "urn": "URN:AIP:DATASET:demo:d:V1", "products": [product]}
    return json.dumps({"datasets": [dataset]})


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "can't be read"),
        ("{}", "malformed at datasets"),
        (_manifest("missing", 1), "missing is listed"),
        (_manifest("there", 99), "doesn't have the 99 bytes"),
    ],
)
def test_bad_archive_is_rejected(tmp_path: Path, manifest: str | None, message: str) -> None:
    (tmp_path / "there").write_bytes(b"abc")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)

    with pytest.raises(ArchiveError, match=message):
        Sandbox(SandboxOptions(archive=tmp_path), processing_folder=tmp_path)

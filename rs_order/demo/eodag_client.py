"""Let eodag order a product, as a scientist does who has the configuration of their project."""

import asyncio
import hashlib
import os
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import httpx

from rs_order.demo.user_tokens import UserTokens
from rs_order.demo.zip_verification import DownloadFailed
from rs_order.domain.identity import SERVICE

PASSWORD = "orbit"  # noqa: S105 - that of every user of the sandbox
_PROGRAM = Path(__file__).with_name("eodag_program.py")
_ACCOUNT = "  auth: &auth\n"
"""The line of the configuration below which the account of the user stands."""


class EodagClient:
    """Runs eodag for users of one tenant."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        service: str,
        tokens: UserTokens,
        *,
        python: Path | None,
        folder: Path,
    ) -> None:
        """Create a client.

        Args:
            client: downloads the configuration.
            service: address of rs_order.
            tokens: of the users.
            python: has eodag; None: there is none.
            folder: for configurations and products.
        """
        self._client = client
        self._service = service
        self._tokens = tokens
        self._python = python
        self._folder = folder

    async def download(
        self, tenant: str, user: str, collection: str, urn: str, seconds: float
    ) -> Mapping[str, str]:
        """Search, order and download a product. Return the MD5 of each of its files, by name.

        Raises:
            DownloadFailed: eodag failed, or took more than ``seconds``.
        """
        home = self._folder / uuid4().hex
        await self._configure(home, user)
        process = await asyncio.create_subprocess_exec(
            *(str(self._python), str(_PROGRAM)),
            *(f"regards_{tenant}", str(home / "products"), collection, urn),
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(home),
                "EODAG_EXT_COLLECTIONS_CFG_FILE": "",
            },
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(seconds):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise DownloadFailed(f"eodag took more than {seconds:g} s") from None
        if process.returncode != 0:
            last = (errors.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
            raise DownloadFailed(f"eodag failed: {last}")
        return await asyncio.to_thread(_files_below, Path(output.decode().splitlines()[-1]))

    async def _configure(self, home: Path, user: str) -> None:
        """Download the configuration of eodag, and add the account of the user."""
        address = f"{self._service}/api/v1/{SERVICE}/stac/eodag.yml"
        answer = await self._client.get(address, headers=self._tokens.headers(user))
        if answer.status_code != httpx.codes.OK:
            raise DownloadFailed(f"{address} answered {answer.status_code}: {answer.text[:200]}")
        account = f"{_ACCOUNT}    credentials: {{username: {user}, password: {PASSWORD}}}\n"
        path = home / ".config/eodag/eodag.yml"
        path.parent.mkdir(parents=True)
        path.write_text(answer.text.replace(_ACCOUNT, account), encoding="utf-8")


def _files_below(path: Path) -> dict[str, str]:
    return {
        file.name: hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }

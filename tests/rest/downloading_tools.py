"""Runs download tools on the lists of an order, in a folder."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.rest.conftest import HOST
from tests.support.tools import Tool, program

LIST = "list"
"""The file that a list is saved as."""


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    status: int
    output: str


@dataclass(frozen=True)
class Desk:
    """A folder in which a user saves lists and runs tools."""

    api: httpx.AsyncClient
    base_url: str
    folder: Path

    async def save_list(self, address: str, **query: str) -> None:
        """Save a list as ``list``, with the addresses of the tested service."""
        answer = await self.api.get(address, params=query)
        assert answer.status_code == 200, answer.text
        self.write(LIST, answer.text.replace(HOST, self.base_url))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def list_text(self) -> str:
        return (self.folder / LIST).read_text(encoding="utf-8")

    async def run(self, tool: Tool, *arguments: str) -> Ended:
        """Run a tool in the folder, without the settings and proxies of the user."""
        process = await asyncio.create_subprocess_exec(
            *(await program(tool), *arguments),
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return Ended(process.returncode or 0, output.decode(errors="replace"))

    def downloaded(self) -> dict[str, bytes]:
        """Return the contents of all files in the folder by path, without the list."""
        return {
            path: file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and (path := str(file.relative_to(self.folder))) != LIST
        }

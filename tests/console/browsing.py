"""What visitors do with a browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, ViewportSize

from rs_order.sandbox.user_directory import PASSWORD
from tests.acceptance.platform import Platform

DESK = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=360, height=740)
TENANT = "project1"
EXPECTED_COMPLAINTS = ("Failed to load resource", "Response Status Error Code 4")
"""What Chromium itself writes about a status of 400 or more, and htmx about one below 500."""


@dataclass
class Visitor:
    """A browser with cookies of its own, and the page that it shows."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    """Errors in the browser's console, such as those about the content security policy."""

    @classmethod
    @asynccontextmanager
    async def at(
        cls, browser: Browser, url: str, size: ViewportSize = DESK, **options: Any
    ) -> AsyncIterator["Visitor"]:
        settings = {"locale": "en-GB", "timezone_id": "Europe/Paris", **options}
        context = await browser.new_context(base_url=url, viewport=size, **settings)
        page = await context.new_page()
        page.set_default_timeout(15_000)
        visitor = cls(page, url)
        page.on("console", visitor._hear)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        yield visitor
        await context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED_COMPLAINTS):
            self.complaints.append(message.text)

    async def go(self, path: str = "") -> int:
        """Open a page of the console, and return the status of the answer."""
        answer = await self.page.goto(f"/console/{path}")
        return answer.status if answer else 0

    async def sign_in(
        self, name: str, password: str = PASSWORD, project: str = TENANT, *, to: str = ""
    ) -> None:
        await self.go(to)
        await self.fill_sign_in(name, password, project)

    async def fill_sign_in(
        self, name: str, password: str = PASSWORD, project: str = TENANT
    ) -> None:
        await self.page.locator("#project").fill(project)
        await self.page.locator("#name").fill(name)
        await self.page.locator("#password").fill(password)
        await self.page.locator("main form button").click()
        await self.page.wait_for_load_state()

    async def text(self, selector: str = "main") -> str:
        return await self.page.locator(selector).inner_text()

    async def violations(self) -> list[str]:
        """Return what axe-core finds on the page, at each place."""
        found = await Axe().run(self.page)
        return [
            f"{one['id']}: {node['html']}"
            for one in found.response["violations"]
            for node in one["nodes"]
        ]

    async def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        pixels: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return pixels


def proof_in(page: str) -> str:
    """Return the proof that the forms of a page contain."""
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found is not None, page
    return found[1]


@asynccontextmanager
async def session(
    here: Platform, email: str, role: str = "REGISTERED_USER", tenant: str = TENANT, **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that is signed in, for what no browser would send."""
    token = here.sandbox.token(email, role, tenant)
    async with httpx.AsyncClient(
        base_url=here.url,
        cookies={"rs-order-session": token},
        headers=headers,
        timeout=60,
        trust_env=False,
    ) as client:
        yield client

"""Takes pictures of the pages of the console, as `scripts/demo --console` shows them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, ViewportSize, async_playwright
from rich.console import Console

from rs_order.demo.console_scene import ADMINISTRATOR, USER
from rs_order.demo.demo_platform import TENANT
from rs_order.demo.report import Report
from rs_order.demo.run_demo import Options, prepared_console
from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE
from rs_order.sandbox.user_directory import PASSWORD
from tests.support.tools import CHROMIUM, program

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
DESK: Final = ViewportSize(width=1100, height=720)
PHONE: Final = ViewportSize(width=360, height=720)


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    path: str
    """Of the page, below the console."""
    user: str = USER
    size: ViewportSize | None = None
    dark: bool = False
    link: str | None = None
    """A link to follow on this page, by its text."""
    search: str | None = None
    """A search to enter on this page, of which the picture shows the quote."""


PICTURES: Final = (
    Picture("console-my-orders", "my-orders"),
    Picture("console-order", "my-orders", link="EVE irradiance, all levels"),
    Picture("console-order-phone", "my-orders", size=PHONE, dark=True, link="EIT full disk"),
    Picture("console-new-order", "new-order", search="dataset:(GOES_XRS OR SDO_HMI)"),
    Picture("console-overview", "overview", ADMINISTRATOR),
    Picture("console-orders", "orders", ADMINISTRATOR, dark=True),
    Picture("console-queue", "queue", ADMINISTRATOR),
    Picture("console-standing", "standing", ADMINISTRATOR),
    Picture("console-settings", "settings", ADMINISTRATOR),
    Picture("console-projects", "projects", ADMINISTRATOR),
    Picture("console-audit", "audit", ADMINISTRATOR, dark=True),
    Picture("console-dead-letters", "dead-letters", ADMINISTRATOR),
    Picture("console-dead-letter", "dead-letters", ADMINISTRATOR, link="Its content can't be read"),
)


async def main() -> None:
    with Report(Console()) as report:
        async with (
            prepared_console(Options(BUNDLED_ARCHIVE), report) as platform,
            async_playwright() as playwright,
        ):
            chromium = await playwright.chromium.launch(
                executable_path=await program(CHROMIUM), args=["--no-sandbox"]
            )
            for picture in PICTURES:
                await _take(chromium, platform.scene.address, picture)
            await chromium.close()


async def _take(chromium: Browser, address: str, picture: Picture) -> None:
    context = await chromium.new_context(
        viewport=picture.size or DESK,
        locale="en-GB",
        timezone_id="Europe/Paris",
        color_scheme="dark" if picture.dark else "light",
    )
    page = await context.new_page()
    await _sign_in(page, f"{address}{picture.path}", picture.user)
    if picture.link is not None:
        await page.get_by_role("link", name=picture.link).first.click()
        await page.wait_for_load_state()
    if picture.search is not None:
        await page.locator("#queries").fill(picture.search)
        await page.locator("form[action$='/quotes'] button").click()
        await page.wait_for_url("**/quotes/*")
    await page.screenshot(path=FOLDER / f"{picture.name}.png")
    await context.close()


async def _sign_in(page: Page, address: str, user: str) -> None:
    await page.goto(address)
    await page.locator("#project").fill(TENANT)
    await page.locator("#name").fill(user)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("main form button").click()
    await page.wait_for_url(address)


if __name__ == "__main__":
    asyncio.run(main())

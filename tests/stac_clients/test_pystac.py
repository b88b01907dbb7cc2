"""pystac-client and pystac read orders, their items and the files in them (faces.md 2.8, acceptance)."""

from pathlib import Path
from typing import Any

import httpx

from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user, until_rows
from tests.stac_clients.conftest import ran
from tests.stac_clients.test_eodag import EVE_01
from tests.support.polling import eventually

EVE_02 = "URN:AIP:DATA:project1:62d365de-1059-5bce-82bf-025fc6b569d4:V1"
A_THOUSAND = 1000


async def ordered(here: Platform, email: str, items: list[str]) -> int:
    """Order items, again if the catalog didn't answer in time: the machine may be busy."""

    async def answered() -> httpx.Response | None:
        answer = await client.post("/stac/orders", json={"items": items})
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

    async with here.client(email) as client:
        answer = await eventually(answered, "an answer of the catalog", seconds=60)
    assert answer.status_code == 201, answer.text
    order = int(answer.json()["order:id"])
    await until_rows(here, "select from orders where id = $1 and status = 'DONE'", order)
    return order


async def read(here: Platform, python: Path, email: str, order: int) -> dict[str, Any]:
    landing = f"{here.url}/api/v1/rs-order/stac"
    token = here.sandbox.token(email, "REGISTERED_USER", "project1")
    return await ran(python, "pystac_program.py", landing, token, f"order-{order}")


async def test_an_order(here: Platform, clients_python: Path) -> None:
    """It is a collection; its items are found, and their files are whole."""
    jane = new_user(here)
    order = await ordered(here, jane, [EVE_01, EVE_02])
    seen = await read(here, clients_python, jane, order)

    assert seen["warnings"] == []
    assert seen["orders"] == [f"order-{order}"]
    assert seen["status"] == "succeeded"
    assert seen["assets"] == ["archive", "archive-tar", "manifest", "metalink"]
    assert seen["items"] == seen["searched"] == sorted([EVE_01, EVE_02])
    assert seen["files"] == {
        name: {"size": True, "checksum": True} for name in ("eve_01.txt", "eve_02.txt")
    }
    assert all(one["expires"] and one["checksums"] for one in seen["extensions"])
    assert all(size > 0 for one in seen["extensions"] for size in one["sizes"])
    assert sorted(seen["validated"]) == sorted([f"order-{order}", EVE_01, EVE_02])
    for schemas in seen["validated"].values():
        assert schemas["core"] == "valid"
        assert set(schemas.values()) <= {"valid", "no schema"}


async def test_a_thousand_items(here: Platform, clients_python: Path) -> None:
    """One order of a thousand products, read in pages."""
    jane = new_user(here)
    await here.sandbox.add_dataset(SyntheticDataset(name="THOUSAND", products=A_THOUSAND, size=10))
    order = await ordered(
        here, jane, [f"SYN_THOUSAND_{number:07}" for number in range(1, A_THOUSAND + 1)]
    )
    seen = await read(here, clients_python, jane, order)

    assert len(set(seen["items"])) == A_THOUSAND
    assert len(set(seen["searched"])) == A_THOUSAND
    assert all(file == {"size": True, "checksum": True} for file in seen["files"].values())

"""Settings of a project (rest.md 11.1, domain.md 14.1)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user

DEFAULTS = {
    "user_order_parameters": {"subOrderDuration": 240, "delayBeforeEmailNotification": 72},
    "app_sub_order_duration": 2,
    "expiration_max_duration_in_hours": 168,
    "eodag_client_basic": "",
    "stac_item_ids": "urn",
    "webhook_allowed_hosts": [],
    "zip_mode": "resumable",
}
APP = "app_sub_order_duration"
USER = "user_order_parameters"
EXPIRATION = "expiration_max_duration_in_hours"
ZIP_MODE = "zip_mode"
WRONG_USER = (
    "parameter [user order parameters] must have a valid positive delayBeforeEmailNotification "
    "<= subOrderDuration."
)


@pytest.fixture
async def admin(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an administrator; settings have their defaults before and after."""
    async with here.client("admin@example.org", "ADMIN") as client:
        yield client
        for name in DEFAULTS:
            await client.delete(f"/settings/{name}")


async def settings(client: httpx.AsyncClient, query: str = "") -> dict[str, dict[str, Any]]:
    answer = await client.get(f"/settings{query}")
    assert answer.status_code == 200, answer.text
    return {item["content"]["name"]: item for item in answer.json()}


async def put(client: httpx.AsyncClient, name: str, value: object) -> httpx.Response:
    return await client.put(f"/settings/{name}", json={"value": value})


def rels(item: dict[str, Any]) -> list[str]:
    return [link["rel"] for link in item["links"]]


async def test_settings_are_a_plain_array_of_wrapped_settings(admin: httpx.AsyncClient) -> None:
    """Each has a description, default and value, and the links that the interface uses."""
    answer = await admin.get("/settings")

    items = {item["content"]["name"]: item for item in answer.json()}
    assert {name: item["content"]["value"] for name, item in items.items()} == DEFAULTS
    base = str(admin.base_url)
    assert items[USER] == {
        "content": {
            "name": USER,
            "description": "Parameters for User order (in hours)",
            "defaultValue": DEFAULTS[USER],
            "value": DEFAULTS[USER],
        },
        "links": [
            {"rel": "self", "href": f"{base}/settings"},
            {"rel": "update", "href": f"{base}/settings/{USER}"},
        ],
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"?names={APP}", {APP}),
        (f"?names={APP}&names={EXPIRATION}", {APP, EXPIRATION}),
        (f"?names={APP},{EXPIRATION}", {APP, EXPIRATION}),
        ("?names=unknown", set()),
        ("?names=", set(DEFAULTS)),
    ],
)
async def test_settings_by_name(admin: httpx.AsyncClient, query: str, found: set[str]) -> None:
    """``names`` is repeated or comma separated."""
    assert set(await settings(admin, query)) == found


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        (APP, 3, 3),
        (APP, 3.0, 3),
        (APP, "3", 3),
        (APP, "3.0", 3),
        (APP, 0, 0),
        (EXPIRATION, " 24 ", 24),
        (ZIP_MODE, " compact", "compact"),
        (
            USER,
            {"subOrderDuration": "48", "delayBeforeEmailNotification": 24.0},
            {"subOrderDuration": 48, "delayBeforeEmailNotification": 24},
        ),
        (
            USER,
            {"subOrderDuration": 1, "delayBeforeEmailNotification": 1, "more": "ignored"},
            {"subOrderDuration": 1, "delayBeforeEmailNotification": 1},
        ),
    ],
)
async def test_a_value_is_converted_and_kept(
    admin: httpx.AsyncClient, name: str, value: object, taken: object
) -> None:
    """The frontend sends edited fields as text; the response and later reads have numbers."""
    answer = await put(admin, name, value)

    assert (answer.status_code, answer.json()["content"]["value"]) == (200, taken)
    item = (await settings(admin))[name]
    assert item["content"]["value"] == taken
    assert item["content"]["defaultValue"] == DEFAULTS[name]
    assert rels(item) == ["self", "update", "reset"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (APP, -1, "parameter [suborder creation] must be a valid positive number"),
        (EXPIRATION, 0, "parameter [expiration max duration] must be a valid positive number."),
        (ZIP_MODE, "tar", "parameter [zip mode] must be resumable or compact."),
        (USER, {"subOrderDuration": 24, "delayBeforeEmailNotification": 0}, WRONG_USER),
        (USER, {"subOrderDuration": 24, "delayBeforeEmailNotification": 25}, WRONG_USER),
    ],
)
async def test_a_value_that_breaks_the_rule(
    admin: httpx.AsyncClient, name: str, value: object, message: str
) -> None:
    """422 with the texts of domain.md 14.1; nothing changes."""
    answer = await put(admin, name, value)

    assert answer.status_code == 422
    assert answer.json() == {
        "messages": [f"Invalid Tenant Setting: {name}. Cause: [invalid.setting.value] {message}"]
    }
    assert (await settings(admin))[name]["content"]["value"] == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (APP, "soon"),
        (APP, ""),
        (APP, 3.5),
        (APP, "3.5"),
        (APP, True),
        (APP, None),
        (APP, []),
        (APP, 10**12),
        (APP, "9" * 400),
        (APP, {"subOrderDuration": 1}),
        (USER, 3),
        (USER, {"subOrderDuration": 24}),
        (USER, {"subOrderDuration": [], "delayBeforeEmailNotification": 1}),
    ],
)
async def test_a_value_that_cannot_be_converted(
    admin: httpx.AsyncClient, name: str, value: object
) -> None:
    """422 with a message that names the setting, where the reference answers 500."""
    answer = await put(admin, name, value)

    assert answer.status_code == 422
    (message,) = answer.json()["messages"]
    assert message.startswith(f"Invalid Tenant Setting: {name}. Cause: [invalid.setting.value] ")


async def test_only_the_value_of_a_body_is_read(admin: httpx.AsyncClient) -> None:
    """The frontend sends the whole setting; name and default of the body are ignored."""
    answer = await admin.put(
        f"/settings/{APP}",
        json={"name": EXPIRATION, "defaultValue": 9, "description": [], "value": "4", "x": None},
    )

    assert answer.json()["content"] == {
        "name": APP,
        "description": "Sub order duration for applicative orders (in hours)",
        "defaultValue": 2,
        "value": 4,
    }


async def test_an_equal_value_changes_nothing(here: Platform, admin: httpx.AsyncClient) -> None:
    """Three spellings of one value cause a single write; the row stays the first one."""
    versions = []
    for value in (5, "5", 5.0):
        assert (await put(admin, APP, value)).status_code == 200
        versions += await here.rows("select xmin::text from setting where name = $1", APP)

    assert len({row["xmin"] for row in versions}) == 1


async def test_reset(admin: httpx.AsyncClient) -> None:
    """The default is restored, also by a second reset, and the link ``reset`` disappears."""
    await put(admin, APP, 7)

    for _ in range(2):
        answer = await admin.delete(f"/settings/{APP}")
        assert answer.status_code == 200
        assert (answer.json()["content"]["value"], rels(answer.json())) == (2, ["self", "update"])


async def test_the_default_as_a_value_needs_no_reset(admin: httpx.AsyncClient) -> None:
    """The link depends on the value only, even if the default was set explicitly."""
    await put(admin, APP, 7)

    assert rels((await put(admin, APP, 2)).json()) == ["self", "update"]


@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
async def test_an_unknown_setting(admin: httpx.AsyncClient, verb: str) -> None:
    body = {"value": 1} if verb == "PUT" else None
    answer = await admin.request(verb, "/settings/color", json=body)

    assert answer.status_code == 404
    assert answer.json()["messages"][0].startswith("There is no setting color")


@pytest.mark.parametrize(("verb", "path"), [("GET", ""), ("PUT", f"/{APP}"), ("DELETE", f"/{APP}")])
async def test_settings_are_for_administrators(here: Platform, verb: str, path: str) -> None:
    """The endpoints need ADMIN."""
    async with here.client("jane@example.org") as client:
        answer = await client.request(verb, f"/settings{path}")

    assert (answer.status_code, answer.json()) == (403, {"messages": ["Access is denied"]})


async def test_tenants_never_meet_in_settings(here: Platform, admin: httpx.AsyncClient) -> None:
    """Promise 7: one project doesn't see the settings of another."""
    await put(admin, APP, 9)

    async with here.client("admin@example.org", "ADMIN", "project2") as other:
        assert (await settings(other))[APP]["content"]["value"] == 2


async def test_new_orders_use_a_changed_setting(here: Platform, admin: httpx.AsyncClient) -> None:
    """The next automatic order uses the new value; the store reads it from the same table."""
    await put(admin, APP, "11")
    done = await here.peer.until_final(await here.peer.order(EVE_01, user=new_user(here)))

    (row,) = await here.rows(
        "select sub_order_hours from orders where id = $1", done.body["orderId"]
    )
    assert row["sub_order_hours"] == 11

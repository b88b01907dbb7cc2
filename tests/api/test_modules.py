"""The configuration as a file, readiness and restart (rest.md 11.3)."""

import json
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform

CONFIGURATION = "/microservice/configuration"
KEY = "fr.cnes.regards.framework.modules.tenant.settings.domain.DynamicTenantSetting"
APP = "app_sub_order_duration"
EXPIRATION = "expiration_max_duration_in_hours"


@pytest.fixture
async def admin(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the project's administrator; settings have their defaults before and after."""
    async with here.client("admin@example.org", "PROJECT_ADMIN") as client:
        yield client
        for name in (APP, EXPIRATION, "user_order_parameters"):
            await client.delete(f"/settings/{name}")


def item(name: str, value: object) -> dict[str, Any]:
    return {"key": KEY, "value": {"name": name, "value": value}}


def module(*items: object, id_: str = "order", reset: bool = False) -> dict[str, Any]:
    return {"module": {"id": id_}, "resetBeforeImport": reset, "configuration": list(items)}


def configuration(*modules: object) -> bytes:
    return json.dumps({"microservice": "rs-order", "modules": modules}).encode()


async def send(client: httpx.AsyncClient, file: bytes) -> httpx.Response:
    return await client.post(
        CONFIGURATION, files={"file": ("config-rs-order.json", file, "application/json")}
    )


async def values(client: httpx.AsyncClient) -> dict[str, Any]:
    return {
        found["content"]["name"]: found["content"]["value"]
        for found in (await client.get("/settings")).json()
    }


async def test_the_exported_file(admin: httpx.AsyncClient) -> None:
    """It equals the documented example exactly: values are JSON texts inside strings."""
    await admin.put(f"/settings/{APP}", json={"value": 3})

    answer = await admin.get(CONFIGURATION)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="config-rs-order.json"'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text == json.dumps(answer.json(), indent=2, ensure_ascii=False)
    exported = answer.json()
    (only,) = exported["modules"]
    assert exported["microservice"] == "rs-order"
    assert only["module"].keys() == {
        *("id", "name", "description", "version", "author", "legalOwner", "documentation")
    }
    assert (only["module"]["id"], only["module"]["version"]) == ("order", version("rs-order"))
    assert only["resetBeforeImport"] is False
    assert {exported_item["key"] for exported_item in only["configuration"]} == {KEY}
    exported_settings = {
        exported_item["value"]["name"]: exported_item["value"]
        for exported_item in only["configuration"]
    }
    assert exported_settings[APP] == {
        "name": APP,
        "description": "Sub order duration for applicative orders (in hours)",
        "value": "3",
        "defaultValue": "2",
        "className": "java.lang.Integer",
        "containsSensitiveParameters": False,
    }
    assert exported_settings["user_order_parameters"]["value"] == (
        '{"subOrderDuration":240,"delayBeforeEmailNotification":72}'
    )
    assert exported_settings["user_order_parameters"]["className"] == (
        "fr.cnes.regards.modules.order.service.settings.UserOrderParameters"
    )


async def test_an_exported_file_is_imported(admin: httpx.AsyncClient) -> None:
    """The import restores the exported values after all were changed."""
    await admin.put(f"/settings/{APP}", json={"value": 3})
    before, file = await values(admin), (await admin.get(CONFIGURATION)).content
    await admin.put(f"/settings/{APP}", json={"value": 9})
    await admin.put(f"/settings/{EXPIRATION}", json={"value": 9})

    answer = await send(admin, file)

    assert (answer.status_code, answer.content) == (201, b"")
    assert await values(admin) == before


async def test_a_file_with_valid_and_invalid_items(admin: httpx.AsyncClient) -> None:
    """206: valid items are imported, and the report lists the others with reasons."""
    answer = await send(
        admin,
        configuration(
            module(
                item(APP, "5"),
                item(EXPIRATION, "0"),
                item("color", '"red"'),
                {"key": "fr.cnes.Plugin", "value": {"name": APP, "value": "6"}},
                {"value": {"name": APP}},
                "a text",
                item(EXPIRATION, "{not json"),
                item(EXPIRATION, "[" * 100_000),
            )
        ),
    )

    assert answer.status_code == 206
    (report,) = answer.json()
    assert (report["moduleInformation"], report["onlyErrors"]) == ({"id": "order"}, False)
    reasons = [
        "item 2: Invalid Tenant Setting: expiration_max_duration_in_hours",
        "item 3: there is no setting color",
        "item 4: fr.cnes.Plugin isn't something rs-order has",
        "item 5: it isn't a setting, look at: key",
        "item 6: it isn't a setting, look at: item",
        "item 7: the value of expiration_max_duration_in_hours isn't JSON",
        "item 8: the value of expiration_max_duration_in_hours isn't JSON",
    ]
    assert [
        error.startswith(reason)
        for error, reason in zip(report["importErrors"], reasons, strict=True)
    ] == [True] * len(reasons)
    assert (await values(admin))[APP] == 5
    assert (await values(admin))[EXPIRATION] == 168


async def test_a_file_with_invalid_items_only(admin: httpx.AsyncClient) -> None:
    """409 with the reports. Nothing changes: no reset happens without a valid item."""
    await admin.put(f"/settings/{EXPIRATION}", json={"value": 24})

    answer = await send(admin, configuration(module(item(APP, "-1"), reset=True)))

    assert answer.status_code == 409
    assert answer.json()[0]["onlyErrors"] is True
    assert (await values(admin))[EXPIRATION] == 24


async def test_an_unknown_module_does_not_stop_the_others(admin: httpx.AsyncClient) -> None:
    """The unknown module is reported and ours is imported."""
    answer = await send(
        admin, configuration(module(item("x", "1"), id_="storage"), module(item(APP, "6")))
    )

    assert answer.status_code == 206
    assert answer.json() == [
        {
            "moduleInformation": {"id": "storage"},
            "importErrors": ["rs-order has no module storage; it has order"],
            "onlyErrors": True,
        },
        {"moduleInformation": {"id": "order"}, "importErrors": [], "onlyErrors": False},
    ]
    assert (await values(admin))[APP] == 6


@pytest.mark.parametrize(("reset", "kept"), [(True, 168), ("true", 168), (False, 24)])
async def test_reset_before_import(admin: httpx.AsyncClient, reset: bool | str, kept: int) -> None:
    """With ``resetBeforeImport`` the settings that the file doesn't name get their defaults."""
    await admin.put(f"/settings/{EXPIRATION}", json={"value": 24})

    answer = await send(
        admin, configuration({**module(item(APP, "6")), "resetBeforeImport": reset})
    )

    found = await values(admin)
    assert (answer.status_code, found[APP], found[EXPIRATION]) == (201, 6, kept)


@pytest.mark.parametrize(
    "value", ["7", '"7"', "7.0", 7, {"unused": 1}], ids=["text", "quoted", "decimal", "bare", "bad"]
)
async def test_forms_of_a_value(admin: httpx.AsyncClient, value: object) -> None:
    """A value may have any form that a Java service or a person writes."""
    answer = await send(admin, configuration(module(item(APP, value))))

    assert (answer.status_code, (await values(admin))[APP]) == (
        (409, 2) if isinstance(value, dict) else (201, 7)
    )


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"modules": 3}',
        b'{"microservice": "rs-catalog", "modules": []}',
    ],
)
async def test_a_file_that_is_no_configuration(admin: httpx.AsyncClient, file: bytes) -> None:
    """422 with the fault, where the reference answers 500."""
    answer = await send(admin, file)

    assert answer.status_code == 422
    assert all(message.startswith("The file is") for message in answer.json()["messages"])


async def test_an_invalid_module_does_not_stop_the_others(admin: httpx.AsyncClient) -> None:
    """It is reported like a bad item. Optional members may be null, and a byte-order mark is ignored."""
    nulls = {"module": {"id": "order"}, "resetBeforeImport": None, "configuration": None}
    file = configuration(5, {"module": None}, nulls, module(item(APP, "7")))
    answer = await send(admin, b"\xef\xbb\xbf" + file)

    assert answer.status_code == 206
    assert [len(report["importErrors"]) for report in answer.json()] == [1, 1, 0, 0]
    assert all(
        report["importErrors"][0].startswith("not a module: ") for report in answer.json()[:2]
    )
    assert (await values(admin))[APP] == 7


async def test_a_file_that_is_too_large(admin: httpx.AsyncClient) -> None:
    """413 beyond 1 MiB."""
    answer = await send(admin, configuration(module()) + b" " * 2**20)

    assert answer.status_code == 413
    assert answer.json()["messages"]


async def test_a_form_without_the_file(admin: httpx.AsyncClient) -> None:
    """A missing part, or one that isn't a file, is 400; another media type, or none, is 415."""
    missing = await admin.post(CONFIGURATION, files={"other": b"{}"})
    field = await admin.post(CONFIGURATION, files={"file": (None, b"{}")})
    as_json = await admin.post(CONFIGURATION, json={})
    nothing = await admin.post(CONFIGURATION)

    assert [answer.status_code for answer in (missing, field, as_json, nothing)] == [
        *(400, 400, 415, 415)
    ]
    assert all(answer.json()["messages"] for answer in (missing, field, as_json, nothing))


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        (f"{CONFIGURATION}/enabled", 200, b""),
        ("/microservice/ready/enabled", 200, b""),
        ("/microservice/ready", 200, b'{"ready":true,"reasons":[]}'),
        ("/microservice/restart/enabled", 501, b""),
        ("/microservice/restart", 200, b"[]"),
    ],
)
async def test_what_the_module_manager_offers(
    admin: httpx.AsyncClient, path: str, status: int, body: bytes
) -> None:
    """It offers configuration and readiness. No module can be restarted alone."""
    answer = await admin.get(path)

    assert (answer.status_code, answer.content) == (status, body)


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", CONFIGURATION),
        ("POST", CONFIGURATION),
        ("GET", f"{CONFIGURATION}/enabled"),
        ("GET", "/microservice/ready"),
        ("GET", "/microservice/ready/enabled"),
        ("GET", "/microservice/restart"),
        ("GET", "/microservice/restart/enabled"),
    ],
)
async def test_modules_are_for_administrators(here: Platform, verb: str, path: str) -> None:
    """The endpoints need PROJECT_ADMIN: even ADMIN is rejected."""
    async with here.client("admin@example.org", "ADMIN") as client:
        answer = await client.request(verb, path)

    assert (answer.status_code, answer.json()) == (403, {"messages": ["Access is denied"]})

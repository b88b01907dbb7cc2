"""Who may call what: every endpoint, every role, one's own and others' orders, this and other projects.

What is expected stands in the tables below, and is taken from nothing of the product.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Any

import httpx
import pytest

from rs_order.rest.resources import RESOURCES
from rs_order.sandbox.role_registry import Role
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.support.polling import eventually

OWN, OTHER, UNSERVED = "project1", "project2", "elsewhere"
"""Projects of the caller: the one with the orders, another one, and an unserved one."""

PUBLIC, USER, EXPLOIT, ADMIN = "PUBLIC", "REGISTERED_USER", "EXPLOIT", "ADMIN"
PROJECT_ADMIN, INSTANCE_ADMIN, SYSTEM = "PROJECT_ADMIN", "INSTANCE_ADMIN", "ROLE_SYS_rs-delivery"
OPERATOR = "OPERATOR"
"""A role of project1 only: EXPLOIT that may also read settings, but may not export orders."""
ROLES = (PUBLIC, USER, EXPLOIT, ADMIN, PROJECT_ADMIN, INSTANCE_ADMIN, OPERATOR, SYSTEM)
ALWAYS = {PROJECT_ADMIN, INSTANCE_ADMIN, SYSTEM}
GRANTED = {
    PUBLIC: {*ROLES, "NOBODY"},
    USER: {USER, EXPLOIT, ADMIN, OPERATOR, *ALWAYS},
    EXPLOIT: {EXPLOIT, ADMIN, OPERATOR, *ALWAYS},
    ADMIN: {ADMIN, *ALWAYS},
    PROJECT_ADMIN: ALWAYS,
    INSTANCE_ADMIN: ALWAYS,
}
"""The roles that may use an endpoint, by the role it is declared for (rest.md 2.3)."""


class Whose(StrEnum):
    """The conditions of an endpoint besides the role of the caller (rest.md 2.4, decisions.md)."""

    NOBODYS = "nothing: it concerns only the caller or the whole project"
    READ = "the order's owner, or PROJECT_ADMIN and INSTANCE_ADMIN"
    SEE = "the order's owner, or whoever may search all orders"
    ACT = "the order's owner, or an administrator"
    ADMINISTER = "an administrator, whether or not they are the owner"
    NAMED = "the project in the path is the caller's, or the caller is above projects"


MAY_TOUCH_OTHERS = {
    Whose.READ: {PROJECT_ADMIN, INSTANCE_ADMIN},
    Whose.SEE: GRANTED[EXPLOIT],
    Whose.ACT: ALWAYS,
    Whose.ADMINISTER: ALWAYS,
    Whose.NAMED: {INSTANCE_ADMIN, SYSTEM},
}


@dataclass(frozen=True)
class Row:
    """An endpoint: who may use it, and a call of it that does no harm."""

    default_role: str
    whose: Whose = Whose.NOBODYS
    order: str = "read"
    """The name of the order in ``Subjects.orders`` that the call is about."""
    json: Any = None
    multipart: bool = False
    of_tenant: bool = True
    """False if callers of an unserved project may use it."""


TOO_LONG = {"label": "x" * 51}
"""An invalid label, so that no order is created."""
ROWS = {
    "GET /order/basket": Row(USER),
    "DELETE /order/basket": Row(USER),
    "POST /order/basket/selection": Row(USER, json={}),
    "POST /order/basket/selection/upload": Row(USER, multipart=True),
    "PUT /order/basket/dataset/{datasetSelectionId}/updateProcessing": Row(USER),
    "PUT /order/basket/dataset/{datasetSelectionId}/updateFileFilters": Row(USER),
    "DELETE /order/basket/dataset/{datasetSelectionId}": Row(USER),
    "DELETE /order/basket/dataset/{datasetSelectionId}/{itemsSelectionDate}": Row(USER),
    "POST /user/orders": Row(USER, json=TOO_LONG),
    "POST /orders": Row(ADMIN, json=TOO_LONG),
    "POST /user/orders/apply": Row(USER, json={}),
    "GET /user/orders": Row(USER),
    "GET /user/orders/{orderId}": Row(USER, Whose.READ),
    "PUT /user/orders/pause/{orderId}": Row(USER, Whose.ACT, "done"),
    "PUT /user/orders/resume/{orderId}": Row(USER, Whose.ACT, "done"),
    "POST /user/orders/{orderId}/restart": Row(USER, Whose.ACT, "done", json=TOO_LONG),
    "PUT /user/orders/{orderId}/retry": Row(USER, Whose.ACT, "done"),
    "DELETE /user/orders/{orderId}": Row(USER, Whose.ACT, "deleted"),
    "DELETE /user/orders/remove/{orderId}": Row(INSTANCE_ADMIN, Whose.ADMINISTER, "done"),
    "POST /orders/search": Row(EXPLOIT, json={}),
    "POST /orders/csv": Row(EXPLOIT, json={}),
    "GET /user/orders/{orderId}/download": Row(USER, Whose.SEE),
    "GET /user/orders/{orderId}/metalink/download": Row(USER, Whose.SEE),
    "GET /user/orders/metalink/download": Row(PUBLIC),
    "GET /user/orders/{orderId}/order_{documentId}.meta4": Row(USER, Whose.SEE),
    "GET /orders/public/order_{orderId}.meta4": Row(PUBLIC),
    "GET /user/orders/{orderId}/files.{kind}": Row(USER, Whose.SEE),
    "GET /orders/public/files.{kind}": Row(PUBLIC),
    "GET /orders/{orderId}/dataset/{datasetId}/files": Row(USER, Whose.SEE),
    "GET /orders/files/{dataFileId}": Row(USER, Whose.READ),
    "GET /orders/public/files/{dataFileId}": Row(PUBLIC),
    "HEAD /orders/public/files/{dataFileId}": Row(PUBLIC),
    "GET /orders/{orderId}/files/available": Row(USER, Whose.READ),
    "GET /orders/{orderId}/filesTask/{filesTaskId}/files/available": Row(USER, Whose.READ),
    "GET /settings": Row(ADMIN),
    "PUT /settings/{name}": Row(ADMIN, json={}),
    "DELETE /settings/{name}": Row(ADMIN),
    "GET /maintenance": Row(PROJECT_ADMIN, of_tenant=False),
    "PUT /maintenance/{tenant}/enable": Row(PROJECT_ADMIN, Whose.NAMED, of_tenant=False),
    "PUT /maintenance/{tenant}/disable": Row(PROJECT_ADMIN, Whose.NAMED, of_tenant=False),
    "GET /microservice/configuration/enabled": Row(PROJECT_ADMIN),
    "GET /microservice/configuration": Row(PROJECT_ADMIN),
    "POST /microservice/configuration": Row(PROJECT_ADMIN, multipart=True),
    "GET /microservice/ready/enabled": Row(PROJECT_ADMIN),
    "GET /microservice/ready": Row(PROJECT_ADMIN),
    "GET /microservice/restart/enabled": Row(PROJECT_ADMIN),
    "GET /microservice/restart": Row(PROJECT_ADMIN),
    "GET /regards/{tenant}/datasource/test": Row(ADMIN, Whose.NAMED, of_tenant=False),
    "GET /regards/{tenant}/datasource/status": Row(PUBLIC, of_tenant=False),
    "GET /audit": Row(EXPLOIT, of_tenant=False),
    "GET /audit/csv": Row(EXPLOIT, of_tenant=False),
    "GET /dead-letters": Row(EXPLOIT, of_tenant=False),
    "POST /dead-letters/replay": Row(EXPLOIT, json={}, of_tenant=False),
    "POST /dead-letters/discard": Row(EXPLOIT, json={}, of_tenant=False),
    "POST /dead-letters/runs": Row(EXPLOIT, json={}, of_tenant=False),
    "GET /dead-letters/runs/{runId}": Row(EXPLOIT, of_tenant=False),
    "DELETE /dead-letters/runs/{runId}": Row(EXPLOIT, of_tenant=False),
    "GET /dead-letters/{letterId}": Row(EXPLOIT, of_tenant=False),
    "POST /dead-letters/{letterId}/replay": Row(EXPLOIT, json={}, of_tenant=False),
    "PUT /orders/{orderId}/ask-again": Row(PROJECT_ADMIN, Whose.ADMINISTER, "done"),
    "GET /holds": Row(PROJECT_ADMIN, of_tenant=False),
    "POST /holds": Row(PROJECT_ADMIN, json={}, of_tenant=False),
    "DELETE /holds/{holdId}": Row(PROJECT_ADMIN, of_tenant=False),
    "GET /user/orders/{orderId}/progress": Row(USER, Whose.READ),
    "GET /user/orders/{orderId}/progress/suborders": Row(USER, Whose.READ),
    "GET /estimates/calibration": Row(EXPLOIT),
    "POST /orders/quote": Row(USER, json={}),
    "GET /orders/quotes/{quoteId}": Row(USER),
    "GET /events": Row(USER),
    "GET /events/stream": Row(USER),
    "GET /schemas/events-1.json": Row(PUBLIC, of_tenant=False),
    "POST /subscriptions": Row(USER, json={}),
    "GET /subscriptions": Row(USER),
    "GET /subscriptions/{subscriptionId}": Row(USER),
    "PUT /subscriptions/{subscriptionId}": Row(USER, json={}),
    "DELETE /subscriptions/{subscriptionId}": Row(USER),
    "GET /subscriptions/{subscriptionId}/events": Row(USER),
    "POST /subscriptions/{subscriptionId}/ack": Row(USER, json={}),
    "POST /subscriptions/{subscriptionId}/test": Row(USER),
    "POST /subscriptions/{subscriptionId}/secret": Row(USER),
    "POST /subscriptions/{subscriptionId}/replay": Row(USER, json={}),
    "GET /subscriptions/{subscriptionId}/deliveries": Row(USER),
    "POST /user/orders/{orderId}/archives": Row(USER, Whose.SEE, json={}),
    "GET /user/orders/{orderId}/archives": Row(USER, Whose.SEE),
    "GET /user/orders/{orderId}/archives/{archiveId}": Row(USER, Whose.SEE),
    "GET /user/orders/{orderId}/archives/{archiveId}/manifest": Row(USER, Whose.SEE),
    "GET /user/orders/{orderId}/archives/{archiveId}/{name}": Row(USER, Whose.SEE),
    "GET /orders/public/archives/{archiveId}/{name}": Row(PUBLIC),
    "GET /user/orders/{orderId}/archive.{format}": Row(USER, Whose.SEE),
    "GET /orders/public/archive.{format}": Row(PUBLIC),
    "GET /stac": Row(USER),
    "GET /stac/conformance": Row(PUBLIC, of_tenant=False),
    "GET /stac/collections": Row(USER),
    "GET /stac/collections/order-{orderId}": Row(USER, Whose.READ),
    "GET /stac/collections/order-{orderId}/items": Row(USER, Whose.READ),
    "GET /stac/collections/order-{orderId}/items/{itemId}": Row(USER, Whose.READ),
    "GET /stac/search": Row(USER),
    "POST /stac/search": Row(USER, json={}),
    "POST /stac/orders": Row(USER, json={}),
    "GET /stac/eodag.yml": Row(USER),
    "GET /problems/{code}": Row(PUBLIC, of_tenant=False),
    "POST /holds/preview": Row(PROJECT_ADMIN, json={}, of_tenant=False),
    "GET /queue": Row(PROJECT_ADMIN, of_tenant=False),
    "GET /limits": Row(PROJECT_ADMIN, of_tenant=False),
    "PUT /limits": Row(PROJECT_ADMIN, json={}, of_tenant=False),
    "POST /limits/preview": Row(PROJECT_ADMIN, json={}, of_tenant=False),
    "GET /shares": Row(PROJECT_ADMIN, of_tenant=False),
    "PUT /shares": Row(PROJECT_ADMIN, json={}, of_tenant=False),
    "POST /shares/preview": Row(PROJECT_ADMIN, json={}, of_tenant=False),
}
OPERATOR_MORE = "GET /settings"
OPERATOR_LESS = "POST /orders/csv"
BY_HEAD = {"GET /events/stream", "GET /user/orders/{orderId}/download"}
"""Endpoints whose response doesn't end, or waits for files that storage doesn't have.

They are called with HEAD, which the same checks allow.
"""
STATEFUL = {"PUT /maintenance/{tenant}/enable"}
"""Endpoints that change the responses to other calls, and are therefore called apart."""


class Access(StrEnum):
    """The rights of a caller that a response shows."""

    ALLOWED = "allowed"
    FORBIDDEN = "403"
    NOT_THEIRS = "401, not their order"
    ABSENT = "404, not in their project"
    NO_PROJECT = "404, no such project"
    UNEXPECTED = "a response that no call should get"


@dataclass(frozen=True)
class Call:
    endpoint: str
    role: str
    owner: bool
    tenant: str

    @property
    def row(self) -> Row:
        return ROWS[self.endpoint]


@dataclass
class Subjects:
    """One order of each sort, all of one owner, and another user without rights to them."""

    here: Platform
    owner: str
    stranger: str
    orders: dict[str, int] = field(default_factory=dict)
    variables: dict[str, object] = field(default_factory=dict)

    def path(self, call: Call) -> str:
        values = {
            **self.variables,
            "orderId": self.orders[call.row.order],
            "tenant": call.tenant if call.owner else OTHER,
        }
        return call.endpoint.split(" ")[1].format(**values)


def expected(call: Call) -> Access:
    row, whose = call.row, call.row.whose
    if row.of_tenant and call.tenant == UNSERVED:
        return Access.NO_PROJECT
    if not _granted(call):
        return Access.FORBIDDEN
    touches_others = not call.owner or whose is Whose.ADMINISTER
    if whose is Whose.NAMED:
        above = call.role in MAY_TOUCH_OTHERS[whose]
        return Access.FORBIDDEN if touches_others and not above else Access.ALLOWED
    if whose is not Whose.NOBODYS and call.tenant != OWN:
        return Access.ABSENT
    if whose is Whose.NOBODYS or not touches_others or call.role in MAY_TOUCH_OTHERS[whose]:
        return Access.ALLOWED
    acts = whose in {Whose.ACT, Whose.ADMINISTER}
    return Access.NOT_THEIRS if acts else Access.FORBIDDEN


def _granted(call: Call) -> bool:
    role, row = call.role, call.row
    if call.tenant == UNSERVED:
        return role in ALWAYS or row.default_role == PUBLIC
    if role == OPERATOR and call.tenant != OWN:
        return row.default_role == PUBLIC
    if role == OPERATOR and call.endpoint in {OPERATOR_MORE, OPERATOR_LESS}:
        return call.endpoint == OPERATOR_MORE
    return role in GRANTED[row.default_role]


def access(answer: httpx.Response) -> Access:
    text = answer.text if answer.status_code < 500 else ""
    match answer.status_code:
        case 401 if "USER_NOT_ALLOWED_TO_MANAGE_ORDER" in text:
            return Access.NOT_THEIRS
        case 401 if "ORDER_MUST_BE" not in text and "BASKET_NOT_FOUND" not in text and text:
            return Access.UNEXPECTED
        case 403:
            return Access.FORBIDDEN
        case 404 if "There is no project" in text:
            return Access.NO_PROJECT
        case 500 | 503 | 515:
            return Access.UNEXPECTED
    return Access.ALLOWED


@pytest.fixture
async def subjects(here: Platform) -> AsyncIterator[Subjects]:
    found = Subjects(here, new_user(here), new_user(here))
    asked = {
        name: await here.peer.order(EVE_01, user=found.owner)
        for name in ("read", "done", "deleted")
    }
    for name, correlation_id in asked.items():
        response = await here.peer.until_final(correlation_id)
        found.orders[name] = response.body["orderId"]
    (file,) = await here.rows(
        "select id, dataset_task_id, sub_order_id from data_file where order_id = $1",
        found.orders["read"],
    )
    found.variables = {
        "dataFileId": file["id"],
        "datasetId": file["dataset_task_id"],
        "filesTaskId": file["sub_order_id"],
        "datasetSelectionId": 987654321,
        "itemsSelectionDate": "2024-01-23T09:21:50Z",
        "name": "no_such_setting",
        "letterId": "no-such-letter",
        "runId": 987654321,
        "holdId": 987654321,
        "quoteId": "q-987654321",
        "archiveId": "a987654321",
        "subscriptionId": "5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10",
        "code": "too-many-requests",
        "kind": "txt",
        "format": "zip",
        "itemId": "URN:AIP:DATA:project1:no-such-product:V1",
        "documentId": found.orders["read"],
    }
    here.sandbox.put_role(OWN, OPERATOR, Role(parent=EXPLOIT))
    verb, _, template = OPERATOR_MORE.partition(" ")
    here.sandbox.grant(OWN, OPERATOR, template, verb)
    verb, _, template = OPERATOR_LESS.partition(" ")
    here.sandbox.revoke(OWN, OPERATOR, template, verb)
    await _until_operator(here, 404)
    yield found
    here.reset_sandbox()
    # Other tests list them.
    await here.execute(
        "delete from order_project1.subscription; delete from order_project2.subscription"
    )
    await _until_operator(here, 403)


async def _until_operator(here: Platform, status: int) -> None:
    """Wait until the custom role gets a status, which shows whether its rights are in force."""

    async def is_so() -> bool:
        async with here.client("jane@example.org", OPERATOR) as client:
            answer = await client.get("/user/orders/987654321/download")
            return answer.status_code == status

    await eventually(is_so, f"{OPERATOR} gets {status}")


def test_every_endpoint_is_in_the_table() -> None:
    """The table has every endpoint with the default role that rest.md gives it."""
    declared = {
        f"{resource.verb} {resource.template}": (resource.default_role, resource.of_tenant)
        for resource in RESOURCES
    }

    assert declared == {name: (row.default_role, row.of_tenant) for name, row in ROWS.items()}


def all_calls(endpoints: Iterable[str]) -> list[Call]:
    """Return the calls of all roles and projects, as owner and as another user if that matters."""
    return [
        Call(endpoint, role, owner, tenant)
        for endpoint, role, owner, tenant in product(
            sorted(endpoints), ROLES, (True, False), (OWN, OTHER, UNSERVED)
        )
        if owner or (ROWS[endpoint].whose is not Whose.NOBODYS and tenant == OWN)
        if not (
            role == PUBLIC and owner and ROWS[endpoint].whose not in {Whose.NOBODYS, Whose.NAMED}
        )
    ]


async def test_who_may_call_what(subjects: Subjects) -> None:
    """Each call is allowed or rejected as the tables say."""
    calls = all_calls(ROWS.keys() - STATEFUL)
    concurrency = asyncio.Semaphore(16)
    limits = httpx.Limits(max_connections=16)
    base_url = f"http://127.0.0.1:{subjects.here.port}"
    async with httpx.AsyncClient(base_url=base_url, limits=limits, timeout=60) as client:

        async def mismatch(call: Call) -> str | None:
            async with concurrency:
                return await _mismatch(subjects, client, call)

        async with asyncio.TaskGroup() as group:  # whose end leaves none that still uses the client
            tasks = [group.create_task(mismatch(call)) for call in calls]
        results = [task.result() for task in tasks]
        for call in all_calls(ROWS.keys() & STATEFUL):
            results.append(await _mismatch(subjects, client, call))
            await _end_maintenance(subjects, client)

    assert [result for result in results if result] == []


async def _mismatch(subjects: Subjects, client: httpx.AsyncClient, call: Call) -> str | None:
    """Return the difference between response and table, or None."""
    verb, row = call.endpoint.split(" ")[0], call.row
    verb = "HEAD" if call.endpoint in BY_HEAD else verb
    try:
        answer = await client.request(
            verb,
            subjects.path(call),
            headers=_identity(subjects, call),
            json=row.json,
            files={"nothing": b""} if row.multipart else None,
        )
    except httpx.TransportError as error:
        return f"{call}: no response, {error!r}"
    wanted, got = expected(call), access(answer)
    if got is Access.NO_PROJECT and not row.of_tenant:
        got = (
            Access.ALLOWED
        )  # the path names an unknown project, which shows that the caller may ask for it
    unsaid = wanted is Access.ABSENT or (wanted is Access.NO_PROJECT and not answer.content)
    if unsaid and answer.status_code == 404:
        return None
    return None if got is wanted else f"{call}: {wanted}, not {answer.status_code} {answer.text}"


def _identity(subjects: Subjects, call: Call) -> dict[str, str]:
    if call.role == PUBLIC:
        return {"scope": call.tenant}
    email = subjects.owner if call.owner else subjects.stranger
    return {"Authorization": f"Bearer {subjects.here.sandbox.token(email, call.role, call.tenant)}"}


async def _end_maintenance(subjects: Subjects, client: httpx.AsyncClient) -> None:
    for tenant in (OWN, OTHER):
        token = subjects.here.sandbox.token("boss@example.org", INSTANCE_ADMIN, OWN)
        headers = {"Authorization": f"Bearer {token}"}
        await client.put(f"/maintenance/{tenant}/disable", headers=headers)

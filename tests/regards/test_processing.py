"""The client of rs-processing (remote-services.md 4.1)."""

from uuid import UUID, uuid4

import aiohttp
import pytest

from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, Scope
from rs_order.ports import BadResponse, RemoteRejection, RemoteUnavailable, UnreadableProcess
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.regards.processing import MalformedProcess, RegardsProcesses, forecast_of, process_of
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.process_catalog import process_id
from rs_order.sandbox.simulated_platform import Sandbox
from tests.regards.conftest import JANE

ID = UUID("a5d0b3f4-0ad3-4c9e-9a10-0b7a3c1f0e21")
INFO = {
    "scope": "FEATURE",
    "cardinality": "ONE_PER_FEATURE",
    "datatypes": "RAWDATA, THUMBNAIL",
    "sizeLimitType": "FEATURES",
    "sizeLimitValue": "100",
    "sizeForecast": "*2.500000",
    "forbidSplitInSuborders": "false",
    "regards.tenant": "project1",
}


@pytest.fixture
def processes(
    sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer
) -> RegardsProcesses:
    service = RemoteService("rs-processing", sandbox.urls["PROCESSING_URL"], client)
    return RegardsProcesses(service, tokens)


async def test_a_process_is_read_as_the_caller(
    processes: RegardsProcesses, sandbox: Sandbox
) -> None:
    """The request has the user's own role."""
    found = await processes.find(JANE, process_id("clip"))

    assert found == Process(
        id=process_id("clip"),
        scope=Scope.FEATURE,
        cardinality=Cardinality.ONE_PER_INPUT_FILE,
        data_types=frozenset({"RAWDATA"}),
        limit_kind=LimitKind.FEATURES,
        limit=100,
        forecast=Forecast(factor=0.5),
        forbids_split=True,
    )
    (call,) = sandbox.calls.recent("rs-processing")
    assert (call.path, call.email, call.role) == (
        f"/process/{process_id('clip')}",
        JANE.email,
        JANE.role,
    )


async def test_demo_processes_are_of_each_scope_and_cardinality(
    processes: RegardsProcesses, sandbox: Sandbox
) -> None:
    found = [await processes.find(JANE, one.id) for one in sandbox.processes]

    assert {(one.scope, one.cardinality) for one in found if one} == {
        (scope, cardinality) for scope in Scope for cardinality in Cardinality
    }


async def test_an_unknown_process_is_none(processes: RegardsProcesses, sandbox: Sandbox) -> None:
    """rs-processing answers with 200 and no body, or with 404."""
    assert None is await processes.find(JANE, uuid4())

    sandbox.faults.outages = {Service.PROCESSING: Outage(mode=OutageMode.STATUS, status=404)}

    assert None is await processes.find(JANE, process_id("clip"))


@pytest.mark.parametrize(
    ("outage", "error"),
    [
        (Outage(mode=OutageMode.DOWN), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=500), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=403), RemoteRejection),
        (Outage(mode=OutageMode.NONSENSE), BadResponse),
        (Outage(mode=OutageMode.GARBAGE), BadResponse),
    ],
    ids=lambda value: f"{value.mode}-{value.status}" if isinstance(value, Outage) else None,
)
async def test_failures_of_rs_processing(
    processes: RegardsProcesses, sandbox: Sandbox, outage: Outage, error: type[Exception]
) -> None:
    sandbox.faults.outages = {Service.PROCESSING: outage}

    with pytest.raises(error) as raised:
        await processes.find(JANE, process_id("clip"))

    assert error is type(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in list(INFO)[:7]),
        ("scope", "PRODUCT"),
        ("cardinality", ""),
        ("datatypes", ""),
        ("datatypes", "PICTURE"),
        ("sizeLimitType", "files"),
        ("sizeLimitValue", "-1"),
        ("sizeLimitValue", "1.5"),
        ("sizeLimitValue", "9" * 19),
        ("sizeForecast", "2.5"),
        ("forbidSplitInSuborders", "maybe"),
        ("scope", 7),
    ],
)
def test_an_incomplete_description_is_rejected(name: str, value: object) -> None:
    """All seven keys must be present and valid; the error names the wrong one."""
    with pytest.raises(MalformedProcess, match=name):
        process_of(ID, INFO | {name: value})


def test_unknown_types_are_ignored() -> None:
    """The reference does the same (domain.md 5.1)."""
    process = process_of(ID, INFO | {"datatypes": "RAWDATA, PICTURE"})

    assert process.data_types == {"RAWDATA"}


async def test_an_unreadable_process_is_distinguished_from_an_unavailable_service(
    processes: RegardsProcesses, sandbox: Sandbox
) -> None:
    """Another attempt would not help (W3)."""
    process = next(iter(sandbox.processes))
    sandbox.processes.add(process.model_copy(update={"info": {"sizeForecast": None}}))

    with pytest.raises(UnreadableProcess, match="sizeForecast"):
        await processes.find(JANE, process.id)


@pytest.mark.parametrize("info", [None, [], "info", 7])
def test_a_description_that_is_no_object_is_rejected(info: object) -> None:
    with pytest.raises(MalformedProcess, match="processInfo"):
        process_of(ID, info)


@pytest.mark.parametrize(
    ("text", "inputs", "outputs"),
    [
        ("*2.500000", 1000, 2500),
        ("* 2", 1000, 2000),
        ("*0.5", 3, 1),
        ("1024b", 7, 1024),
        ("1.5 K", 7, 1536),
        ("10m", 7, 10 * 1024**2),
        ("2G", 7, 2 * 1024**3),
    ],
)
def test_the_forecast_of_the_size_of_outputs(text: str, inputs: int, outputs: int) -> None:
    """It is a factor of the inputs or a size; blanks and case don't matter."""
    assert forecast_of(text).of(inputs) == outputs


@pytest.mark.parametrize("text", ["", "*", "2", "*2b", "-1b", "1t", "1e3b", ".5m", "9" * 400 + "g"])
def test_an_invalid_forecast_is_rejected(text: str) -> None:
    with pytest.raises(MalformedProcess):
        forecast_of(text)

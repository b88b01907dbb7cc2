"""HEAD on every address that answers GET (F23)."""

import httpx
import pytest

from rs_order.app.rest import create_app
from tests.rest.conftest import MakeApp
from tests.rest.fake_downloads import DownloadableOrder

pytestmark = pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
"""What is tested is the interface, so one kind of store is enough."""


@pytest.fixture
def make_app() -> MakeApp:
    return create_app


@pytest.mark.parametrize("prefix", ["", "/api/v1/rs-order"])
@pytest.mark.parametrize(
    "path",
    [
        "/user/orders/12/download",
        "/user/orders/12/metalink/download",
        "/user/orders/13/download",
        "/user/orders/twelve/download",
        "/actuator/health",
        "/actuator/prometheus",
        "/",
        "/v3/api-docs",
        "/v3/asyncapi",
        "/swagger-ui/index.html",
        "/maintenance",
        "/nowhere",
    ],
)
async def test_f23_head_has_the_status_and_headers_of_get_and_no_effect(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, prefix: str, path: str
) -> None:
    """Of zips, metalinks, lists, errors and health, without a body."""
    downloadable.add("a", b"content")

    head = await api.head(prefix + path)
    opened = list(downloadable.sources.opened)
    settled = list(downloadable.order.settlements)
    get = await api.get(prefix + path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert _compared(head) == _compared(get)
    assert (opened, settled) == ([], [])


def _compared(answer: httpx.Response) -> dict[str, str]:
    """Return the headers but those that depend on the time or on the body of a stream."""
    varying = {"date", "transfer-encoding", "content-length"}
    return {name: value for name, value in answer.headers.items() if name not in varying}


async def test_f23_head_of_a_verb_that_is_not_served(api: httpx.AsyncClient) -> None:
    """An address without GET has no HEAD."""
    assert (await api.head("/orders/csv")).status_code == 405


async def test_f23_a_file_keeps_its_own_head(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It fetches nothing, and has the length of the catalog."""
    file_id = downloadable.add("a", b"content")

    answer = await api.head(f"/orders/files/{file_id}")

    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "7")
    assert downloadable.sources.opened == []

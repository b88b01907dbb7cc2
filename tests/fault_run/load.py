"""Simulates owners and services during a run. Each order has a customer, who follows it to its end."""

import asyncio
import hashlib
import io
import random
import zipfile
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from rs_order.sandbox.process_catalog import process_id
from rs_order.sandbox.products import DataFile, urn_for
from rs_order.sandbox.user_directory import User
from tests.api.baskets import BASKET, SELECTION, a_search
from tests.fault_run.deployment import Deployment
from tests.fault_run.peer import DurablePeer
from tests.fault_run.plan import Door, Fate, PlannedOrder

PROCESS: Final = str(process_id("checksums"))
"""A process with one small output for each input file."""
_PAUSE_SECONDS: Final = 0.5
"""Between two attempts of a customer."""
REQUEST_SECONDS: Final = 20.0
"""The longest time that a customer waits for the answer to one request."""
NOTICE: Final = "NOTICE.txt"
"""The file in a zip that names the files which are missing or wrong."""
_ENDED: Final = {"DONE", "DONE_WITH_WARNING", "FAILED", "EXPIRED"}


@dataclass
class Customer:
    """Places an order, does with it what the plan says, and downloads it."""

    plan: PlannedOrder
    deployment: Deployment
    peer: DurablePeer
    client: httpx.AsyncClient
    order_id: int | None = None
    correlation_id: str = ""
    refusals: list[str] = field(default_factory=list)
    """Answers that no correct service gives, whatever fails."""
    doing: str = "waiting for its time"
    is_done: bool = False
    _acted: bool = False

    async def run(self) -> None:
        await asyncio.sleep(self.plan.at)
        self.deployment.sandbox.directory.put(User(email=self.plan.owner))
        self.doing = "ordering"
        self.order_id = await self._order()
        downloading = asyncio.create_task(self._download_all())
        try:
            await asyncio.sleep(self.plan.act_after)
            await self._act()
            self._acted = True
            self.doing = "downloading"
            await downloading
        finally:
            downloading.cancel()
        self.doing = "done"
        self.is_done = True

    # Ordering

    async def _order(self) -> int:
        return await (
            self._order_by_amqp() if self.plan.door is Door.AMQP else self._order_by_rest()
        )

    async def _order_by_amqp(self) -> int:
        self.correlation_id = f"{self.plan.tenant}-{self.plan.number}"
        body = {
            "correlationId": self.correlation_id,
            "queries": [self._query],
            "user": self.plan.owner,
        }
        for _ in range(2 if self.plan.fate is Fate.REPEATED else 1):
            self.peer.order(self.plan.tenant, body)
        return await self.peer.order_id(self.correlation_id)

    async def _order_by_rest(self) -> int:
        """Order a basket. An answer may be lost, so look for the order before ordering again."""
        label = f"order {self.plan.number}"
        while True:
            found = await self._found(label)
            if found is not None:
                return found
            if await self._filled_basket():
                await self._call("POST", "/user/orders", {200, 201, 204, 422}, {"label": label})

    async def _found(self, label: str) -> int | None:
        listed = await self._call("GET", "/user/orders", {200})
        for one in listed.json()["content"]:
            if one["content"]["label"] == label:
                return int(one["content"]["id"])
        return None

    async def _filled_basket(self) -> bool:
        """Fill the basket unless it is filled; return True if it can be ordered."""
        basket = await self._call("GET", BASKET, {200, 204})
        if basket.status_code == 204 or not basket.json()["content"]["datasetSelections"]:
            # 422 while the catalog can't be read
            basket = await self._call("POST", SELECTION, {200, 422}, a_search(self._query))
            if basket.status_code == 422:
                return False
        if self.plan.fate is not Fate.PROCESSED:
            return True
        (selection,) = basket.json()["content"]["datasetSelections"]
        path = f"{BASKET}/dataset/{selection['id']}/updateProcessing"
        body = {"processBusinessId": PROCESS, "parameters": {}}
        answer = await self._call("PUT", path, {200, 422}, body)
        return answer.status_code == 200

    @property
    def _query(self) -> str:
        return f'tags:"{urn_for(self.plan.tenant, self.dataset_urn)}"'

    @property
    def dataset_urn(self) -> str:
        holding = self.deployment.sandbox.holdings.named(self.plan.dataset)
        assert holding is not None
        return holding.dataset.urn

    # What happens to the order

    async def _act(self) -> None:
        match self.plan.fate:
            case Fate.CANCELLED:
                self.doing = "cancelling"
                assert self.order_id is not None
                self.peer.cancel(self.plan.tenant, self.order_id)
            case Fate.PAUSED:
                self.doing = "pausing"
                await self._call("PUT", f"/user/orders/pause/{self.order_id}", {200, 401})
                await asyncio.sleep(self.plan.act_after / 4)
                self.doing = "resuming"
                await self._resume()
            case Fate.RETRIED:
                self.doing = "retrying"
                await self._retry()
            case _:
                pass

    async def _resume(self) -> None:
        """Resume until the order isn't paused: an answer that was lost may have paused it."""
        while (await self._detail())["status"] == "PAUSED":
            await self._call("PUT", f"/user/orders/resume/{self.order_id}", {200, 401})

    async def _retry(self) -> None:
        """Retry once the order has ended with its errors, which storage has repaired then."""
        while (await self._detail())["status"] not in _ENDED:  # noqa: ASYNC110 - another process
            await asyncio.sleep(_PAUSE_SECONDS)
        for file in self.lost_files:
            self.deployment.sandbox.faults.storage_errors.pop(file.checksum, None)
        while (await self._detail())["filesInErrorCount"] > 0:
            await self._call("PUT", f"/user/orders/{self.order_id}/retry", {200, 401})
            await asyncio.sleep(_PAUSE_SECONDS)

    @property
    def lost_files(self) -> list[DataFile]:
        holding = self.deployment.sandbox.holdings.named(self.plan.dataset)
        assert holding is not None
        return [holding.product(position).files[0] for position in range(self.plan.lost_files)]

    # Downloads

    async def _download_all(self) -> None:
        """Download what is available until the order has ended and nothing is left of it."""
        while True:
            order = await self._detail()
            if order["availableFilesCount"] > 0:
                await self._download()
            elif order["status"] == "DELETED" or (self._acted and order["status"] in _ENDED):
                return
            else:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _download(self) -> None:
        """Download a zip and check each file in it. It may lack files that storage can't send now."""
        answer = await self._call(
            "GET", f"/user/orders/{self.order_id}/download", {200, 204, 403, 404}
        )
        if answer.status_code != 200 or self.plan.fate is Fate.PROCESSED:
            return
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            notice = archive.read(NOTICE).decode() if NOTICE in archive.namelist() else ""
            for name in archive.namelist():
                right = name == NOTICE or self._is_right(name, archive.read(name))
                if not right and name not in notice:
                    self.refusals.append(f"the zip has other content in {name}")

    def _is_right(self, name: str, content: bytes) -> bool:
        holding = self.deployment.sandbox.holdings.named(self.plan.dataset)
        file = holding.file_named(name) if holding else None
        return file is not None and hashlib.md5(content).hexdigest() == file.checksum  # noqa: S324

    # Calls

    async def _detail(self) -> dict[str, Any]:
        answer = await self._call("GET", f"/user/orders/{self.order_id}", {200})
        content: dict[str, Any] = answer.json()["content"]
        return content

    async def _call(
        self, verb: str, path: str, allowed: set[int], body: dict[str, Any] | None = None
    ) -> httpx.Response:
        """Call one instance after the other until one gives an answer that is allowed."""
        token = self.deployment.sandbox.token(self.plan.owner, tenant=self.plan.tenant)
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            for instance in random.sample(
                self.deployment.instances, len(self.deployment.instances)
            ):
                if instance.url is None:
                    continue
                try:
                    answer = await self.client.request(
                        verb, instance.url + path, json=body, headers=headers
                    )
                except httpx.TransportError:
                    continue
                if answer.status_code in allowed:
                    return answer
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    self.refusals.append(f"{verb} {path}: {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def fetch_file(self, file_id: int) -> None:
        """Download one file again whose download failed."""
        await self._call("GET", f"/orders/files/{file_id}", {200})

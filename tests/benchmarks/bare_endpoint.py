"""The floor of the benchmark ``rest``: FastAPI endpoints with one statement each, and nothing else.

It is started by ``child_process`` with ``database_url`` and ``schema``.

Like the service, it runs on uvicorn with uvloop and httptools, without an access log.
"""

from datetime import datetime
from typing import Any

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel

from tests.benchmarks.children import options_of_child, report

ORDERS = """
select id, owner, label, created_at, expires_at, status, status_at, waiting_sub_orders, available_files,
       error_files
from orders order by id limit $1
"""
FILES = """
select id, state, reason, order_id, sub_order_id, product_urn, product_id, product_version, data_type, name,
       url, external, online, size, checksum, checksum_algorithm, mime_type
from data_file order by id limit $1
"""
ADD = """
insert into basket (owner) values ($1)
on conflict (owner) where order_id is null do update set version = basket.version + 1
returning id, owner, version
"""


class Order(BaseModel):
    id: int
    owner: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    status: str
    status_at: datetime
    waiting_sub_orders: int
    available_files: int
    error_files: int


class File(BaseModel):
    id: int
    state: str
    reason: str | None
    order_id: int
    sub_order_id: int
    product_urn: str
    product_id: str | None
    product_version: int
    data_type: str
    name: str
    url: str
    external: bool
    online: bool
    size: int | None
    checksum: str | None
    checksum_algorithm: str | None
    mime_type: str | None


class Addition(BaseModel):
    owner: str


def bare_app(pool: "asyncpg.Pool[asyncpg.Record]") -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{rows}")
    async def orders(rows: int) -> list[Order]:
        return [Order(**row) for row in await pool.fetch(ORDERS, rows)]

    @app.get("/files/{rows}")
    async def files(rows: int) -> list[File]:
        return [File(**row) for row in await pool.fetch(FILES, rows)]

    @app.post("/basket")
    async def add(addition: Addition) -> dict[str, Any]:
        row = await pool.fetchrow(ADD, addition.owner)
        return dict(row or {})

    return app


class _Server(uvicorn.Server):
    """Reports its port when it answers."""

    def __init__(self, config: uvicorn.Config, descriptor: int) -> None:
        super().__init__(config)
        self._descriptor = descriptor

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        report(self._descriptor, f"http://127.0.0.1:{port}")


async def _serve(options: dict[str, Any], descriptor: int) -> None:
    search_path = {"search_path": options["schema"]}
    async with asyncpg.create_pool(
        options["database_url"], max_size=20, server_settings=search_path
    ) as pool:
        config = uvicorn.Config(
            bare_app(pool), port=0, log_config=None, access_log=False, lifespan="off", ws="none"
        )
        await _Server(config, descriptor).serve()


if __name__ == "__main__":
    uvloop.run(_serve(*options_of_child()))

"""Interactive baskets, written to the database as if a user had filled them."""

from typing import Any, Protocol

from rs_order.sandbox.products import urn_for
from rs_order.sandbox.simulated_platform import Sandbox


class TenantDatabase(Protocol):
    """Runs statements in the schema of the first tenant."""

    @property
    def sandbox(self) -> Sandbox: ...

    async def rows(self, query: str, *parameters: Any) -> list[Any]: ...


async def put_basket(database: TenantDatabase, owner: str, query: str | None = None) -> int:
    """Write the basket of a user and return its id.

    With a query it has one selection of the dataset SDO_EVE, else none.
    """
    (basket,) = await database.rows("insert into basket (owner) values ($1) returning id", owner)
    if query is not None:
        await database.rows(
            """
            with selected as (
                insert into dataset_selection (basket_id, dataset_urn, dataset_label, products_count,
                    files_count, files_bytes, type_totals)
                values ($1, $2, 'SDO EVE irradiance', 1, 1, 4159, '{}')
                returning id
            )
            insert into dated_selection (dataset_selection_id, selection_date, position, request,
                products_count, type_totals)
            select id, now(), 0, jsonb_build_object(
                'engineType', 'legacy', 'searchParameters', jsonb_build_object('q', array[$3::text]),
                'selectionDate', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'datasetUrn', $2::text), 1, '{}'
            from selected
            """,
            basket["id"],
            _urn_of(database.sandbox, "SDO_EVE"),
            query,
        )
    return int(basket["id"])


def _urn_of(sandbox: Sandbox, dataset: str) -> str:
    (urn,) = [one.dataset.urn for one in sandbox.holdings if one.dataset.id == dataset]
    return urn_for("project1", urn)

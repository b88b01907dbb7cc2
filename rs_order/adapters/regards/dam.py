"""rs-dam: the files attached to a dataset (remote-services.md 2.9)."""

from urllib.parse import quote

from rs_order.adapters.regards.features import MalformedFeature, product_of
from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.token_issuer import TokenIssuer
from rs_order.domain.files import Product
from rs_order.domain.ids import Tenant, Urn


class RegardsDatasetFiles:
    """Implements ``DatasetFiles``."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def attached_files(self, tenant: Tenant, urn: Urn) -> Product | None:
        path = f"/datasets/ipId/{quote(urn, safe=':,')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        try:
            # The raw entity: its feature isn't wrapped as the catalog's are.
            return product_of(answer.get("feature") if isinstance(answer, dict) else None)
        except MalformedFeature as error:
            raise self._service.nonsense(path, str(error)) from error

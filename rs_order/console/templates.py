"""Renders the pages."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from rs_order.console.assets import Asset
from rs_order.console.texts import Texts


class Templates:
    """The templates of the package. Everything that they write is escaped."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._environment = Environment(
            loader=PackageLoader(__package__ or "", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._versions = {name: asset.version for name, asset in assets.items()}

    def page(
        self, template: str, status: int, /, *, texts: Texts, root: str, **model: Any
    ) -> Response:
        """Return a page. ``root``: the path of the console as the browser sees it."""

        def asset(name: str) -> str:
            return f"{root}/assets/{self._versions[name]}/{name}"

        content = self._environment.get_template(template).render(
            t=texts, root=root, asset=asset, status=status, **model
        )
        answer = Response(content, status, media_type="text/html; charset=utf-8")
        answer.headers["Content-Language"] = texts.language
        answer.headers["Vary"] = "Accept-Language, Cookie"
        return answer

"""What the pages load: only from the package, as the manifest says, and little of it."""

import re
from importlib.resources import files

from rs_order.console.assets import read_assets
from scripts.console_assets import FOLDER, digest, libraries

LARGEST = 150_000
MOST = 12


def test_the_libraries_are_those_of_the_manifest() -> None:
    wrong = [
        one.file for one in libraries() if digest((FOLDER / one.file).read_bytes()) != one.sha256
    ]

    assert wrong == []
    assert all(one.package and one.version and one.licence for one in libraries())


def test_every_other_asset_is_our_own() -> None:
    """A file that isn't ours is in the manifest; ours are few, and named here."""
    own = {"console.css", "console.js", "icon.svg", "icons.svg"}

    assert set(read_assets()) == own | {one.file for one in libraries()}


def test_a_first_visit_loads_little() -> None:
    assets = read_assets()

    assert sum(len(asset.compressed) for asset in assets.values()) < LARGEST
    assert len(assets) + 1 < MOST


INLINE = re.compile(r'<script(?![^>]*\bsrc=)|<style|\sstyle="|\son[a-z]+="|javascript:')


def test_nothing_comes_from_outside() -> None:
    """Neither templates nor our own scripts and styles name another host, or run inline."""
    package = files("rs_order.console")
    templates = [one.read_text() for one in package.joinpath("templates").iterdir()]
    own = [(FOLDER / name).read_text() for name in ("console.css", "console.js")]

    assert [text for text in templates + own if "http://" in text or "https://" in text] == []
    assert [found[0] for text in templates if (found := INLINE.search(text))] == []

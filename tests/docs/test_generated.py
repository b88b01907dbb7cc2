"""The documents that are generated from the code are up to date."""

import re
from pathlib import Path

import pytest

from rs_order.settings import Settings
from scripts.documents import DOCUMENTS, out_of_date
from scripts.documents.configuration import (
    WITHOUT_MEANING,
    configuration,
    replaced_properties,
)
from scripts.documents.promise_texts import PROMISES
from scripts.documents.promises import promises
from scripts.documents.states import states
from scripts.documents.weaknesses import WEAKNESSES, named_tests, weaknesses

ROOT = Path(__file__).parents[2]


def test_generated_documents_are_current() -> None:
    """After a change of the code, scripts/generate-docs writes them again."""
    assert out_of_date() == []


def test_a_document_that_was_edited_is_found(tmp_path: Path) -> None:
    """The check above fails for a missing document, and for one that differs."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/states.md").write_text(states() + "edited", encoding="utf-8")
    (tmp_path / "docs/promises.md").write_text(promises(), encoding="utf-8")
    (tmp_path / "docs/weaknesses.md").write_text(weaknesses(), encoding="utf-8")

    assert out_of_date(tmp_path) == ["docs/configuration.md", "docs/states.md"]
    assert set(DOCUMENTS) == {
        "docs/configuration.md",
        "docs/promises.md",
        "docs/states.md",
        "docs/weaknesses.md",
    }


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    """Each has one row with its meaning."""
    (row,) = re.findall(rf"^\| `RS_ORDER_{name.upper()}` \|.*\|$", configuration(), re.MULTILINE)

    assert row.rsplit("|", 2)[1].strip()


def test_every_property_of_the_chapters_is_documented() -> None:
    """A setting replaces it, or the reason why none does is listed; never both."""
    listed = _properties_of_amqp() | _properties_of_domain()
    replaced = {name for name in listed if _is_replaced(name)}

    assert listed - replaced == set(WITHOUT_MEANING)
    assert len(listed) > 30


@pytest.mark.parametrize("number", PROMISES)
def test_promises_are_explained(number: int) -> None:
    """The architecture explains how each is kept, under its name in the list of tests."""
    architecture = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")

    assert f"\n{number}. **{PROMISES[number].title}.**" in architecture


def test_every_weakness_of_the_chapter_has_its_row() -> None:
    """The table has exactly the numbers of domain.md 19."""
    chapter = _section("domain.md", "## 19.")
    numbers = [int(number) for number in re.findall(r"^\| W(\d+) \|", chapter, re.MULTILINE)]

    assert numbers == list(WEAKNESSES)


@pytest.mark.parametrize("number", WEAKNESSES)
def test_every_weakness_has_a_test(number: int) -> None:
    """A test with its number in the name shows that the service avoids it."""
    assert named_tests()[number]


def _is_replaced(name: str) -> bool:
    return any(
        name.startswith(known[:-1]) if known.endswith("*") else name == known
        for known in replaced_properties()
    )


def _properties_of_amqp() -> set[str]:
    """Return the properties in the block of amqp.md 1.15."""
    block = _section("amqp.md", "### 1.15").split("```")[1]
    return set(re.findall(r"^#?([a-zA-Z.\-]+)(?:\[0\])?=", block, re.MULTILINE))


def _properties_of_domain() -> set[str]:
    """Return the properties in the first column of the table in domain.md 14.2, in full form."""
    found = set[str]()
    for row in re.findall(r"^\| (`.*?`) \|", _section("domain.md", "### 14.2"), re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        stem = first.rpartition(".")[0]
        found |= {first, *(stem + name if name.startswith(".") else name for name in others)}
    return found


def _section(chapter: str, heading: str) -> str:
    text = (ROOT / "docs/contract" / chapter).read_text(encoding="utf-8")
    return re.split(r"\n##", text.partition(heading)[2])[0]

"""Links, names, commands and events in the documents exist, and the project has no path of one machine."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from typer.main import get_command

from rs_order.app import serve as composition
from rs_order.broker.delivery import DeadLetterReason
from rs_order.cli import app

ROOT = Path(__file__).parents[2]
CHAPTERS = ROOT / "docs/contract"
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")))
    if path.parent != CHAPTERS or path.name == "README.md"
]
"""The documents of this project, without the chapters of the contract, which are not checked."""
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

LINK = re.compile(r"\]\(([^)\s]+)\)")
FOREIGN = [
    # Each is joined from two parts, so that this file doesn't match.
    r"/" + r"work/",
    r"/" + r"tmp/(?!\$)",
    r"/" + r"home/\w+/",
    r"\b(pypi|pythonhosted|files\.python)" + r"\.(org|io)",
    r"https?://[^\s/]*" + r"(artifact|nexus|devpi|proxy\.golang)",
]
"""Paths of one machine, and hosts of package registries."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_resolve(document: Path) -> None:
    """Every link to a file of the project has an existing target, and its anchor is a heading."""
    assert list(_broken_links(document)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The check above fails for missing files and headings."""
    (tmp_path / "there.md").write_text("# One heading: with `code`\n", encoding="utf-8")
    document = tmp_path / "document.md"
    document.write_text(
        "[a](there.md) [b](there.md#one-heading-with-code) [c](gone.md) [d](there.md#two) [e](#f)",
        encoding="utf-8",
    )

    assert list(_broken_links(document)) == ["gone.md", "there.md#two", "#f"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_files_that_are_named_exist(document: Path) -> None:
    """A file or folder in a code span is in the project, or in one of its packages."""
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w.\-]+/)+(?:[\w.\-]+\.\w+)?)`", text)
    packages = (ROOT, ROOT / "rs_order", ROOT / "rs_order/store")

    assert [name for name in named if not any((one / name).exists() for one in packages)] == []


def test_every_decision_is_listed() -> None:
    """The list of decisions is complete."""
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in sorted(folder.glob("0*.md")) if path.name not in listed] == []


def test_the_readme_has_every_package() -> None:
    """A stranger finds in the layout what each folder is for."""
    layout = README[README.index("## Layout") : README.index("## Read on")]
    named = {name.removeprefix("rs_order/") for name in re.findall(r"`([a-z_/]+)`", layout)}

    packages = {path.parent.name for path in ROOT.glob("rs_order/*/__init__.py")}
    assert packages - named == set()


def test_scripts_of_the_readme_exist() -> None:
    """A reader can copy each line that calls one."""
    scripts = set(re.findall(r"(?:scripts|\.ci)/[a-z\-]+", README))

    assert {"scripts/demo", "scripts/test"} <= scripts
    assert [script for script in sorted(scripts) if not _is_executable(ROOT / script)] == []


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_commands_of_the_documents_exist(document: str) -> None:
    """Each ``rs-order …`` has an existing command with existing options."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = re.findall(r"^rs-order ([^\n#]+)", _code(text), re.MULTILINE)
    commands = [shlex.split(line) for line in lines]

    assert len(commands) > 5
    assert [" ".join(words) for words in commands if not _is_a_command(words)] == []


def test_words_of_the_glossary_are_in_the_code() -> None:
    """Python and SQL use the words that the glossary names for them."""
    rows = re.findall(r"^\| (?!Word|---)(.*) \|$", GLOSSARY, re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    python = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("rs_order/**/*.py"))
    sql = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("rs_order/**/*.sql"))
    sql += python  # kinds of messages, and the search path, are written by Python

    assert len(rows) > 30
    assert [word for cell in cells for word in _words_of(cell[2]) if word not in python] == []
    assert [word for cell in cells for word in _words_of(cell[3]) if word not in sql] == []


def test_queries_of_operations_name_columns_of_the_schema() -> None:
    """A reader can run each query."""
    queries = "".join(re.findall(r"^```sql\n(.*?)^```", OPERATIONS, re.MULTILINE | re.DOTALL))
    words = set(re.findall(r"[a-z]+(?:_[a-z]+)*", re.sub(r"'[^']*'|--.*", "", queries)))
    schema = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "rs_order/store/schema").glob("*.sql")
    )
    elsewhere = {"nulls", "order_demo", "search_path"}

    assert len(words) > 20
    assert [w for w in sorted(words - elsewhere) if not re.search(rf"\b{w}\b", schema)] == []


def test_log_events_are_documented() -> None:
    """Alerts use the names of events, so each one is in the table of operations.md."""
    assert set(_documented_events()) == set(_logged_events())


def test_metrics_are_documented() -> None:
    """Each metric of the service is in operations.md under its name in Prometheus."""
    assert composition.__name__  # The import registers the metrics.
    section = OPERATIONS.partition("## Metrics")[2].partition("\n## ")[0]
    metrics = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in REGISTRY.collect()
        if metric.name.startswith("rs_order")
    }

    assert set(re.findall(r"`(rs_order_\w+)`", section)) == metrics


@pytest.mark.parametrize("reason", DeadLetterReason)
def test_reasons_of_dead_letters_are_documented(reason: DeadLetterReason) -> None:
    """An operator finds there what to do."""
    assert f"`{reason.value}`" in OPERATIONS


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only git knows the files of the project")
def test_nothing_of_one_machine_is_in_the_project() -> None:
    """There is no path of the machine on which it was written, and no host of a package registry."""
    foreign = re.compile("|".join(FOREIGN))
    found = [
        f"{_name(path)}: {match[0]}"
        for path in _tracked_texts()
        for match in foreign.finditer(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def _broken_links(document: Path) -> Iterator[str]:
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            yield link


def _anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _is_executable(path: Path) -> bool:
    return path.is_file() and bool(path.stat().st_mode & 0o100)


def _code(text: str) -> str:
    """Return the fenced blocks and code spans, one per line."""
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)])


def _commands() -> dict[str, dict[str, set[str]]]:
    """Return the options by command and subcommand; the empty subcommand has the command's own options."""
    group: Any = get_command(app)
    found: dict[str, dict[str, set[str]]] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", {})
        found[name] = {"": _options(command)} | {sub: _options(inner[sub]) for sub in inner}
    return found


def _options(command: Any) -> set[str]:
    """Return the options of a command, with ``--help``, which no command declares."""
    return {"--help"} | {name for parameter in command.params for name in parameter.opts}


def _is_a_command(words: list[str]) -> bool:
    name, *rest = words
    known = _commands().get(name)
    if known is None:
        return False
    inner = rest[0] if rest and len(known) > 1 else ""
    if inner not in known:
        return False
    return {word for word in rest if word.startswith("--")} <= known[inner]


def _words_of(cell: str) -> list[str]:
    """Return the identifiers in the code spans of a cell."""
    return re.findall(r"[A-Za-z_]{3,}", " ".join(re.findall(r"`([^`]+)`", cell)))


def _documented_events() -> Iterator[str]:
    rows = OPERATIONS.partition("## Log lines")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", row)


def _logged_events() -> Iterator[str]:
    """Yield the first argument of each call of a logger."""
    for path in sorted((ROOT / "rs_order").rglob("*.py")):
        if {"sandbox", "demo"} & set(path.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "_log")), args=[event, *_]
                ):
                    yield from _texts_of(event)


def _texts_of(event: ast.expr) -> list[str]:
    match event:
        case ast.IfExp(body=body, orelse=orelse):
            return [*_texts_of(body), *_texts_of(orelse)]
        case ast.Constant(value=str() as text):
            return [text]
    raise AssertionError(f"an event name must be constant, not {ast.unparse(event)}")


def _tracked_texts() -> Iterator[Path]:
    """Yield the text files that git tracks or would add, without the chapters of the contract."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git of the PATH
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if not path.is_file() or CHAPTERS in path.parents or "archive" in path.parts:
            continue
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield path

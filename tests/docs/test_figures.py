"""The figures of the code's shape (scripts/figures)."""

from pathlib import Path

import pytest

from scripts.figures import AIM, ROOT, Function, figures, main, table

CHECKOUT = {
    "rs_order/__init__.py": "",
    "rs_order/orders/errors.py": "class Missing(Exception):\n    pass\n",
    "rs_order/orders/links.py": (
        "from typing import Protocol\n\n\n"
        "class Clock(Protocol):\n    def now(self) -> int: ...\n\n\n"
        "class Box(Protocol[int]):\n"
        "    async def open(self) -> None:\n"
        "        def inner() -> None:\n"
        "            pass\n"
    ),
    "rs_order/sandbox/errors.py": "",
    "rs_order/sandbox/links.py": "def outside() -> None:\n" + 50 * "    pass\n",
    "rs_order/store/sql/links.sql": "select 1;\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in CHECKOUT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_sandbox_counts_for_file_names_only(checkout: Path) -> None:
    found = figures(checkout)

    assert found.modules == {
        "rs_order/__init__.py": 0,
        "rs_order/orders/errors.py": 2,
        "rs_order/orders/links.py": 11,
    }
    assert found.repeated == {"links.py": ["rs_order/orders", "rs_order/sandbox"]}
    assert found.protocols == ["rs_order/orders/links.py Clock", "rs_order/orders/links.py Box"]
    assert found.functions == [
        Function(3, "open", "rs_order/orders/links.py", 9),
        Function(2, "inner", "rs_order/orders/links.py", 10),
        Function(1, "now", "rs_order/orders/links.py", 5),
    ]


def test_checkouts_are_compared_column_by_column(checkout: Path) -> None:
    lines = table({"before": figures(checkout), "after": figures(checkout)}).splitlines()

    assert lines[:4] == [
        "| Figure | before | after |",
        "| --- | ---: | ---: |",
        "| product modules | 3 | 3 |",
        "| median of their lines | 2 | 2 |",
    ]
    assert lines[-1] == f"| functions above {AIM} lines | 0 | 0 |"


def test_the_figures_of_this_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments the command prints the table of its own checkout, and the details."""
    main([])
    printed = capsys.readouterr().out
    mine = figures(ROOT)

    assert "| Figure | Value |" in printed
    assert f"| product modules | {len(mine.modules)} |" in printed
    assert str(mine.functions[0]) in printed
    assert mine.modules["rs_order/settings.py"] > 0
    assert not any("/sandbox/" in file or "/demo/" in file for file in mine.modules)

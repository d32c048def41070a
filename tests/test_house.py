"""The house rules that no linter knows: who may import errbot, docstrings, templates, registry hosts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.desk.commands import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "quarterdeck"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "plugins").rglob("*.py"), *(ROOT / "backends").rglob("*.py")])


def tree(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    """Top-level names a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def name(path: Path) -> str:
    """Path from the root, for messages and test ids."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_errbot_is_imported_by_plugins_and_backends_only(path: Path) -> None:
    """The package knows nothing of Errbot."""
    if PACKAGE in path.parents:
        assert "errbot" not in set(imported(path))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_says_in_its_first_line_why_it_exists(path: Path) -> None:
    """Every module begins with a sentence."""
    doc = ast.get_docstring(tree(path))
    assert doc, f"{name(path)} has no docstring"
    assert doc.splitlines()[0].rstrip().endswith((".", ":", ";", ",")), f"{name(path)}: {doc.splitlines()[0]}"


def test_plugin_files_hold_no_dataclass_and_import_no_plugin_class() -> None:
    """Errbot executes plugin files before they are modules, and takes the first BotPlugin it sees."""
    for path in (ROOT / "plugins").rglob("*.py"):
        text = path.read_text()
        assert "@dataclass" not in text
        classes = [n for n in tree(path).body if isinstance(n, ast.ClassDef)]
        assert len(classes) == 1


def strings(path: Path) -> Iterator[str]:
    """The strings of a file that are no docstrings."""
    nodes = list(ast.walk(tree(path)))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value


def test_the_core_speaks_in_facts() -> None:
    """What people are told to type, and that nothing was done, stand in the views; the table alone spells commands."""
    verbs = "|".join(name for command in COMMANDS for name in command.names)
    of_people = re.compile(rf"[Nn]othing done|!({verbs})\b")
    #: causes of failed steps and refused edits, which are quoted as they stand, by the command line tool too
    quoted = {"steps/diff.py", "charts/members.py", "charts/snapshot.py"}
    core = PACKAGE / "core"
    for path in sorted(core.rglob("*.py")):
        inside = str(path.relative_to(core))
        if inside != "desk/commands.py" and inside not in quoted:
            assert [text for text in strings(path) if of_people.search(text)] == [], inside


def test_no_file_names_a_registry_host() -> None:
    """Packages come by name through the ordinary clients, wherever those are told to look."""
    banned = re.compile(r"pypi\.org|proxy\.golang|registry\.npmjs|repo1\.maven|deb\.debian\.org")
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if (
            not path.is_file()
            or parts[0] in {".git", ".venv", "build"}
            or "run" in parts
            or path.name.startswith("endpoints")
            or path.suffix in {".sum", ".pyc"}
        ):
            continue
        if path == Path(__file__) or any(p.startswith(".") and p != ".ci" for p in parts):
            continue
        text = path.read_text(errors="replace")
        assert not banned.search(text), f"{path.relative_to(ROOT)}: {banned.search(text)}"

"""The shape of the house: a test file for each module, no test that leans on another, and no room with two nouns."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.checkout import ROOT

PACKAGE = ROOT / "videostore"
TESTS = ROOT / "tests"
LONGEST_MODULE = 350
"""Lines; a longer module says in its docstring why it is one."""
LONGEST_TEST = 750
REASON = re.compile(r"\bIt is long because\b")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if not path.name.startswith("__"))


def missing_tests(paths: list[Path], tests: Path) -> list[str]:
    """Modules without a test file of their name."""
    wanted = {path: tests / path.relative_to(PACKAGE).parent / f"test_{path.name}" for path in paths}
    return [str(path.relative_to(PACKAGE)) for path, test in wanted.items() if not test.exists()]


def imports_of_tests(source: str) -> list[str]:
    """Test files that a file imports from."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests"):
            found += [name for name in [node.module, *(one.name for one in node.names)] if ".test_" in f".{name}"]
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names if ".test_" in one.name]
    return found


def too_long(path: Path) -> bool:
    source = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(source)) or ""
    return len(source.splitlines()) > LONGEST_MODULE and REASON.search(doc) is None


def test_every_module_has_its_test_file() -> None:
    assert missing_tests(modules(), TESTS) == []


def test_every_test_file_has_its_module_or_its_subject() -> None:
    mirrored = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    subjects = {"browser", "docs", "faults", "hostile", "invariants", "players", "scripts", "server", "streams"}
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == mirrored | subjects | {"support"}


def test_no_file_imports_a_test_file() -> None:
    found = {path: imports_of_tests(path.read_text(encoding="utf-8")) for path in sorted(TESTS.rglob("*.py"))}
    assert {str(path.relative_to(TESTS)): names for path, names in found.items() if names} == {}


def test_no_module_is_long_without_a_reason() -> None:
    assert [str(path.relative_to(ROOT)) for path in modules() if too_long(path)] == []


def test_no_test_file_is_too_long() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py")}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count >= LONGEST_TEST} == {}


def test_the_checks_notice(tmp_path: Path) -> None:
    assert missing_tests([PACKAGE / "base" / "moon.py"], TESTS) == ["base/moon.py"]
    assert imports_of_tests("from tests.base.test_moon import full") == ["tests.base.test_moon"]
    assert imports_of_tests("from tests.base import test_moon") == ["test_moon"]
    long = tmp_path / "long.py"
    long.write_text('"""A moon."""\n' + "x = 1\n" * LONGEST_MODULE)
    assert too_long(long)
    long.write_text('"""A moon. It is long because its craters belong together."""\n' + "x = 1\n" * LONGEST_MODULE)
    assert not too_long(long)

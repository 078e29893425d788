"""Every document: its links lead somewhere, what it names exists, its Python compiles, its prose is wrapped."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.documents import DOCUMENTS, blocks, broken_links, page, quoted

WIDTH = 120
ODD_WORDS = re.compile(r"\b(?:anew|nobody|somebody|whoever)\b", re.IGNORECASE)
NOT_OURS = frozenset({"Dockerfile.canon", "preexec_fn"})
"""What looks like an identifier of ours and is none."""
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def unknown_names(text: str) -> list[str]:
    """Targets of make, files, modules, tests and capitals that the text names and the project lacks."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    unknown: list[str] = []
    for code in [*quoted(text), *"\n".join(blocks(text)).splitlines()]:
        for target in re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", code):
            if f"\n{target}:" not in makefile:
                unknown.append(f"make {target}")
        for path in re.findall(r"(?:^|[\s\[])((?:videostore|tests|scripts|docs|examples)/[\w./-]*\w)", code):
            if not (ROOT / path).exists():
                unknown.append(path)
        for name in re.findall(r"-m (scripts\.[\w.]+)", code):
            path = ROOT / name.replace(".", "/")
            if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists():
                unknown.append(name)
        for name in re.findall(r"\btest_\w+\b", code):
            if name not in all_functions() and not list(ROOT.glob(f"tests/**/{name}.py")):
                unknown.append(name)
        if re.fullmatch(r"_?[A-Z][A-Z0-9]*_[A-Z0-9_]+", code) and code not in all_words():
            unknown += [] if re.search(rf"\b{code}\b", makefile) else [code]
    return unknown


def unknown_identifiers(text: str) -> list[str]:
    """Classes, functions, attributes and options that the text names and no code has."""
    forms = r"_?[A-Z][a-z]\w+(\.\w+)?|_?[a-z][a-z0-9]*(_[a-z0-9]+)+"
    identifiers = [
        word
        for word in quoted(text)
        if re.fullmatch(forms, word) and not word.startswith("test_") and word not in NOT_OURS
    ]
    return [word for word in identifiers if not _is_in_code(*word.split("."))]


def _is_in_code(name: str, member: str = "") -> bool:
    if not member:
        return name in all_words()
    if name not in all_classes():
        return False
    base, body = all_classes()[name]
    defined = rf"(?m)def {member}\b|self\.{member}\b|^    {member}\b *[:=]"
    return re.search(defined, body) is not None or (base is not None and _is_in_code(base, member))


@functools.cache
def all_words() -> frozenset[str]:
    """The words of all code. To search it for each name of a page takes up to a second."""
    return frozenset(re.findall(r"\w+", all_code()))


@functools.cache
def all_functions() -> frozenset[str]:
    """The names of all functions and methods."""
    return frozenset(re.findall(r"\bdef (\w+)\(", all_code()))


@functools.cache
def all_classes() -> dict[str, tuple[str | None, str]]:
    """The first class of each name: what it is derived from, and its text."""
    found = re.finditer(r"^class (\w+)(?:\((\w+))?.*?(?=^\S)", all_code(), re.MULTILINE | re.DOTALL)
    return {one[1]: (one[2], one[0]) for one in reversed([*found])}


@functools.cache
def all_code() -> str:
    """Every line of Python, but for those of tests/docs."""
    paths = [path for folder in ("videostore", "scripts", "tests") for path in sorted(ROOT.glob(f"{folder}/**/*.py"))]
    here = Path(__file__).parent
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.parent != here)


def wide_lines(text: str) -> list[str]:
    """Lines of prose that are too long; a table, a diagram or a command cannot be broken."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith(("|", "#"))]


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path, path.read_text(encoding="utf-8")) == []


@each_document
def test_what_a_document_names_exists(path: Path) -> None:
    assert unknown_names(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/design/*.md")), ids=lambda path: path.name)
def test_identifiers_of_a_design_page_are_in_the_code(path: Path) -> None:
    assert unknown_identifiers(path.read_text(encoding="utf-8")) == []


@each_document
def test_python_of_a_document_compiles(path: Path) -> None:
    for block in blocks(path.read_text(encoding="utf-8"), "python"):
        compile(block, path.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@each_document
def test_prose_is_wrapped_and_has_no_odd_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert wide_lines(text) == []
    assert ODD_WORDS.findall(text) == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/*/*.md")}
    assert pages == {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", index)} - {
        "../README.md",
        "../CONTRIBUTING.md",
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"`make module-check`", "`make module-czech`", "make module-czech"),
        (r"`scripts/setup_build\.sh`", "`scripts/set_up.sh`", "scripts/set_up.sh"),
        (r"\Z", "`test_that_is_missing` and `MAX_MOONS`", "test_that_is_missing"),
        (r"\Z", "`test_that_is_missing` and `MAX_MOONS`", "MAX_MOONS"),
        (r"\Z", "`python -m scripts.moon`", "scripts.moon"),
    ],
)
def test_a_name_that_does_not_exist_is_noticed(old: str, new: str, told: str) -> None:
    text = page("guide/module-archive")
    changed = re.sub(old, lambda _: new, text)
    assert unknown_names(text) == [] and told in unknown_names(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [(r"\(install\.md#configure\)", "(install.md#configuration)"), (r"command-line\.md", "commandline.md")],
)
def test_a_broken_link_is_noticed(old: str, new: str) -> None:
    path = ROOT / "docs" / "guide" / "module-archive.md"
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(old, lambda _: new, text)
    assert count and len(broken_links(path, changed)) == len(broken_links(path, text)) + count


@pytest.mark.parametrize("word", ["MoonPhase", "Archive.moon", "moon_phase"])
def test_an_identifier_that_does_not_exist_is_noticed(word: str) -> None:
    assert unknown_identifiers(f"`{word}`, `Archive`, `frag_keyframe`") == [word]


def test_a_wide_line_is_noticed() -> None:
    assert wide_lines("word " * 30) and not wide_lines("| " + "word " * 30)

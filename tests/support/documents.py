"""The project's documents in Markdown, read: sections, tables, code, links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.checkout import ROOT

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]


def page(name: str) -> str:
    """The text of a page below `docs/`, such as `reference/commands`."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading such as `## Limits`, up to the next heading of its level or a higher one."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading!r}"
    return found[1]


def headings(text: str, level: int) -> list[str]:
    """The headings of a level, without their marks."""
    return re.findall(rf"^#{{{level}}} (.*)$", _outside_of_blocks(text), re.MULTILINE)


def tables(text: str) -> Iterator[list[list[str]]]:
    """Tables as rows of cells, the first row being the headings."""
    for table in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        yield [rows[0], *rows[2:]]


def rows_below(text: str, heading: str) -> list[list[str]]:
    """The rows of all tables whose first column has this heading."""
    return [row for heads, *rows in tables(text) if heads[0] == heading for row in rows]


def quoted(text: str) -> list[str]:
    """What stands between backticks, outside of blocks; between two of them it may hold single ones."""
    found = re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", _outside_of_blocks(text))
    return [match[2].strip().replace(r"\|", "|") for match in found]


def blocks(text: str, language: str = r"\w*") -> list[str]:
    """The content of the fenced blocks of a language; of all without one."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def json_blocks(text: str) -> list[Any]:
    """The blocks of JSON, read."""
    return [json.loads(block) for block in blocks(text, "json")]


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", _outside_of_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in lines}


def broken_links(path: Path, text: str) -> list[str]:
    """Relative links that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = path.parent / target if target else path
        known = text if there == path else there.read_text(encoding="utf-8") if there.is_file() else ""
        if not there.exists() or (anchor and anchor not in anchors(known)):
            broken.append(link)
    return broken


def _outside_of_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)

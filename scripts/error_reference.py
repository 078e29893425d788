"""Refreshes docs/reference/errors.md: classes, fields, gRPC statuses, codes and sentences come from the code.

    python -m scripts.error_reference            update the page
    python -m scripts.error_reference --check    only say what is out of date; the exit code is 1 if anything is

Each class has a section headed by its name. In it, the table of fields and the line of the status are replaced, and so
are sentences and fields in the tables of codes. What to do about an error is written by hand, in the last column, and
is kept.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import string
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from videostore.base import errors
from videostore.base.errors import VideoStoreError, error_classes
from videostore.viam.refusal import Refusal

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "errors.md"
FIELDS = "| field | type | meaning |"
CODES = "| code | error | fields | what to do |"
STATUS = "gRPC status: "
FIELDS_HEAD = f"{FIELDS}\n|---|---|---|\n"
CODES_HEAD = f"{CODES}\n|---|---|---|---|\n"


def classes() -> dict[str, type[VideoStoreError]]:
    """The classes of `videostore.base.errors` by name, in their order there."""
    found = {kind.__name__: kind for kind in error_classes() if kind.__module__ == errors.__name__}
    return {name: found[name] for name in vars(errors) if name in found}


def refresh(page: str) -> str:
    """The page with everything in it that comes from the code as the code has it."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    kinds = classes()
    return "".join(_section(part, kinds[name]) if (name := _heading(part)) in kinds else part for part in parts)


def problems(page: str) -> list[str]:
    """What only a person can correct: a class without a section, an error without an explanation."""
    named = {_heading(part): part for part in re.split(r"^(?=## )", page, flags=re.MULTILINE)}
    found = [f"{name} has no section." for name in classes() if name not in named]
    for name, part in named.items():
        if name in classes() and (CODES_HEAD not in part or f"\n{STATUS}" not in part):
            found.append(f"{name} lacks a table of codes, or the line of its status.")
        if name in classes() and [*_fields(classes()[name])] and FIELDS_HEAD not in part:
            found.append(f"{name} lacks its table of fields.")
        found += [f"{name}: {code} is not explained." for code, explanation in _rows(part) if not explanation]
    return found


def _heading(part: str) -> str:
    return part.partition("\n")[0].removeprefix("## ").strip()


def _rows(part: str) -> Iterator[tuple[str, str]]:
    """The code and the explanation of each row of the tables of codes."""
    for table in re.findall(re.escape(CODES_HEAD) + r"((?:\|.*\n)*)", part):
        for line in table.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            yield cells[0].strip("`"), cells[-1]


def _section(part: str, kind: type[VideoStoreError]) -> str:
    explained = dict(_rows(part))
    missing = [code for code in kind.sentences if code not in explained]

    def codes(table: re.Match[str]) -> str:
        nonlocal missing
        listed = [code for code, _ in _rows(table[0]) if code in kind.sentences]
        if table.end() == last:
            listed, missing = listed + missing, []
        return "".join([CODES_HEAD, *(_row(kind, code, explained.get(code, "")) for code in listed)])

    pattern = re.compile(re.escape(CODES_HEAD) + r"(?:\|.*\n)*")
    last = max((found.end() for found in pattern.finditer(part)), default=0)
    part = pattern.sub(codes, part)
    table = "".join([FIELDS_HEAD, *_fields(kind)])
    part = re.sub(re.escape(FIELDS_HEAD) + r"(?:\|.*\n)*", lambda _: table, part)
    return re.sub(rf"^{STATUS}(?:.+\n)+", lambda _: _statuses(kind) + "\n", part, flags=re.MULTILINE)


def _statuses(kind: type[VideoStoreError]) -> str:
    """The line of the gRPC status, with the codes that have another one."""
    by_code = {code: Refusal(kind(code)).grpc_code.name for code in kind.sentences}
    usual, *others = (name for name, _ in Counter(by_code.values()).most_common())
    parts = [f"`{usual}`"]
    for other in others:
        codes = [f"`{code}`" for code in sorted(by_code) if by_code[code] == other]
        parts.append(
            f"`{other}` for {', '.join(codes[:-1])} and {codes[-1]}" if codes[1:] else f"`{other}` for {codes[0]}"
        )
    return textwrap.fill(STATUS + "; ".join(parts), 120, break_on_hyphens=False)


def _row(kind: type[VideoStoreError], code: str, explanation: str) -> str:
    sentence = kind(code).sentence().replace("|", r"\|")
    fence = "``" if "`" in sentence else "`"
    names = dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(kind.sentences[code]) if name)
    fields = ", ".join(f"`{name}`" for name in names)
    return f"| `{code}` | {fence}{sentence}{fence} | {fields} | {explanation} |\n"


def _fields(kind: type[VideoStoreError]) -> Iterator[str]:
    """A row for each field that the class declares itself; one description may be for several fields."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    waiting: list[tuple[str, str]] = []
    rows: list[tuple[str, str, str]] = []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if "ClassVar" not in ast.unparse(node.annotation):
                waiting.append((node.target.id, ast.unparse(node.annotation)))
        elif waiting:
            told = ""
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                told = " ".join(str(node.value.value).split())
            rows += [(*field, told) for field in waiting]
            waiting = []
    rows += [(*field, "") for field in waiting]
    for name, annotation, told in rows:
        yield f"| `{name}` | `{annotation}` | {told} |\n".replace(" | None", r" \| None").replace(
            "str | Path", r"str \| Path"
        )


def main() -> int:
    """Update the page, or check it."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.error_reference", description="Update the error reference."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; say what is out of date")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    refreshed = refresh(page)
    found = problems(refreshed)
    if refreshed != page:
        if check:
            found.append(f"{PAGE.name} is out of date: run python -m scripts.error_reference.")
        else:
            PAGE.write_text(refreshed, encoding="utf-8")
            print(f"{PAGE.name} was updated.")
    for one in found:
        print(one, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

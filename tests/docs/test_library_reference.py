"""docs/reference/library.md and the code say the same: public names, signatures, fields, members."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

import videostore
from tests.support.classes import is_class
from tests.support.documents import DOCUMENTS, blocks, headings, page, quoted, rows_below, section, tables
from videostore.remote.client import Machine

NAMES: dict[str, Any] = {name: getattr(videostore, name) for name in videostore.__all__} | {"Machine": Machine}
CONSTRUCTED = (videostore.VideoStore, videostore.FFmpegInput)
"""Classes whose constructors are for users, too."""
ERRORS = {name for name, value in NAMES.items() if isinstance(value, type) and issubclass(value, Exception)}
NOT_A_SECTION = ERRORS | {"__version__"}


@pytest.fixture(scope="module")
def text() -> str:
    return page("reference/library")


def sections(text: str) -> dict[str, str]:
    """The sections that are headed by a public name, each up to the next heading."""
    parts = re.split(r"^(?=###? )", text, flags=re.MULTILINE)
    return {part.partition("\n")[0].strip("# `"): part for part in parts}


def differences(text: str) -> set[str]:
    """Names, signatures and fields that the page or the code alone has."""
    parts = sections(text)
    found = {name for name in NAMES.keys() - NOT_A_SECTION if name not in parts}
    found |= ERRORS ^ set(_listed_errors(text))
    for name, value in NAMES.items():
        if name in parts and name not in ERRORS:
            found |= {f"{name}: {one}" for one in set(signatures_of(value)) ^ set(told_signatures(parts[name]))}
            found |= {f"{name}: {one}" for one in set(fields_of(value)) ^ set(told_fields(parts[name]))}
            found |= {f"{name}: {one}" for one in members_of(value) - {text.strip('"') for text in quoted(parts[name])}}
    return found


def _listed_errors(text: str) -> list[str]:
    return [row[0].strip("`") for row in rows_below(section(text, "## Errors"), "class")]


def signatures_of(value: Any) -> Iterator[str]:
    """The public functions of a class, or a function, as `async def name(start: Moment) -> SavedClip`."""
    if inspect.isfunction(value) or (is_class(value) and not dataclasses.is_dataclass(value)):
        for part in _parts_of(value):
            yield from (_signature(node) for node in _functions(part) if not node.name.startswith("_"))
    if value in CONSTRUCTED:
        yield from map(_signature, _functions(value.__init__))


def _parts_of(value: Any) -> list[Any]:
    """A function; or a class with those of its bases that are ours and have no name for users."""
    if not isinstance(value, type):
        return [value]
    bases = [one for one in value.__mro__[1:] if one.__module__.startswith("videostore.")]
    return [value, *(one for one in bases if one.__name__ not in NAMES)]


def _functions(value: Any) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    nodes = found.body if isinstance(found, ast.ClassDef) else [found]
    return [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def told_signatures(part: str) -> Iterator[str]:
    """The functions in the blocks of Python that have no body."""
    for block in blocks(part, "python"):
        for node in ast.parse(block).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and ast.unparse(node.body[0]) == "...":
                yield _signature(node)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    asynchronous = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    decorators = "".join(f"@{ast.unparse(one)} " for one in node.decorator_list)
    returns = ast.unparse(node.returns) if node.returns else "None"
    return f"{decorators}{asynchronous}def {node.name}({ast.unparse(node.args)}) -> {returns}"


def fields_of(value: Any) -> Iterator[str]:
    """The fields of a dataclass with their types."""
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        yield from (f"{field.name}: {field.type}" for field in dataclasses.fields(value))


def told_fields(part: str) -> Iterator[str]:
    """The fields in the table of a section."""
    for heads, *rows in tables(part):
        if heads[:2] == ["field", "type"]:
            for row in rows:
                yield f"{quoted(row[0])[0]}: {quoted(row[1])[0]}"


def members_of(value: Any) -> set[str]:
    """The members of an enumeration: their names and values."""
    if not isinstance(value, type) or not issubclass(value, enum.Enum):
        return set()
    return {text for one in value for text in (one.name, str(one.value))}


def test_names_signatures_and_fields_are_those_of_the_code(text: str) -> None:
    assert differences(text) == set()


def test_every_import_in_a_document_is_of_a_public_name() -> None:
    for path in DOCUMENTS:
        for block in blocks(path.read_text(encoding="utf-8"), "python"):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("videostore"):
                    public = ["Machine"] if node.module == Machine.__module__ else videostore.__all__
                    assert {alias.name for alias in node.names} <= set(public), path


def test_every_public_name_has_a_heading_of_its_own(text: str) -> None:
    told = headings(text, 2) + headings(text, 3)
    assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"^### StorageState$", "### Storage", "StorageState"),
        (r"^\| `used_bytes` .*\n", "", "StorageState: used_bytes: int"),
        (r"`used_bytes` \| `int`", "`used_bytes` | `float`", "StorageState: used_bytes: float"),
        (r"wait: bool = True", "wait: bool = False", "wait: bool=False"),
        (r"^def health\(self\)", "async def health(self)", "async def health(self) -> Health"),
        (r"^\| `NoRoomError` .*\n", "", "NoRoomError"),
        (r"`PENDING`", "`WAITING`", "SaveStatus: PENDING"),
    ],
)
def test_a_wrong_name_signature_or_field_is_noticed(old: str, new: str, told: str, text: str) -> None:
    changed = re.sub(old, new, text, flags=re.MULTILINE)
    assert changed != text and any(told in one for one in differences(changed) - differences(text))


def test_a_name_that_the_page_lacks_is_noticed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NAMES, "moon_phase", lambda: "full")
    assert "moon_phase" in differences(text)

"""Where the program constructs its errors, read from the source."""

from __future__ import annotations

import ast
import functools
import importlib
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.once import once_per_run
from videostore.base import sentences
from videostore.base.errors import VideoStoreError, error_classes

PACKAGE = ROOT / "videostore"


@dataclass(frozen=True)
class Construction:
    """A place where an error of ours is constructed."""

    place: str
    """File and line."""
    kind: type[VideoStoreError]
    codes: tuple[str, ...] | None
    """Its code, or both codes of a conditional expression; None if it is not a constant."""
    fields: frozenset[str]
    """The names of the fields that it gives."""
    gives_more: bool
    """Whether it passes on fields that only a run can tell (`**fields`)."""


@functools.cache
def kinds() -> dict[str, type[VideoStoreError]]:
    """Every class of our errors by its name, wherever it is defined."""
    for path in _files():
        if path.name != "__main__.py":
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    found: dict[str, type[VideoStoreError]] = {}
    for kind in error_classes():
        if kind.__module__.startswith("videostore."):
            assert kind.__name__ not in found, f"two classes are called {kind.__name__}"
            found[kind.__name__] = kind
    return found


@once_per_run
def constructions() -> list[Construction]:
    """Every construction of one of our errors in the package, also by `super().__init__` of a subclass."""
    return [one for path in _files() for one in constructions_in(path)]


def constructions_in(path: Path) -> Iterator[Construction]:
    """Those of one file."""
    place = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    yield from _walk(ast.parse(path.read_text(encoding="utf-8")), str(place), None)


def fields_of(template: str) -> dict[str, str]:
    """The fields in the braces of a sentence, each with its form."""
    return {name: form or "" for _, name, form, _ in string.Formatter().parse(template) if name is not None}


def tables() -> dict[str, dict[str, str]]:
    """The tables of sentences by name, without the one that joins others."""
    found = {name: table for name, table in vars(sentences).items() if name.isupper() and isinstance(table, dict)}
    assert found.pop("ANY_REQUEST")
    return found


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _walk(node: ast.AST, place: str, inside: type[VideoStoreError] | None) -> Iterator[Construction]:
    if isinstance(node, ast.ClassDef):
        inside = kinds().get(node.name)
    if isinstance(node, ast.Call) and (kind := _kind(node.func, inside)) is not None:
        yield Construction(
            place=f"{place}:{node.lineno}",
            kind=kind,
            codes=_codes(node.args[0]) if len(node.args) == 1 else None,
            fields=frozenset(keyword.arg for keyword in node.keywords if keyword.arg is not None),
            gives_more=any(keyword.arg is None for keyword in node.keywords),
        )
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, place, inside)


def _kind(called: ast.expr, inside: type[VideoStoreError] | None) -> type[VideoStoreError] | None:
    """The class whose `__init__` takes the code here; a subclass with an `__init__` of its own passes one on."""
    if inside not in (None, VideoStoreError) and ast.unparse(called) == "super().__init__":
        return inside
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    kind = kinds().get(name)
    if kind is None or (kind is not VideoStoreError and "__init__" in vars(kind)):
        return None
    return kind


def _codes(argument: ast.expr) -> tuple[str, ...] | None:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return (argument.value,)
    if isinstance(argument, ast.IfExp):
        chosen, other = _codes(argument.body), _codes(argument.orelse)
        return chosen + other if chosen is not None and other is not None else None
    return None

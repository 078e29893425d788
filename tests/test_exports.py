"""The public names of the package: complete, documented, and imported only when they are used."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import videostore
from tests.support.checkout import ROOT
from tests.support.classes import is_class

HEAVY = {
    "aiosqlite",
    "asyncio",
    "av",
    "dateutil",
    "ffmpeg",
    "grpclib",
    "imageio_ffmpeg",
    "numpy",
    "psutil",
    "rich",
    "sqlite3",
    "typer",
    "viam",
    "watchdog",
}
"""What `import videostore` must not import: each takes milliseconds."""
EDGES = {"grpclib", "rich", "typer", "viam"}
"""What no public name may need: the Viam module, a remote machine and the command line do."""
PUBLIC = [name for name in videostore.__all__ if name != "__version__"]


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a new process has imported after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60, cwd=ROOT)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_every_public_name_can_be_imported() -> None:
    for name in videostore.__all__:
        assert getattr(videostore, name) is not None
    names = json.dumps(PUBLIC)
    code = f"from videostore import *\nassert set({names}) <= set(globals())"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'videostore' has no attribute 'VideoStorage'"):
        videostore.VideoStorage  # type: ignore[attr-defined] # noqa: B018


def test_the_public_names_are_sorted_and_dir_has_all_of_them() -> None:
    def order(name: str) -> tuple[bool, bool, str]:  # constants, then classes, then the rest, as ruff sorts them
        return not name.isupper(), not name[0].isupper(), name

    assert list(videostore.__all__) == sorted(set(videostore.__all__), key=order)
    assert set(videostore.__all__) <= set(dir(videostore))


def test_type_checkers_see_the_names_that_are_imported_when_they_are_used() -> None:
    """The imports for type checkers, the table of modules and `__all__` name the same."""
    tree = ast.parse(Path(inspect.getsourcefile(videostore) or "").read_text(encoding="utf-8"))
    (block,) = [one for one in tree.body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING"]
    imports = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imports == videostore._MODULE_OF and sorted(imports) == sorted(PUBLIC)


def test_each_public_name_is_taken_from_the_module_that_defines_it() -> None:
    for name, module in videostore._MODULE_OF.items():
        value = getattr(videostore, name)
        assert getattr(importlib.import_module(module), name) is value
        if is_class(value) or inspect.isfunction(value):
            assert value.__module__ == module and value.__doc__, name


def annotations_of(value: Any) -> Iterator[tuple[ModuleType, str]]:
    """The annotations of a public function, or of the public methods and fields of a class, with their modules."""
    if inspect.isclass(value):
        for kind in value.__mro__:
            if kind.__module__.partition(".")[0] == "videostore":
                yield from (
                    (sys.modules[kind.__module__], str(one))
                    for one in vars(kind).get("__annotations__", {}).values()
                    if dataclasses.is_dataclass(kind)
                )
        members = [one for name, one in inspect.getmembers(value) if name == "__init__" or not name.startswith("_")]
    else:
        members = [value]
    for member in members:
        function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", None) or member)
        if inspect.isfunction(function) and function.__module__.partition(".")[0] == "videostore":
            for one in function.__annotations__.values():
                yield sys.modules[function.__module__], str(one)


def unpublished(value: Any) -> set[str]:
    """What the signatures and fields of a public name mention that is ours, and that a user cannot import."""
    found = set()
    for module, annotation in annotations_of(value):
        for node in ast.walk(ast.parse(annotation, mode="eval")):
            if isinstance(node, ast.Name) and node.id not in videostore.__all__ and hasattr(module, node.id):
                meant = getattr(module, node.id)
                # An alias such as `Callable[[float], None]` has the name of what it is made of, or none.
                own_name = getattr(meant, "__name__", getattr(meant, "_name", None))
                if own_name != node.id or getattr(meant, "__module__", "").partition(".")[0] == "videostore":
                    found.add(node.id)
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_whatever_a_public_signature_mentions_is_public(name: str) -> None:
    assert unpublished(getattr(videostore, name)) == set()


def test_a_signature_that_mentions_a_private_class_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        videostore, "__all__", [name for name in videostore.__all__ if name not in ("Range", "OnRanges", "Moment")]
    )
    assert unpublished(videostore.VideoStore) == {"OnRanges", "Moment"}
    assert unpublished(videostore.StorageState) == {"Range"}


def test_importing_the_package_imports_no_library() -> None:
    assert not modules_after("import videostore") & HEAVY
    assert "av" in modules_after("import av") and "sqlite3" in modules_after("import sqlite3")


def test_errors_are_caught_without_importing_what_raises_them() -> None:
    assert not modules_after("from videostore import VideoStoreError, NothingStoredError, Range") & (HEAVY)


def test_no_public_name_needs_the_viam_sdk_or_a_terminal() -> None:
    assert not modules_after("from videostore import *") & EDGES


def test_the_package_has_its_types() -> None:
    assert (Path(videostore.__file__).parent / "py.typed").exists()

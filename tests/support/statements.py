"""Sentences in the code that have no code of `videostore.base.sentences`: reasons, refusals, lines of the log.

They are found in the syntax of `videostore/**/*.py`, as templates: `…` stands for what is not known before the program
runs, and `'…'` for such a value in quotes.

- A reason is what is given to a parameter or assigned to a name in `REASONS`, or given to an exception in `FAULTS`:
  `get_status` shows it as `reason`, `storage_trouble` or `index_trouble`.
  So does the second of each pair in a table of `TABLES`.
- A refusal is what is given to an exception in `REFUSALS`: a client of the module gets it as it is.
- A line of the log is the first argument of `warning`, `error`, `info` or `exception`.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from tests.support.checkout import ROOT
from tests.support.once import once_per_run

REASONS = frozenset({"gap", "index_trouble", "reason", "reencoded", "storage_trouble", "trouble"})
FAULTS = frozenset(
    {"BadPictureError", "CameraError", "InputFault", "InputRefused", "ReorderedError", "UncopyableError", "WrongTimes"}
)
REFUSALS = frozenset({"NotSupportedError", "ViamGRPCError"})
LOG = frozenset({"error", "exception", "info", "warning"})
TABLES = frozenset({"_MISTAKES"})
HOLE = "…"


@functools.cache
def package_sources() -> Mapping[str, str]:
    """The package's files by their paths in the checkout."""
    paths = sorted(ROOT.glob("videostore/**/*.py"))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


class Statements:
    """The sentences of some files. Each set holds templates that have words of their own."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.reasons: set[str] = set()
        self.refusals: set[str] = set()
        self.log: set[str] = set()
        trees = [ast.parse(source) for source in sources.values()]
        self._reason_at = dict(_parameters(trees, REASONS))
        shared = {name: text for tree in trees for name, text in _constants(tree)}
        for tree in trees:
            constants = {**shared, **dict(_constants(tree))}
            for node in ast.walk(tree):
                for kind, expression in self._expressions(node):
                    kind |= {text for text in _templates(expression, constants) if _has_words(text)}

    def _expressions(self, node: ast.AST) -> Iterator[tuple[set[str], ast.expr]]:
        """Expressions that make sentences, each with the set to which these belong."""
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if called in FAULTS and node.args:
                yield self.reasons, node.args[0]
            elif called in REFUSALS and node.args:
                yield self.refusals, node.args[0]
            elif called in LOG and node.args and _is_logger(node.func):
                yield self.log, node.args[0]
            elif called in self._reason_at and len(node.args) > self._reason_at[called]:
                yield self.reasons, node.args[self._reason_at[called]]
            if "code" not in given:  # what an error of ours is given as its reason is the system's
                yield from ((self.reasons, value) for name, value in given.items() if name in REASONS)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_name(target).lstrip("_") in REASONS for target in targets):
                yield self.reasons, node.value
            if any(_name(target) in TABLES for target in targets) and isinstance(node.value, ast.Tuple):
                yield from ((self.reasons, pair.elts[1]) for pair in node.value.elts if isinstance(pair, ast.Tuple))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in REASONS:
                    yield self.reasons, value


@once_per_run
def package_statements() -> Statements:
    """The sentences of the package."""
    return Statements(package_sources())


def written_keys(nodes: Iterable[ast.AST]) -> set[str]:
    """The keys that are written to dictionaries among these nodes."""
    keys: list[ast.expr | None] = []
    for node in nodes:
        if isinstance(node, ast.Dict):
            keys += node.keys
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            keys.append(node.slice)
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def _parameters(trees: Iterable[ast.Module], names: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Functions and dataclasses that take a value of such a name, and at which place."""
    for node in itertools.chain.from_iterable(map(ast.walk, trees)):
        parameters: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parameters = [one.arg for one in node.args.args if one.arg not in ("self", "cls")]
        elif isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list):
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
            parameters = [one.target.id for one in fields if isinstance(one.target, ast.Name)]
        yield from ((node.name, at) for at, name in enumerate(parameters) if name in names)  # type: ignore[attr-defined]


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from ((target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name))


def _templates(node: ast.expr, constants: Mapping[str, str]) -> list[str]:
    """What an expression may write."""
    if isinstance(node, ast.Constant):
        text = node.value if isinstance(node.value, str) else ""
        return [re.sub(r"%[-.0-9]*[a-z]", HOLE, text.replace("%r", f"'{HOLE}'"))]
    if isinstance(node, ast.Name):
        return [constants.get(node.id, HOLE)]
    if isinstance(node, ast.FormattedValue):
        told = _templates(node.value, constants)
        return [f"'{text}'" for text in told] if node.conversion == ord("r") else told
    if isinstance(node, ast.JoinedStr):
        parts = [_templates(part, constants) for part in node.values]
        return ["".join(parts) for parts in itertools.product(*parts)]
    if isinstance(node, ast.IfExp):
        return _templates(node.body, constants) + _templates(node.orelse, constants)
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in _templates(value, constants)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _templates(node.left, constants), _templates(node.right, constants)
        return ["".join(parts) for parts in itertools.product(left, right)]
    return [HOLE]


def _is_logger(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and "log" in ast.unparse(function.value).lower()


def _name(node: ast.expr) -> str:
    """What is assigned to: the last part of its name, or the key."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _has_words(template: str) -> bool:
    return len(re.findall(r"[A-Za-z]{2,}", template)) >= 2

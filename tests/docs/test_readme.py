"""The README and the code say the same: attributes, commands, keys, environment variables, errors, names of files.

What users can meet is collected from all of `videostore/**/*.py`, and compared with the README both ways. A new error
needs a line in one of the README's tables, those whose first column is headed "error" or "symptom":

- Every class `…Error` counts, and those in `ERRORS`: what is given to it as its text is a sentence for users. One whose
  text users never see is named in `NOT_FOR_USERS`, with the reason.
- So does what is assigned to a name in `SHOWN`: reasons and troubles that `get_status` tells.
- Holes of f-strings, and whatever else is not known before the program runs, match anything; so does `…` in the README,
  which stands for holes alone. What follows `: …` at the end of an entry may be left out in the code.
- Functions that put a parameter into a sentence (`missing`, `refuse`) are followed to those who call them.
- In an "error" or "symptom" table the first column counts, and in the second what follows the word "Likewise". What the
  README names by itself somewhere else, between backticks, is found as well, but need not be an error.

In README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ the links, targets of make, files, tests and names in capitals are
looked up too. Each check takes texts, and the last tests show by changed copies that it fails.
"""

from __future__ import annotations

import ast
import functools
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.checkout import ROOT
from videostore.config import ATTRIBUTES, WITHOUT_EFFECT, Config, parse_config
from videostore.viam import commands

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]

ERRORS = frozenset({"BadParameter", "ClickException", "Gap", "UsageError"})
"""Besides all classes whose names end in `Error`."""
NOT_FOR_USERS = {
    "AssertionError": "a mistake of the program",
    "KeyError": "a mistake of the program",
    "NotImplementedError": "a mistake of the program",
    "OperationalError": "what SQLite would say itself",
    "NotOursError": "archive, plan and store treat such a file, and say of it what matters",
    "RuntimeError": "a mistake of the program",
    "TypeError": "a mistake of the program",
    "UnknownFileError": "archive leaves such a file alone; the log tells at debug",
    "UnreadableError": "plan and archive pass over such a file; the log tells",
    "ValueError": "a mistake of who calls the library",
}
SHOWN = frozenset({"_reason", "index_trouble", "reason", "storage_trouble", "trouble"})
UNSEEN = {
    "No picture has come for … s: the camera was only just asked.": "only a camera with a fault has been silent",
    "the recorder was stopped": "nobody is left to ask for it",
}
SYSTEM_VARIABLES = frozenset({"HOME", "NO_COLOR", "PATH", "TERM", "TMPDIR", "TZ"})

WILD = "…"
_MIN_WORDS = 2
"""A sentence with fewer words of its own only passes on what others say."""


# Sentences, out of the code


class Piece(NamedTuple):
    """A part of a sentence: written so, or a constant (`soft`), or a hole (`text` is None), a parameter's perhaps."""

    text: str | None
    soft: bool = False
    parameter: str = ""
    form: str = ""
    """How the parameter is formatted."""


@dataclass(frozen=True)
class Sentence:
    """What a user may read."""

    pieces: tuple[Piece, ...]
    place: str
    function: str
    """Which function makes it."""

    def __str__(self) -> str:
        return "".join(WILD if piece.text is None else piece.text for piece in self.pieces)

    @property
    def telling(self) -> bool:
        """Whether it has words of its own."""
        return len(re.findall(r"[A-Za-z]{2,}", self._own_words)) >= _MIN_WORDS

    @functools.cached_property
    def longest_word(self) -> str:
        """Where an entry lacks it, the two need not be compared."""
        return max(re.findall(r"[A-Za-z]+", self._own_words), key=len, default="")

    @property
    def _own_words(self) -> str:
        return " ".join(piece.text for piece in self.pieces if piece.text is not None and not piece.soft)

    @property
    def parameters(self) -> set[str]:
        return {piece.parameter for piece in self.pieces if piece.parameter}


HOLE = (Piece(None),)
Alternatives = list[tuple[Piece, ...]]


class Module:
    """The syntax of one file, with its constants."""

    def __init__(self, name: str, source: str, others: Mapping[str, Module]) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.constants: dict[str, Any] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.calls: dict[str, list[ast.Call]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions.setdefault(node.name, node)
            elif isinstance(node, ast.Call):
                self.calls.setdefault(_called(node), []).append(node)
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and (other := others.get(node.module or "")):
                for alias in node.names:
                    if alias.name in other.constants:
                        self.constants[alias.asname or alias.name] = other.constants[alias.name]
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                known, value = self.value_of(node.value)
                for target in targets:
                    if known and isinstance(target, ast.Name):
                        self.constants[target.id] = value

    def value_of(self, node: ast.expr) -> tuple[bool, Any]:
        """Whether the value of an expression is known before the program runs, and which it is."""
        safe = {"len": len, "map": map, "range": range, "str": str}
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        unfit = (ast.Await, ast.Lambda, ast.Yield, ast.NamedExpr, ast.comprehension)
        if not names <= {*self.constants, *safe} or any(isinstance(one, unfit) for one in ast.walk(node)):
            return False, None
        if any(isinstance(one, ast.Name) and self._is_local(one) for one in ast.walk(node)):
            return False, None
        try:
            value = eval(compile(ast.Expression(node), self.name, "eval"), {"__builtins__": safe, **self.constants})
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            return False, None
        return isinstance(value, (str, int, float, tuple, dict)), value

    def function_of(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The innermost function around a node."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return node
        return None

    def _is_local(self, name: ast.Name) -> bool:
        function = self.function_of(name)
        return function is not None and (name.id in _parameters(function) or bool(self._assigned(function, name.id)))

    @staticmethod
    @functools.cache
    def _assigned(function: ast.AST, name: str) -> list[ast.AST]:
        return [
            one
            for one in ast.walk(function)
            if isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Store)
        ]

    def _block(self, statement: ast.AST) -> tuple[ast.AST, str]:
        """The list of statements that a statement stands in."""
        parent = self.parents[statement]
        for field, value in ast.iter_fields(parent):
            if isinstance(value, list) and statement in value:
                return parent, field
        raise AssertionError("a statement stands in a block")

    def _statements(self, node: ast.AST) -> Iterator[ast.stmt]:
        """The statement that a node is in, and those that this one is in."""
        while node in self.parents:
            if isinstance(node, ast.stmt):
                yield node
            node = self.parents[node]

    def _assignments(self, name: ast.Name) -> list[ast.expr] | None:
        """What a local name may stand for; None where that is not known."""
        function = self.function_of(name)
        assert function is not None
        blocks = {self._block(statement) for statement in self._statements(name) if statement is not function}
        values: list[ast.expr] = []
        for target in self._assigned(function, name.id):
            statement = self.parents[target]
            if not isinstance(statement, ast.Assign) or statement.targets != [target]:
                return None
            if (statement.lineno, statement.col_offset) >= (name.lineno, name.col_offset) or name in ast.walk(
                statement.value
            ):
                continue
            if self._block(statement) in blocks:  # whatever it was before
                values = []
            values.append(statement.value)
        return values or None

    def render(self, node: ast.expr) -> Alternatives:
        """What an expression may write."""
        if isinstance(node, ast.Constant):
            return [] if node.value is None else [(Piece(str(node.value)),)] if node.value != "" else [()]
        if isinstance(node, ast.JoinedStr):
            return self._products([self.render(part) for part in node.values])
        if isinstance(node, ast.FormattedValue):
            return self._formatted(node)
        if isinstance(node, ast.IfExp):
            return self.render(node.body) + self.render(node.orelse)
        if isinstance(node, ast.BoolOp):  # where one is a hole, the README's `…` may stand for the others
            parts = [one for part in node.values for one in self.render(part)]
            return [_soft(one) for one in parts] if HOLE in parts else parts
        known, value = self.value_of(node)
        if known:
            return [(Piece(str(value), soft=True),)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._products([self.render(node.left), self.render(node.right)])
        if isinstance(node, ast.Name) and (function := self.function_of(node)) is not None:
            if self._assigned(function, node.id):
                values = self._assignments(node)
                return [HOLE] if values is None else [one for value in values for one in self.render(value)] or [HOLE]
            if node.id in _parameters(function):
                return [(Piece(None, parameter=node.id),)]
        return [HOLE]

    def _formatted(self, node: ast.FormattedValue) -> Alternatives:
        known, value = self.value_of(node.value)
        form = ""
        if isinstance(node.format_spec, ast.JoinedStr):
            form = "".join(str(part.value) for part in node.format_spec.values if isinstance(part, ast.Constant))
        if known and node.conversion == ord("r"):
            return [(Piece(repr(value), soft=True),)]
        if known:
            return [(Piece(format(value, form), soft=True),)]
        if node.conversion == ord("r"):
            return [(Piece("'"), *one, Piece("'")) if one != HOLE else HOLE for one in self.render(node.value)]
        return [
            tuple(part._replace(form=form) if part.parameter else part for part in one)
            for one in self.render(node.value)
        ]

    @staticmethod
    def _products(parts: Sequence[Alternatives]) -> Alternatives:
        return [tuple(itertools.chain(*one)) for one in itertools.product(*parts)]

    def sentences(self) -> Iterator[Sentence]:
        """All that this file makes for users."""
        for node in ast.walk(self.tree):
            texts: list[ast.expr] = []
            if isinstance(node, ast.Call) and _is_error(self._error_name(node)):
                texts = node.args[:1]
            elif isinstance(node, ast.Assign):
                if any(_target(target) in SHOWN for target in node.targets):
                    plain = isinstance(node.value, (ast.JoinedStr, ast.Constant))
                    texts = [node.value] if plain or not isinstance(node.targets[0], ast.Name) else []
            elif isinstance(node, ast.Dict):
                keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
                texts = [value for key, value in zip(keys, node.values, strict=True) if key in SHOWN]
            for text in texts:
                for pieces in self.render(text):
                    yield self.sentence(pieces, node)

    def messages(self) -> Iterator[Sentence]:
        """What it writes to the log. The README may name it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _called(node) in ("debug", "error", "info", "warning") and node.args:
                text = node.args[0]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    words = re.split(r"%[-.0-9]*[a-z]", text.value)
                    pieces = [piece for word in words for piece in (Piece(None), Piece(word))]
                    yield self.sentence(tuple(pieces[1:]), node)

    def sentence(self, pieces: tuple[Piece, ...], node: ast.AST) -> Sentence:
        function = self.function_of(node)
        return Sentence(pieces, f"{self.name}:{getattr(node, 'lineno', 0)}", function.name if function else "")

    def _error_name(self, call: ast.Call) -> str:
        """The class that is made; `super().__init__(…)` makes the one that it stands in."""
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr == "__init__":
            node: ast.AST = call
            while node in self.parents and not isinstance(node, ast.ClassDef):
                node = self.parents[node]
            return node.name if isinstance(node, ast.ClassDef) else ""
        return _called(call)


def _is_error(name: str) -> bool:
    return (name.endswith("Error") or name in ERRORS) and name not in NOT_FOR_USERS


def _soft(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    return tuple(piece._replace(soft=True) for piece in pieces)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _target(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else ""
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def read_modules(sources: Mapping[str, str]) -> dict[str, Module]:
    """Files by their dotted names, with what they import from one another."""
    modules: dict[str, Module] = {}
    for _ in range(2):  # the second time all imports are known
        modules = {name: Module(name, source, modules) for name, source in sources.items()}
    return modules


def collect_sentences(modules: Mapping[str, Module]) -> tuple[list[Sentence], list[Sentence]]:
    """Sentences that the README must name, and those that it may name, which are more exact."""
    made = [one for module in modules.values() for one in module.sentences()]
    required = [one for one in made if one.telling and str(one) not in UNSEEN]
    exact: list[Sentence] = []
    for _ in range(4):  # through so many functions a sentence may be handed on
        refined: list[Sentence] = []
        for sentence in made:
            more = list(_refine(sentence, modules)) if sentence.parameters else []
            refined += more
            if sentence.telling and not more:
                exact.append(sentence)
            if not sentence.telling:
                required += [one for one in more if one.telling and str(one) not in UNSEEN]
        made = refined
    exact += [one for module in modules.values() for one in module.messages() if one.telling]
    return list({str(one): one for one in required}.values()), exact + [one for one in made if one.telling]


def _refine(sentence: Sentence, modules: Mapping[str, Module]) -> Iterator[Sentence]:
    """The sentences of those who call the function that makes a sentence out of its parameters."""
    function = modules[sentence.place.partition(":")[0]].functions.get(sentence.function)
    if function is not None:
        for caller in modules.values():
            for call in caller.calls.get(function.name, []):
                yield from _substitute(sentence, function, caller, call)


def _substitute(
    sentence: Sentence, function: ast.FunctionDef | ast.AsyncFunctionDef, caller: Module, call: ast.Call
) -> Iterator[Sentence]:
    names = [name for name in _parameters(function) if name not in ("self", "cls")]
    given = dict(zip(names, call.args, strict=False)) | {one.arg or "": one.value for one in call.keywords}
    parts: list[Alternatives] = []
    for piece in sentence.pieces:
        argument = given.get(piece.parameter) if piece.parameter else None
        written: Alternatives = [(piece._replace(parameter=""),)] if argument is None else caller.render(argument)
        if piece.form and argument is not None and (value := caller.value_of(argument))[0]:
            written = [(Piece(format(value[1], piece.form), soft=True),)]
        parts.append([one for one in written if one != HOLE] or written)
    for pieces in Module._products(parts):
        if any(piece.text is not None or piece.parameter for piece in pieces):
            yield caller.sentence(pieces, call)


@functools.cache
def sources() -> Mapping[str, str]:
    """The package's files."""
    paths = sorted(ROOT.glob("videostore/**/*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8") for path in paths}


@functools.cache
def modules() -> dict[str, Module]:
    """The package's syntax."""
    return read_modules(sources())


@functools.cache
def sentences() -> tuple[list[Sentence], list[Sentence]]:
    """The package's sentences."""
    return collect_sentences(modules())


# Entries, out of the README


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next of its level."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading!r}"
    return found[1]


def tables(text: str) -> Iterator[list[list[str]]]:
    """Tables as rows of cells, the first row being the headings."""
    for table in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        yield [rows[0], *rows[2:]]


def quoted(text: str) -> list[str]:
    """What stands between backticks, outside of blocks; between two of them it may hold single ones."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [found[2].strip() for found in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", text)]


def named_errors(readme: str) -> list[str]:
    """The sentences that the README says a user may meet."""
    cells = []
    for heads, *rows in tables(readme):
        if heads[0] in ("error", "symptom"):
            cells += [row[0] for row in rows] + [row[1].partition("Likewise")[2] for row in rows]
    return [entry for cell in cells for entry in quoted(cell) if " " in entry.strip()]


class Entry:
    """A sentence of the README, ready to be compared with many."""

    def __init__(self, text: str) -> None:
        self.text = text.rstrip(".")
        self._end = 1 << len(self.text)
        self._wild = sum(1 << at for at, char in enumerate(self.text) if char == WILD)
        self._at: dict[str, int] = {}
        for at, char in enumerate(self.text):
            self._at[char] = self._at.get(char, 0) | 1 << at

    def matches(self, sentence: Sentence) -> bool:
        """Whether both may be one: a hole takes anything, and `…` takes holes, constants and punctuation."""
        if sentence.longest_word not in self.text:
            return False
        text = [(piece.text, piece.soft) for piece in sentence.pieces]
        while text and text[-1][0] is not None and not text[-1][0].strip("."):
            text.pop()
        if text and text[-1][0] is not None:
            text[-1] = (text[-1][0].rstrip("."), text[-1][1])
        states = self._skip(1)  # bit n: so many characters of the entry are taken
        for words, soft in text:
            if words is None:
                states = (2 * self._end - 1) & -(states & -states)
                continue
            for char in words:
                stay = states & self._wild if soft or not char.isalnum() else 0
                states = (states & self._at.get(char, 0)) << 1 | stay
                states = self._skip(states)
                if not states:
                    return False
        return bool(states & self._end)

    def _skip(self, states: int) -> int:
        while (more := states | (states & self._wild) << 1) != states:
            states = more
        return states


def _entries(text: str) -> list[Entry]:
    shorter = re.sub(r": …\.?$", "", text)
    return [Entry(text), *([Entry(shorter)] if shorter != text and " " in shorter else [])]


def _variants(sentence: Sentence) -> list[Sentence]:
    """A sentence may follow another: `…. It is tried again.` is known by what it adds."""
    head, *rest = sentence.pieces or HOLE
    if head.text is None and rest and rest[0].text is not None and re.match(r"[.:;] ", rest[0].text):
        return [sentence, replace(sentence, pieces=(rest[0]._replace(text=rest[0].text[2:]), *rest[1:]))]
    return [sentence]


def undocumented_errors(readme: str, required: Sequence[Sentence]) -> list[str]:
    """Sentences of the code that the README lacks."""
    entries = [entry for text in quoted(readme) if " " in text for entry in _entries(text)]
    return [
        f"{one.place}: {one}"
        for one in required
        if not any(entry.matches(variant) for variant in _variants(one) for entry in entries)
    ]


def invented_errors(readme: str, exact: Sequence[Sentence]) -> list[str]:
    """Sentences of the README that the code lacks."""
    variants = [variant for one in exact for variant in _variants(one)]
    return [
        text
        for text in named_errors(readme)
        if not any(entry.matches(variant) for entry in _entries(text) for variant in variants)
    ]


# Attributes, commands, keys, variables


def attribute_differences(readme: str) -> set[str]:
    """Attributes that the table or the code alone knows, those of another default, and misnamed ones in the text."""
    ((_, *rows),) = tables(section(readme, "## Attributes"))
    table = {row[0].strip("`"): row[2] for row in rows}
    objects = set(ATTRIBUTES)
    known = {f"{prefix}.{leaf}".lstrip(".") for prefix, leaves in ATTRIBUTES.items() for leaf in leaves} - objects
    differences = set(table) ^ (known - set(WITHOUT_EFFECT))
    named = {word for word in quoted(readme) if re.fullmatch(r"(storage|video)\.[a-z_]+", word)}
    differences |= {name for name in named | set(WITHOUT_EFFECT) if name not in known or f"`{name}`" not in readme}
    config, _ = parse_config("<name>", {"sync": "data-manager", "storage": {"size_gb": 1}})
    for name in set(table) & known:
        default = table[name].strip("`").replace("~", str(Path.home()))
        if default not in ("**required**", "see right", "first image"):
            differences |= (
                {name} if str(_value(config, name)).removesuffix(".0") != default.replace("none", "None") else set()
            )
    return differences


def _value(config: Config, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def json_blocks(readme: str) -> list[Any]:
    """The README's JSON, read."""
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)]


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return {*value, *(key for one in value.values() for key in _keys(one))}
    return {key for one in value for key in _keys(one)} if isinstance(value, list) else set()


def command_keys(source: str) -> dict[str, tuple[set[str], set[str]]]:
    """For each command the fields that it reads and the keys that it answers, out of the file `commands.py`."""
    tree = ast.parse(source)
    functions = {one.name: one for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    handled = {}
    for test in ast.walk(functions["execute"]):
        if isinstance(test, ast.If) and isinstance(test.test, ast.Compare):
            (value,) = test.test.comparators
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                reach = _reach([one for statement in test.body for one in ast.walk(statement)], functions)
                fields = {"command"} | {_field(one) for one in reach if isinstance(one, ast.Call)} - {""}
                handled[value.value] = fields, _written_keys(reach)
    return handled


def _reach(nodes: list[ast.AST], functions: Mapping[str, ast.AST]) -> list[ast.AST]:
    """These nodes, and those of all functions that are called among them."""
    names = {_called(one) for one in nodes if isinstance(one, ast.Call)} & functions.keys()
    rest = {name: function for name, function in functions.items() if name not in names}
    return nodes + [node for name in names for node in _reach(list(ast.walk(functions[name])), rest)]


def _field(call: ast.Call) -> str:
    """The field of the command that a call reads."""
    if _called(call) == "get" and isinstance(call.func, ast.Attribute):
        names: list[ast.expr] = call.args[:1] if getattr(call.func.value, "id", "") == "command" else []
    else:
        names = call.args[1:2] if call.args and getattr(call.args[0], "id", "") == "command" else []
    return next((str(one.value) for one in names if isinstance(one, ast.Constant)), "")


def _written_keys(nodes: Sequence[ast.AST]) -> set[str]:
    keys = [key for one in nodes if isinstance(one, ast.Dict) for key in one.keys]
    keys += [one.slice for one in nodes if isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Store)]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def command_differences(readme: str, source: str) -> set[str]:
    """Commands, fields and keys of answers that the README or the code alone knows."""
    handled = command_keys(source)
    text = section(readme, "## Commands")
    headings = {heading.partition(",")[0] for heading in re.findall(r"^### (.*)$", text, re.MULTILINE)}
    differences = (headings - {"Timestamps and ranges"}) ^ set(handled) | set(handled) ^ set(commands.NAMES)
    examples: dict[str, set[str]] = {}
    for block in json_blocks(readme):
        if isinstance(block, dict) and "command" in block:
            examples.setdefault(block["command"], set()).update(_keys(block))
    differences |= examples.keys() - handled.keys()
    shared = section(text, "### Timestamps and ranges")
    for name in handled.keys() & headings:
        fields, answers = handled[name]
        own = section(text, f"### {name}")
        table = {word for heads, *rows in tables(own) if heads[0] == "field" for row in rows for word in quoted(row[0])}
        inline = {*quoted(own + shared), *re.findall(r'"([a-z_]+)":', own + shared)}
        told = table | examples.get(name, set())
        differences |= {f"{name}: {key}" for key in told - fields - answers}
        differences |= {f"{name}: {key}" for key in (fields | answers) - told - inline}
    return differences


def status_differences(readme: str, source: str) -> set[str]:
    """Keys of `get_status` that the README or the code alone knows."""
    functions = [one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FunctionDef)]
    nodes = [node for one in functions if one.name == "describe_health" for node in ast.walk(one)]
    ((_, *rows),) = (one for one in tables(readme) if one[0][0] == "key of `get_status`")
    inside = {key for row in rows for key in quoted(row[1])}
    listed = {key for row in rows for key in quoted(row[0])}
    return (listed - _written_keys(nodes)) | (_written_keys(nodes) - listed - inside)


def variable_differences(readme: str, modules: Mapping[str, Module]) -> set[str]:
    """Environment variables that the README or the code alone knows."""
    ours = re.compile(r"VIDEOSTORE_[A-Z_]*[A-Z]")
    read: set[str] = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ours.fullmatch(node.value):
                read.add(node.value)
            names: list[ast.expr] = []
            if isinstance(node, ast.Call) and re.fullmatch(r"os\.getenv|os\.environ\.get", ast.unparse(node.func)):
                names = node.args[:1]
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                names = [node.slice]
            elif isinstance(node, ast.keyword) and node.arg == "envvar":
                names = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value]
            read |= {str(value) for known, value in map(module.value_of, names) if known}
    named = set(ours.findall(readme)) | {name for name in read if name in readme}
    return named ^ (read - SYSTEM_VARIABLES)


# Links, targets, files and names of all documents


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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


def unknown_names(text: str) -> list[str]:
    """Targets of make, files, tests and capitals that the text names and the project lacks."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    unknown: list[str] = []
    for code in [*quoted(text), *blocks.splitlines()]:
        if (target := re.match(r"make ([a-z][a-z-]*)", code)) and f"\n{target[1]}:" not in makefile:
            unknown.append(target[0])
        for path in re.findall(r"(?:^|[\s\[])((?:videostore|tests|scripts|docs|examples)/[\w./-]*\w)", code):
            if not (ROOT / path).exists():
                unknown.append(path)
        for name in re.findall(r"-m (scripts\.\w+)", code):
            if not (ROOT / f"{name.replace('.', '/')}.py").exists():
                unknown.append(name)
        for name in re.findall(r"\btest_\w+\b", code):
            if f"def {name}(" not in all_code() and not (ROOT / "tests" / f"{name}.py").exists():
                unknown.append(name)
        if re.fullmatch(r"_?[A-Z][A-Z0-9]*_[A-Z0-9_]+", code) and not re.search(rf"\b{code}\b", all_code() + makefile):
            unknown.append(code)
    return unknown


@functools.cache
def all_code() -> str:
    """Every line of Python, but for those of this file."""
    paths = [path for folder in ("videostore", "scripts", "tests") for path in sorted(ROOT.glob(f"{folder}/**/*.py"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path != Path(__file__))


# The tests


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text(encoding="utf-8")


def test_every_error_of_the_code_is_in_the_readme(readme: str) -> None:
    found = undocumented_errors(readme, sentences()[0])
    assert not found, "\n".join(["in the code, and in no table of the README:", *found])


def test_every_error_of_the_readme_is_in_the_code(readme: str) -> None:
    found = invented_errors(readme, sentences()[1])
    assert not found, "\n".join(["in the README, and not in the code:", *found])


def test_attributes_and_their_defaults_are_those_of_the_config(readme: str) -> None:
    assert attribute_differences(readme) == set()


def test_commands_their_fields_and_answers_are_those_of_the_code(readme: str) -> None:
    assert command_differences(readme, sources()["videostore.viam.commands"]) == set()


def test_keys_of_the_status_are_those_of_the_code(readme: str) -> None:
    assert status_differences(readme, sources()["videostore.viam.commands"]) == set()


def test_environment_variables_are_those_of_the_code(readme: str) -> None:
    assert variable_differences(readme, modules()) == set()


def test_the_configs_of_the_examples_are_accepted_without_a_warning(readme: str) -> None:
    machines = [json.loads((ROOT / "examples" / "machine.json").read_text(encoding="utf-8"))]
    machines += [block for block in json_blocks(readme) if isinstance(block, dict) and "components" in block]
    parts = [part for machine in machines for part in machine["components"] if part["model"] == "viam:video:storage"]
    assert len(parts) == len(machines) >= 2
    for part in parts:
        assert parse_config(part["name"], part["attributes"])[1] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_of_a_document_compiles(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        compile(block, path.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_lead_somewhere(path: Path) -> None:
    assert broken_links(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_exists(path: Path) -> None:
    assert unknown_names(path.read_text(encoding="utf-8")) == []


# The tests' test: texts that differ are noticed

Check = Callable[[str], Collection[str]]


def _errors(readme: str) -> list[str]:
    required, exact = sentences()
    return undocumented_errors(readme, required) + invented_errors(readme, exact)


def _commands(readme: str) -> set[str]:
    return command_differences(readme, sources()["videostore.viam.commands"])


def _status(readme: str) -> set[str]:
    return status_differences(readme, sources()["videostore.viam.commands"])


def _variables(readme: str) -> set[str]:
    return variable_differences(readme, modules())


def _links(readme: str) -> list[str]:
    return broken_links(README, readme)


@pytest.mark.parametrize(
    ("check", "old", "new", "told"),
    [
        (_errors, r"^\| `Nothing is stored in .*storage is empty.*\n", "", "the storage is empty"),
        (_errors, r"^\| … `camera '…' repeats .*\n", "", "repeats its last picture"),
        (_errors, r"must be the data manager service\.", "must be a data manager.", "must be the data manager service"),
        (_errors, r"`tags\[1\] is '': it is empty\.`, ", "", "it is empty"),
        (_errors, r"'container' is 'mkv': it must be one of mp4", "'container' is 'mkv': it must be mp4", "'mkv'"),
        (_errors, r"no picture for 10 s", "no picture for 12 s", "no picture for 12 s"),
        (_errors, r"(?=^\| `The clip could not be cut)", "| `The moon is full: ….` | Wait. |\n", "The moon is full"),
        (attribute_differences, r"^\| `storage.size_gb` .*\n", "", "storage.size_gb"),
        (attribute_differences, r"^\| `video.preset` ", "| `video.speed` ", "video.speed"),
        (attribute_differences, r"(?<=`framerate` \| whole number \| )20", "25", "framerate"),
        (attribute_differences, r"See `storage\.min_free_gb`", "See `storage.min_free`", "storage.min_free"),
        (_commands, r"^### get-save-status$", "### save-status", "get-save-status"),
        (_commands, r"^\| `async` \|.*\n", "| `later` | true or false | |\n", "save: later"),
        (_commands, r'"container"', '"format"', "fetch: container"),
        (_commands, r'"disk_usage"', '"usage"', "get-storage-state: usage"),
        (_status, r"^\| `dropped_frames` .*\n", "", "dropped_frames"),
        (_status, r"(?=^\| `reason` \| Why not)", "| `mood` | Good. |\n", "mood"),
        (_variables, r"VIDEOSTORE_FFMPEG", "VIDEOSTORE_BINARY", "VIDEOSTORE_FFMPEG"),
        (_links, r"\(#limits\)", "(#limit)", "#limit"),
        (_links, r"\(LICENSE\)", "(LICENCE)", "LICENCE"),
        (unknown_names, r"`make soak`", "`make soap`", "make soap"),
        (unknown_names, r"tests/test_process_faults\.py", "tests/test_faults.py", "tests/test_faults.py"),
        (unknown_names, r"\Z", "`test_that_nobody_wrote` and `MAX_MOONS`", "test_that_nobody_wrote"),
        (unknown_names, r"\Z", "`test_that_nobody_wrote` and `MAX_MOONS`", "MAX_MOONS"),
    ],
)
def test_a_readme_that_says_otherwise_is_noticed(check: Check, old: str, new: str, told: str, readme: str) -> None:
    changed = re.sub(old, lambda _: new, readme, flags=re.MULTILINE)
    assert changed != readme
    before = check(readme)
    assert any(told in one for one in check(changed) if one not in before)


MAKES_A_SENTENCE = """
def fail(text):
    raise RequestError(text)
def f():
    fail("The moon is full.")
"""
CHOOSES_A_WORD = """
def f(moon):
    phase = "full" if moon else "new"
    raise RequestError(f"The moon is {phase}.")
"""
NAMES_ITS_CLASS = """
class MoonError(Exception):
    def __init__(self):
        super().__init__("There is no moon.")
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ('def f(moon):\n    raise RequestError(f"The moon is {moon}.")', "The moon is …."),
        ('def f(moon):\n    raise RequestError(f"The moon is {moon}, not {SIDE}.")', "The moon is …, not dark."),
        ('def f():\n    return errors.NoRoomError("There is no moon.")', "There is no moon."),
        ('def f(self):\n    self.trouble = "The moon is full."', "The moon is full."),
        ('def f(self):\n    return {"reason": "the moon is full"}', "the moon is full"),
        (MAKES_A_SENTENCE, "The moon is full."),
        (CHOOSES_A_WORD, "The moon is new."),
        (NAMES_ITS_CLASS, "There is no moon."),
    ],
)
def test_a_new_error_that_the_readme_lacks_is_noticed(code: str, told: str, readme: str) -> None:
    module = Module("videostore.moon", f'SIDE = "dark"\n{code}\n', {})
    required, _ = collect_sentences({module.name: module})
    assert any(told in one for one in undocumented_errors(readme, required))


def test_a_mistake_of_the_program_need_not_be_in_the_readme() -> None:
    module = Module("videostore.moon", 'def f(moon):\n    raise ValueError(f"a moon of {moon}")\n', {})
    assert collect_sentences({module.name: module}) == ([], [])


def test_a_new_attribute_field_or_key_that_the_readme_lacks_is_noticed(
    readme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTRIBUTES, "video", (*ATTRIBUTES["video"], "moon"))
    assert "video.moon" in attribute_differences(readme)
    source = sources()["videostore.viam.commands"]
    field = source.replace('_optional(command, "async"', '_optional(command, "moon"')
    assert "save: moon" in command_differences(readme, field)
    assert "save: moon" in command_differences(readme, source.replace('response["status"]', 'response["moon"]'))
    assert "moon" in status_differences(readme, source.replace('"pending_saves":', '"moon":'))

"""What the module's commands read and write, out of the sources of `videostore/viam/commands.py` and
`state_answer.py`."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from tests.support.statements import package_sources, written_keys


def commands_source() -> str:
    """The source of the commands, and of what describes their responses."""
    sources = package_sources()
    return "\n".join(sources[f"videostore/viam/{name}.py"] for name in ("commands", "state_answer"))


def command_keys(source: str) -> dict[str, tuple[set[str], set[str]]]:
    """For each command the fields that it reads and the keys of its response, out of the branches of `answer`."""
    tree = ast.parse(source)
    functions = {one.name: one for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    handled = {}
    for test in ast.walk(functions["answer"]):
        if isinstance(test, ast.If) and isinstance(test.test, ast.Compare):
            (value,) = test.test.comparators
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                reach = _reach([one for statement in test.body for one in ast.walk(statement)], functions)
                fields = {"command"} | {_field(one) for one in reach if isinstance(one, ast.Call)} - {""}
                handled[value.value] = fields, written_keys(reach)
    return handled


def _reach(nodes: list[ast.AST], functions: Mapping[str, ast.AST]) -> list[ast.AST]:
    """These nodes, and those of all functions that are called among them."""
    called = {ast.unparse(one.func) for one in nodes if isinstance(one, ast.Call)} & functions.keys()
    rest = {name: function for name, function in functions.items() if name not in called}
    return nodes + [node for name in called for node in _reach(list(ast.walk(functions[name])), rest)]


def _field(call: ast.Call) -> str:
    """The field of the command that a call reads."""
    names = call.args[1:2] if call.args and ast.unparse(call.args[0]) == "command" else []
    if ast.unparse(call.func) == "command.get":
        names = call.args[:1]
    return next((str(one.value) for one in names if isinstance(one, ast.Constant)), "")

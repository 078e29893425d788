from __future__ import annotations

from tests.support.program import Program


def test_the_servers_are_the_last_commands_of_the_help(program: Program) -> None:
    done = program("--help")
    commands = [line.split()[0] for line in done.out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert commands.index("web") + 1 == commands.index("serve")

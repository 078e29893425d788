from __future__ import annotations

import inspect

from videostore.cli import record_options, recording_commands


def test_the_commands_that_write_into_a_directory_want_it_named() -> None:
    for command in (recording_commands.record, recording_commands.import_):
        parameter = inspect.signature(command, eval_str=True).parameters["storage"]
        assert parameter.annotation == record_options.NewStorage and parameter.default is inspect.Parameter.empty

from __future__ import annotations

import re
from typing import Any

import typer.main

from videostore import config
from videostore.cli.app import app

RECORD: Any = typer.main.get_command(app).commands["record"]  # type: ignore[attr-defined]


def test_the_help_names_the_defaults_of_the_machine_config() -> None:
    named = {one.name: re.findall(r"Default: (\w+)\.", one.help or "") for one in RECORD.params}
    assert {name: default for name, (default,) in ((n, d) for n, d in named.items() if d)} == {
        "segment_seconds": f"{config.DEFAULT_SEGMENT_SECONDS:g}",
        "codec": config.DEFAULT_CODEC,
        "bitrate": str(config.DEFAULT_BITRATE),
        "preset": config.DEFAULT_PRESET,
        "framerate": str(config.DEFAULT_FRAMERATE),
    }
    assert all(preset in config.PRESETS for preset in ("ultrafast", "veryslow"))

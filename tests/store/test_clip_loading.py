from __future__ import annotations

import subprocess
import sys


def test_a_store_imports_what_makes_clips_when_it_is_told_to() -> None:
    code = (
        "import asyncio, sys, videostore.store.store\n"
        "from videostore.store.clip_loading import load_clips\n"
        "clips = {'videostore.store.clip_parts', 'videostore.clips.clip_maker', 'av'}\n"
        "assert not clips & {*sys.modules}\n"
        "asyncio.run(load_clips())\n"
        "assert clips <= {*sys.modules}\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0

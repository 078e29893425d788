from __future__ import annotations

import subprocess
import sys

import pytest

from videostore.media.libav import av, errors_of_reading, is_loaded, load


def test_it_is_pyav() -> None:
    load()
    import av as pyav

    assert is_loaded() and av.open is pyav.open and av.error.FFmpegError in errors_of_reading()
    with pytest.raises(AttributeError):
        _ = av.nothing_of_the_kind  # type: ignore[attr-defined]


def test_a_recorder_of_images_and_the_modules_process_do_not_import_it() -> None:
    code = (
        "import sys, videostore.viam.module, videostore.viam.camera, videostore.recording.recorder\n"
        "from videostore.media.libav import errors_of_reading\n"
        "assert errors_of_reading() == (OSError,)\n"
        "sys.exit('av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.program import Program
from videostore.base.errors import RequestError
from videostore.cli.storage_directory import find_directory


def test_the_directory_is_found_if_there_is_only_one(program: Program, recording: Path) -> None:
    mine = program.home / ".viam" / "video-storage"
    shutil.copytree(recording, mine / "door")
    (mine / "empty").mkdir()
    assert json.loads(program("state", "--json").out)["storage"] == str(mine / "door")
    shutil.copytree(recording, mine / "yard")
    done = program("state")
    assert done.code == 2
    assert f"There are several storage directories: {mine / 'door'}, {mine / 'yard'}. Name one with" in done.sentence
    named = program("state", "--json", VIDEOSTORE_STORAGE=str(mine / "yard"))
    assert json.loads(named.out)["storage"] == str(mine / "yard")
    above = program("state", "--storage", mine)
    assert above.code == 2 and f"{mine} holds no recording, but these do: {mine / 'door'}" in above.sentence


def test_a_path_that_cannot_be_a_storage_directory_is_an_error_with_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, code in ((tmp_path / "nowhere", "command-line-storage-missing"), (file, "not-a-directory")):
        with pytest.raises(RequestError) as raised:
            find_directory(path)
        assert (raised.value.code, raised.value.path) == (code, path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VIDEOSTORE_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as raised:
        find_directory(None)
    assert raised.value.code == "no-storage-found"


COMMANDS = {
    "state": ["state"],
    "export": ["export", "2024-08-30T08:40:00+02:00", "+1s"],
    "mark": ["mark", "2024-08-30T08:40:00+02:00", "someone"],
    "verify": ["verify", "--repair"],
    "web": ["web", "--port", "0"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_directory_of_another_user_is_refused_with_the_names_of_both_and_a_way_out(
    program: Program, tmp_path: Path, command: list[str]
) -> None:
    storage = tmp_path / "storage"
    storage.mkdir(mode=0)
    called = program.command(*command, "--storage", storage)
    if os.geteuid() == 0:  # without these, root is refused as any other user
        dropped = "-dac_override,-dac_read_search"
        called = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *called]
    done = subprocess.run(
        called, cwd=program.here, env=program.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stderr
    said = " ".join(done.stderr.split())
    assert f"The storage directory {storage} cannot be read: the user {storage.owner()} has no right" in said
    assert f"belongs to {storage.owner()}. Run the command as that user, with `sudo`, or work on a copy." in said

"""What earlier processes left behind in an upload path: partial clips, and reserved names. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from videostore.clips import reservations
from videostore.clips.clip_names import PROGRESS_SUFFIX, TAG_BYTES, TOKEN_BYTES, clean_name
from videostore.storage.save_record import SaveJob

SWEEP_S = 5.0
"""Less than the start waits for it: a sweep that goes on then would remove what is being written."""

_PROGRESS_NAME = re.compile(
    rf"_\d{{4}}-\d\d-\d\d_\d\d-\d\d-\d\d.*\.mp4\.([0-9a-f]{{{2 * TAG_BYTES}}})?[0-9a-f]{{{2 * TOKEN_BYTES}}}"
    rf"\{PROGRESS_SUFFIX}$",
    re.DOTALL,
)
"""What follows the component's name, which may be the start of another's. Those of 0.1.0 do not tell whose they are."""
_ABANDONED_S = 3600.0
"""Nothing lives that wrote to a partial clip so long ago: a save ends when it stands still for `UPLOAD_STALL_S`. More
than that, because the clock of a server may differ."""


def sweep(directory: Path, component: str, owner: str, tag: str, saves: Mapping[str, bool]) -> list[SaveJob]:
    """Remove what a component's earlier processes left behind: partial clips, and names that are reserved for none of
    its pending saves. Only at the start, while no other process can have the storage path.

    `owner` and `tag` are those of the component's reservations and partial clips. `saves` is which saves the index
    knows, and whether they are pending. Returns those that it has lost: they are only known by their reservations.

    Files of the data manager end in `.prog` too, and other components and processes may share the path: their partial
    clips are removed when they are old. What cannot be read is passed over, and after `SWEEP_S` the rest stays.
    """
    prefix = clean_name(component)
    lost = []
    deadline = time.monotonic() + SWEEP_S
    for path in _files(directory, f"{prefix}_"):
        if time.monotonic() > deadline:
            break
        if path.name.endswith(reservations.SUFFIX):
            clip = path.name.removesuffix(reservations.SUFFIX)
            if (found := reservations.find(path.parent, clip)) is None:
                continue
            if (found.recorder != owner or saves.get(clip, False)) and not found.ended:
                continue
            mine = found.recorder == owner
            if mine and clip not in saves and (save := SaveJob.from_identity(clip, found.save)) is not None:
                lost.append(save)
                continue
        elif not (match := _PROGRESS_NAME.match(path.name, len(prefix))) or not (match[1] == tag or _is_old(path)):
            continue
        with contextlib.suppress(OSError):
            path.unlink()
    return lost


def _files(directory: Path, prefix: str) -> Iterator[Path]:
    """Those of the upload path itself, such as all reservations, come first."""
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names if name.startswith(prefix) and name.endswith(PROGRESS_SUFFIX))


def _is_old(progress: Path) -> bool:
    try:
        return time.time() - progress.lstat().st_mtime > _ABANDONED_S
    except OSError:  # it is gone
        return False

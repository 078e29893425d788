"""The output path of a clip or a picture: checks that writing it destroys nothing, neither of the recording nor of
others, and that its name does not say that it is something else."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from videostore.base.errors import RequestError
from videostore.base.files import kind_of_file


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What is written, and the endings that say so; the first is the usual one."""

    name: str
    endings: tuple[str, ...]


CLIP = OutputFormat("an MP4", (".mp4", ".m4v"))
PICTURE = OutputFormat("a JPEG", (".jpg", ".jpeg", ".jpe"))
_OTHERS = (
    ".avi .flv .m2ts .mkv .mov .mpeg .mpg .mts .ogv .ts .vob .webm .wmv",
    ".avif .bmp .gif .heic .png .tif .tiff .webp",
    ".aac .flac .m3u8 .m4a .mp3 .oga .ogg .opus .wav",
)
_ENDINGS = frozenset((*CLIP.endings, *PICTURE.endings, *" ".join(_OTHERS).split()))
"""Each names a format. Other endings, such as `.part`, name none."""


def check_output_path(path: Path, storage: Path | None, overwrite: bool, written: OutputFormat) -> Path:
    """The path of a file to write, with the links in its directory resolved. `storage` is the recording, unless that is
    on another machine. Blocking.

    Raises:
        RequestError: it must not be written.
        OSError: its directory cannot be read.
    """
    ending = path.suffix.lower()
    if ending in _ENDINGS and ending not in written.endings:
        raise RequestError("output-ending", path=path, written=written.name, expected=written.endings[0])
    if not path.parent.is_dir():
        raise RequestError("no-output-directory", directory=path.parent, name=path.name)
    resolved = path.parent.resolve(strict=True) / path.name
    if storage is not None and _is_inside(resolved.parent, storage):
        raise RequestError("output-in-storage", path=path, directory=storage)
    with contextlib.suppress(FileNotFoundError):
        mode = resolved.lstat().st_mode
        if not overwrite:
            raise RequestError("output-exists", path=path)
        if not stat.S_ISREG(mode):
            raise RequestError("output-not-a-file", path=path, found=kind_of_file(mode))
    return resolved


def written_bytes(path: Path) -> int:
    """How much of an output was written. Blocking."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_written(path: Path) -> int:
    """Remove an output, if it is there. Blocking."""
    path.unlink(missing_ok=True)
    return 0


def _is_inside(directory: Path, storage: Path) -> bool:
    """Compares the directories themselves, because each may have several names."""
    try:
        recording = storage.stat()
    except OSError:  # it does not exist at the moment
        return directory.is_relative_to(os.path.realpath(storage))
    return any(os.path.samestat(one.stat(), recording) for one in (directory, *directory.parents))

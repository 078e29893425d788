"""Where the frozen program begins: `videostore/videostore` of the module archive (see `build_module`)."""

import os

# What PyInstaller sets so that the program finds its own libraries is not meant for the programs that it starts: an
# ffmpeg of the system that VIDEOSTORE_FFMPEG names needs those of the system.
for variable in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
    original = os.environ.pop(f"{variable}_ORIG", None)
    os.environ.pop(variable, None)
    if original is not None:
        os.environ[variable] = original

from videostore.cli import main  # noqa: E402 (the environment comes first)

main()

"""Entry point of the frozen program: `videostore/videostore` of the module archive (see `build_module`)."""

import os

# PyInstaller sets these so that the program finds its own libraries. Programs that it starts must not inherit them: an
# ffmpeg of the system, named by VIDEOSTORE_FFMPEG, needs the libraries of the system.
for variable in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
    original = os.environ.pop(f"{variable}_ORIG", None)
    os.environ.pop(variable, None)
    if original is not None:
        os.environ[variable] = original

# What the module starts of itself, such as the server of the page, has to look for its libraries as the module did.
# Otherwise PyInstaller takes it for a part of this process, and it finds only those of the system.
os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"

from videostore.cli import main  # noqa: E402 (after the environment is restored)

main()

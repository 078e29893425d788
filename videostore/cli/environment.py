"""The environment variables that the command line reads."""

from __future__ import annotations

STORAGE = "VIDEOSTORE_STORAGE"
FFMPEG = "VIDEOSTORE_FFMPEG"
FFPLAY = "VIDEOSTORE_FFPLAY"
API_KEY = "VIAM_API_KEY"
API_KEY_ID = "VIAM_API_KEY_ID"

VARIABLES = {
    STORAGE: "the storage directory, if --storage is not given",
    FFMPEG: "the ffmpeg to use, instead of the bundled one",
    FFPLAY: "the ffplay to use, instead of the one on the PATH",
    API_KEY: "the API key of the machine, if --api-key is not given",
    API_KEY_ID: "the id of that key, if --api-key-id is not given",
}
"""What each of them holds, as the help says it."""

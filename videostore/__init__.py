"""videostore: turns any Viam camera into a security recorder.

Who owns what, and how long it lives:

- `VideoStore` (store) lives as long as the configured resource and owns all below, from `start` to `close`.
- `Recorder` takes packets from a `Source` and owns one `Run` at a time: an ffmpeg that writes segments into the storage
  directory, until the source pauses, its pictures change size, the clock is stepped, or ffmpeg fails.
- `Archive` owns the `Index` (SQLite) and gives each finished segment its name; `Watcher` tells it what happened.
- `Retention` deletes the oldest segments beyond the quota; `Clips` cuts ranges out, `Uploads` names what is saved.
- `videostore.viam` is the module around it; nothing else here knows of Viam.

Times are whole microseconds since the Unix epoch, UTC (`_us`); local time stands only where people write or read it.
"""

__version__ = "0.1.0"

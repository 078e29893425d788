"""videostore: turns any Viam camera into a security recorder.

Who owns what, and how long it lives:

- `VideoStore` (store) lives as long as the configured resource and owns all below, from `start` to `close`.
- `Recorder` takes packets from a `Source` and owns one `Run` at a time: an ffmpeg that writes segments into the storage
  directory, until the source pauses, its pictures change size, the clock is stepped, or ffmpeg fails.
- `Archive` owns the `Index` (SQLite, in a `Database` that outlives its file) and gives each finished segment its name.
- `Upkeep` keeps the two in step with the directory, by the events of a `Watcher` and by slow walks, and revives what
  somebody took away; `Retention` deletes the oldest segments beyond the quota, but not what `Holds` keep.
- `Clips` makes a `Plan` of a range and cuts it out; `Uploads` names what is saved; `Saves` keeps promised saves over
  restarts.
- `videostore.viam` is the module around it; nothing else here knows of Viam.

Times are whole microseconds since the Unix epoch, UTC (`_us`); local time stands only where people write or read it.
"""

__version__ = "0.1.0"

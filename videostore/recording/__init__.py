"""Recording: a source, a bounded backlog, and one ffmpeg at a time."""

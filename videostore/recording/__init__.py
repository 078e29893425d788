"""Recording: a source, a bounded backlog, one ffmpeg at a time."""

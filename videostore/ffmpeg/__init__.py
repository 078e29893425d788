"""ffmpeg as a program: finding it, running it, its encoders, options and lists of files."""

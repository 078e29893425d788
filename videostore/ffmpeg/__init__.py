"""ffmpeg as a program: finding, starting and reading it; encoders."""

"""Sources of packets: inputs that ffmpeg opens."""

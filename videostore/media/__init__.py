"""Media formats: images, H.264 and H.265, fragmented MP4, segments and their names."""

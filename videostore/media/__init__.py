"""Media formats: pictures, H.26x, fragmented MP4, segments."""

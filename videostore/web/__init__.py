"""The web server: HLS over the segments, an API in JSON, and the page."""

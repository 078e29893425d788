"""A machine config in which every attribute is present, to replace one of them."""

from __future__ import annotations

from typing import Any

ATTRIBUTES = (
    "camera",
    "source",
    "source_options",
    "source_name",
    "audio",
    "sync",
    "storage",
    "storage.size_gb",
    "storage.storage_path",
    "storage.upload_path",
    "storage.segment_seconds",
    "storage.min_free_gb",
    "video",
    "video.format",
    "video.codec",
    "video.bitrate",
    "video.preset",
    "framerate",
    "web",
    "web.port",
    "web.host",
    "web.password_file",
    "web.password_env",
    "web.hosts",
)
"""The dotted name of every attribute."""


def valid_attributes() -> dict[str, Any]:
    """Every attribute, with a valid value."""
    return {
        "camera": "cam",
        "source": "rtsp://user:password@host/path",
        "source_options": {"rtsp_transport": "udp"},
        "source_name": "color",
        "audio": True,
        "sync": "data-manager",
        "storage": {
            "size_gb": 10.0,
            "storage_path": "/srv/recording",
            "upload_path": "/srv/upload",
            "segment_seconds": 30.0,
            "min_free_gb": 1.0,
        },
        "video": {"format": "mp4", "codec": "h264", "bitrate": 1e6, "preset": "medium"},
        "framerate": 20.0,
        "web": {
            "port": 8600.0,
            "host": "0.0.0.0",
            "password_file": "/etc/videostore/password",
            "password_env": "",
            "hosts": ["cameras.example.com"],
        },
    }


def with_attribute(dotted: str, value: Any) -> dict[str, Any]:
    """The valid attributes with one value replaced."""
    attributes = valid_attributes()
    section, _, leaf = dotted.rpartition(".")
    (attributes[section] if section else attributes)[leaf] = value
    return attributes

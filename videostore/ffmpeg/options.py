"""Output options shared by everything that encodes clips."""

from __future__ import annotations

from videostore.base.constants import US_PER_SECOND

_REENCODED = {"c:v": "libx264", "preset": "veryfast", "crf": 18, "bf": 0, "pix_fmt": "yuv420p"}


_EXACT_TIMES = {"fps_mode": "passthrough", "enc_time_base": f"1/{US_PER_SECOND}"}

from __future__ import annotations

import pytest

import videostore
from videostore.media.bad_picture import BadPictureError


def test_it_is_a_value_error_that_users_can_catch() -> None:
    assert videostore.BadPictureError is BadPictureError
    with pytest.raises(ValueError, match="6 bytes that are not a JPEG"):
        videostore.picture_packet(b"GIF89a")

from __future__ import annotations

import pytest

from videostore.base.errors import RequestError
from videostore.clips.containers import CONTAINERS, check_container


def test_another_container_is_refused_with_those_that_there_are() -> None:
    assert [check_container(one) for one in CONTAINERS] == ["mp4", "fmp4"]
    for value in ("webm", "", "MP4"):
        with pytest.raises(RequestError) as error:
            check_container(value)
        assert error.value.code == "field-wrong" and error.value.fields["value"] == value

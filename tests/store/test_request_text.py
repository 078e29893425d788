from __future__ import annotations

from typing import Any

import pytest

from tests.support.recording import START_US, US, Stores
from videostore import RequestError
from videostore.store.request_text import MOST_METADATA_BYTES, request_metadata, request_text


def test_a_text_is_taken_as_it_is_except_for_what_cannot_be_encoded() -> None:
    assert (request_text("an event", "metadata"), request_text("a\ud800b", "metadata")) == ("an event", "a?b")


@pytest.mark.parametrize("value", [5, None, b"text", ["text"]])
async def test_what_is_not_a_text_is_refused_by_the_name_of_its_field(stores: Stores, value: Any) -> None:
    store = await stores.open()
    with pytest.raises(RequestError) as refused:
        await store.save(START_US, START_US + US, metadata=value)
    error = refused.value
    assert (error.code, error.field, error.value, error.expected) == ("field-wrong", "metadata", value, "a string")
    with pytest.raises(RequestError, match="'filename' is"):
        await store.save_status(value)
    with pytest.raises(RequestError, match="'metadata' is"):
        await store.export(START_US, START_US + US, stores.directory / "clip.mp4", metadata=value)
    with pytest.raises(RequestError, match="'metadata' is"):
        async for _ in store.stream(START_US, START_US + US, metadata=value):
            pass


async def test_metadata_that_is_too_long_is_refused_by_every_request(stores: Stores) -> None:
    longest = "é" * (MOST_METADATA_BYTES // 2)
    assert request_metadata(longest) == longest
    store = await stores.open()
    asked = START_US, START_US + US
    with pytest.raises(RequestError, match=r"'metadata' has 16386 bytes\. It can have 16384") as refused:
        await store.save(*asked, metadata=longest + "é", wait=False)
    assert (refused.value.code, refused.value.field) == ("field-too-long", "metadata")
    with pytest.raises(RequestError, match="'metadata' has"):
        await store.save(*asked, metadata=longest + "é")
    with pytest.raises(RequestError, match="'metadata' has"):
        await store.export(*asked, stores.directory / "clip.mp4", metadata=longest + "é")
    with pytest.raises(RequestError, match="'metadata' has"):
        async for _ in store.stream(*asked, metadata=longest + "é"):
            pass

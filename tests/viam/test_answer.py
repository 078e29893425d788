from __future__ import annotations

import asyncio
import base64
import random
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from grpclib import GRPCError, Status
from hypothesis import given
from hypothesis import strategies as st
from viam.proto.common import DoCommandResponse
from viam.utils import dict_to_struct

from tests.support.amount import at_most, cut_short
from tests.support.machine import sent_error
from tests.support.property_settings import examples
from videostore.viam import answer as answers
from videostore.viam.answer import Base64Text, encode_answer, plain_answer, taken

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
)
ANSWERS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES)


async def sent(answer: dict[str, Any]) -> DoCommandResponse:
    """What a client gets."""
    encoded = await encode_answer(answer)
    blocks = list(encoded.blocks())
    assert sum(map(len, blocks)) == encoded.size
    assert max(map(len, blocks)) <= 1 << 18
    response: DoCommandResponse = DoCommandResponse.FromString(b"".join(blocks))
    return response


@cut_short
@given(ANSWERS)
@examples(at_most(40, 20), 3000)
async def test_a_client_gets_the_same_as_from_the_sdk(answer: dict[str, Any]) -> None:
    expected = DoCommandResponse(result=dict_to_struct(answer))
    assert MessageToDict(await sent(answer)) == MessageToDict(expected)


@pytest.mark.parametrize("size_bytes", [0, 1, 2, 3, 127, 196_607, 196_608, 196_609, 1_000_000])
async def test_a_clip_arrives_as_base64(size_bytes: int) -> None:
    data = random.Random(size_bytes).randbytes(size_bytes)
    answer = {"command": "fetch", "video": Base64Text(data), "ranges": [{"from": "a", "to": "b"}]}
    response = await sent(answer)
    assert response.result["video"] == base64.b64encode(data).decode() == plain_answer(answer)["video"]
    assert response.result["command"] == "fetch" and response.result["ranges"][0]["to"] == "b"


async def test_fifty_thousand_ranges_arrive() -> None:
    ranges = [{"from": f"2026-11-22_02-50-{number}", "to": "x"} for number in range(50_000)]
    response = await sent({"stored_video": ranges, "disk_usage": {"storage_used_gb": 1.5}})
    assert len(response.result["stored_video"]) == 50_000
    assert response.result["stored_video"][49_999]["from"] == "2026-11-22_02-50-49999"
    assert response.result["disk_usage"]["storage_used_gb"] == 1.5


async def test_text_that_is_not_unicode_arrives_with_replacements() -> None:
    assert (await sent({"storage_path": "/a\udcff"})).result["storage_path"] == "/a?"


async def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        await encode_answer({"video": b"bytes"})


async def test_a_client_that_takes_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "STALL_S", 0.1)
    with pytest.raises(GRPCError) as error:
        await taken(asyncio.get_running_loop().create_future())
    assert error.value.status is Status.UNAVAILABLE
    assert sent_error(error.value).code == "answer-not-taken"

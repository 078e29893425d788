from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.program import read_time
from tests.support.recording import START_US
from videostore.base.error_fields import describe_error, described_error
from videostore.base.errors import ConfigError, FFmpegError, NothingStoredError, RequestError, VideoStoreError
from videostore.base.ranges import Range
from videostore.base.sentences import NO_MATCH
from videostore.cli.style import CommandLineStyle, sentence_of

UTC = CommandLineStyle(utc=True)


@pytest.mark.parametrize(
    ("attribute", "option"),
    [
        ("storage.size_gb", "--size-gb"),
        ("storage.segment_seconds", "--segment-seconds"),
        ("storage.storage_path", "--storage"),
        ("storage.upload_path", "--storage"),
        ("video.codec", "--codec"),
        ("framerate", "--framerate"),
    ],
)
def test_an_attribute_is_written_as_the_option_that_sets_it(attribute: str, option: str) -> None:
    error = ConfigError("attribute-wrong", attribute=attribute, value=0, expected="more")
    assert sentence_of(error, UTC) == f"{option} is 0. It must be more."


def test_an_attribute_of_another_machine_keeps_its_name() -> None:
    error = VideoStoreError("upload-device-gone", attribute="storage.upload_path", path=Path("/data"))
    assert sentence_of(error, UTC) == "The device of --storage '/data' is gone."
    assert sentence_of(error, CommandLineStyle(options=False)) == "The device of storage.upload_path '/data' is gone."
    wrong = ConfigError("attribute-wrong", attribute="storage.size_gb", value=0, expected="more")
    assert sentence_of(wrong, CommandLineStyle(options=False)) == str(wrong)


def test_a_field_is_written_as_the_argument_that_sets_it() -> None:
    arguments = {"from": "FROM", "to": "TO", "position": "POSITION", "tags": "--tag", "container": "'container'"}
    for field, argument in arguments.items():
        error = RequestError("field-wrong", field=field, value=0, expected="more")
        assert sentence_of(error, UTC) == f"{argument} is 0. It must be more."
        assert str(error) == f"'{field}' is 0. It must be more."


def test_a_time_is_written_in_rfc_3339_local_or_in_utc() -> None:
    error = RequestError("from-after-to", field="from", other="to", from_us=START_US, to_us=START_US - 1_000_000)
    assert sentence_of(error, UTC) == (
        "FROM (2024-08-30T06:40:00.123Z) must be before TO (2024-08-30T06:39:59.123Z): the range is empty."
    )
    local = sentence_of(error, CommandLineStyle()).partition("(")[2].partition(")")[0]
    assert local[-6] in "+-" and read_time(local) == START_US // 1000 * 1000


def test_a_clip_that_ffmpeg_could_not_make_is_reported_with_its_reason() -> None:
    error = FFmpegError("clip-failed")
    assert sentence_of(error, UTC) == "The clip could not be made. See the module's log for the reason."
    error.__cause__ = FFmpegError("ffmpeg-failed", exit_code=1, reason="no luck.")
    assert sentence_of(error, UTC) == "The clip could not be made: ffmpeg failed (exit code 1): no luck."


def test_a_sentence_of_an_older_module_is_shown_as_it_is() -> None:
    sentence = "storage.size_gb is 0 since 2024-08-30_06-40-00.123Z."
    assert sentence_of(RequestError(sentence), UTC) == sentence


def test_what_only_clients_of_the_go_module_look_for_is_left_out() -> None:
    error = NothingStoredError("nothing-in-range", asked=Range(0, 5), nearest=Range(7, 9), reason="it is off")
    assert str(error).endswith(NO_MATCH)
    said = error.sentence(CommandLineStyle(utc=True))
    assert NO_MATCH not in said and ": it is off. The nearest stored range is from " in said


def test_an_event_whose_number_did_not_come_back_is_named_as_its_recorder_names_it() -> None:
    sent = RequestError("event-unknown", field="id", value=10**23)
    assert sentence_of(sent, UTC) == f"There is no event {10**23}. `videostore events` lists them."
    came = described_error(json.loads(json.dumps(describe_error(sent, 1000))))
    assert sentence_of(came, UTC) == str(sent)

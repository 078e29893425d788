from __future__ import annotations

import os
from pathlib import Path

import pytest

from videostore.base.errors import RequestError
from videostore.sources.input_url import Address


def address(input: str, format: str | None = None, **options: str) -> Address:
    return Address(input, options, format)


@pytest.mark.parametrize(
    ("input", "shown"),
    [
        ("rtsp://host/path", "rtsp://host/path"),
        ("rtsp://joe:pw1@host:554/path?x=1", "rtsp://…@host:554/path?x=1"),
        ("rtsp://joe@host/path", "rtsp://…@host/path"),
        ("rtsp://joe:p@ss@host/path", "rtsp://…@host/path"),
        ("rtsp://joe:pa/ss@host/path", "rtsp://…@host/path"),
        ("http://host/a@b.mp4", "http://host/a@b.mp4"),
        ("http://host:80/a@b.mp4", "http://…@b.mp4"),  # it may be a password
        ("rtsp://admin:123/456@host/s", "rtsp://…@host/s"),  # although it looks like a port and a path
        ("rtsp://admin:12#34@host/s", "rtsp://…@host/s"),
        ("rtsp://admin:12?34@host/s", "rtsp://…@host/s"),
        ("rtsp://admin:p@s/s@host/s", "rtsp://…@host/s"),
        ("rtsp://u:ab@host/", "rtsp://…@host/"),
        ("rtsp:admin:secret@host/s", "rtsp:…@host/s"),
        ("tcp:admin:secret@host", "tcp:…@host"),
        ("concat:http://u:secret@h/1|http://u:secret2@h/2", "concat:http://…@h/2"),
        ("http://host/cgi?user=joe&pwd=pw1&channel=2", "http://host/cgi?user=…&pwd=…&channel=2"),
        ("http://host/cgi?usr=joe&p=1", "http://host/cgi?usr=…&p=1"),
        ("http://host/x?pwd=a/b?c;d#e&x=1", "http://host/x?pwd=…&x=1"),
        ("http://host/x?token=YWI/ZGU=&x=1", "http://host/x?token=…&x=1"),
        ("http://host/x;pwd=secret", "http://host/x;pwd=…"),
        ("http://host/x;pwd=secret;y=1", "http://host/x;pwd=…;y=1"),
        ("http://host/#access_token=secret", "http://host/#access_token=…"),
        (
            "rtsp://host/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp",
            "rtsp://host/user=…_password=…_channel=1_stream=0.sdp",
        ),
        (
            "rtsp://host/user=admin&password=tl_Jw/x&channel=1.sdp",
            "rtsp://host/user=…&password=…&channel=1.sdp",
        ),
        ("srt://host:9?passphrase=secretsecret&mode=caller", "srt://host:9?passphrase=…&mode=caller"),
        ("rtmp://host/live/KEY", "rtmp://host/live/…"),
        ("rtmps://joe:pw@host:443/live/KEY/?x=1", "rtmps://…@host:443/live/…/?x=1"),
        ("rtmp://host/live/KEY?token=abc", "rtmp://host/live/…?token=…"),
        ("rtmp://host", "rtmp://host"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_an_address_is_shown_without_user_and_password(input: str, shown: str) -> None:
    assert str(address(input)) == shown
    assert str(address(input)) == address(input).redact(input)


def test_secrets_are_redacted_wherever_they_appear_in_a_text() -> None:
    one = address("rtsp://joe:s3cr%40t@host/x", headers="Authorization: Basic am9l")
    for text in ("failed: joe:s3cr%40t", "password s3cr@t refused", "sent Authorization: Basic am9l", "s3cr%40t"):
        redacted = one.redact(text)
        assert not [word for word in ("s3cr", "am9l") if word in redacted], redacted
    assert one.redact("other rtsp://ann:b/c@elsewhere/y") == "other rtsp://…@elsewhere/y"
    assert one.redact("other rtsp://ann:b@elsewhere/y") == "other rtsp://…@elsewhere/y"


@pytest.mark.parametrize(
    ("input", "message", "secrets"),
    [
        ("rtsp://admin:123/456@host/s", "Connection to tcp://admin:123?timeout=0 failed", ["123"]),
        ("rtsp://admin:123/456@host/s", "no stream /456@host/s", ["456"]),
        ("rtsp://admin:12#34@host/s", "Connection to tcp://admin:12?timeout=0 failed", ["admin:12"]),
        ("rtsp://admin:p@ss@host/s", "Failed to resolve hostname ss@host", []),
        ("rtsp://host/user=a_password=tlJwpbo6_channel=1", "DESCRIBE /tlJwpbo6 failed", ["tlJwpbo6"]),
        ("rtmp://host/live/KEY", "Failed to play KEY; stream not found", ["KEY"]),
        ("rtmp://joe:pw@host/live/KEY", "Failed to play KEY; stream not found", ["KEY"]),
        ("http://host/x", "redirected to http://other/y;session=s3cr/et", ["s3cr", "et"]),
    ],
)
def test_parts_of_a_secret_that_ffmpeg_quotes_are_redacted(input: str, message: str, secrets: list[str]) -> None:
    redacted = address(input).redact(message)
    assert "…" in redacted or not secrets
    assert not [one for one in secrets if one in redacted], redacted


@pytest.mark.parametrize("name", ["headers", "cookies"])
def test_a_header_is_redacted_as_a_whole_and_in_parts(name: str) -> None:
    one = address(
        "http://host/x", **{name: "Authorization: Basic am9lOnB3==\r\nX-Key: k1, k2k2\r\nCookie: sid=abc; x=def"}
    )
    for text in ("Basic am9lOnB3==", "am9lOnB3", "X-Key: k1, k2k2", "k2k2", "sid=abc", "abc", "def"):
        redacted = one.redact(f"refused: {text}.")
        assert not [part for part in ("am9l", "k2k2", "abc", "def") if part in redacted], redacted


def test_an_invalid_input_is_refused_without_showing_its_password() -> None:
    for input in ("rtsp://joe:secret@host\n", "pipe:http://joe:secret@host", "-rtsp://joe:secret@host"):
        with pytest.raises(RequestError) as error:
            address(input)
        assert "secret" not in str(error.value)


def test_a_file_is_given_to_ffmpeg_as_a_file_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-i", "http:x", "plain.mp4", "concat:a|b"):
        Path(name).touch()
        one = address(name)
        assert (one.argument, one.is_file, one.scheme) == (f"file:{name}", True, "")


def test_urls_devices_and_missing_files_are_given_to_ffmpeg_unchanged(tmp_path: Path) -> None:
    for input, scheme, missing in (("rtsp://host/x", "rtsp", False), ("/dev/null", "", False), ("none", "", True)):
        one = address(input)
        assert (one.argument, one.scheme, one.is_missing, one.is_file) == (input, scheme, missing, False)
    assert not address("testsrc=size=2x2", "lavfi").is_missing
    assert address(str(tmp_path / ("x" * 5000))).is_missing


@pytest.mark.parametrize("input", ["", "-", "-i", "a\0b", "a\nb", "pipe:", "fd:0"])
def test_an_invalid_input_is_refused(input: str) -> None:
    with pytest.raises(RequestError, match="Name a file, a device or a URL"):
        address(input)


@pytest.mark.parametrize("input", ["pipe:", "fd:0", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_a_file_that_this_process_has_open_is_refused(input: str) -> None:
    with pytest.raises(RequestError) as error:
        address(input)
    assert error.value.code == "input-pipe"


def test_a_named_pipe_is_refused_under_any_name(tmp_path: Path) -> None:
    pipe, link = tmp_path / "camera.ts", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(RequestError) as error:
            address(str(path))
        assert error.value.code == "input-pipe"


@pytest.mark.parametrize("name", ["-vf", "i", "y", "loglevel", "v", "a b", "", "1"])
def test_an_invalid_option_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="without a dash"):
        Address("x.mp4", {name: "1"}, None)


def test_what_is_at_a_path_is_what_was_there_at_the_last_look(tmp_path: Path) -> None:
    path = tmp_path / "input.mp4"
    one = address(str(path))
    assert (one.is_missing, one.is_file, one.path) == (True, False, None)
    path.touch()
    assert (one.is_missing, one.is_file, one.path) == (True, False, None)
    one.look()
    assert (one.is_missing, one.is_file, one.path) == (False, True, path)


@pytest.mark.parametrize(
    ("url", "split"),
    [
        ("rtsp://user:p@ss/%@10.0.0.1:554/stream1", True),
        ("rtsp://user:p@ss?x@10.0.0.1/stream1", True),
        ("rtsp://user:p%40ss%2F%25@10.0.0.1/stream1", False),
        ("rtsp://10.0.0.1/stream@1", False),
        ("/dev/video0", False),
    ],
)
def test_a_url_whose_password_may_end_too_early_is_noticed(url: str, split: bool) -> None:
    assert Address(url, {}, None).ends_in_password is split

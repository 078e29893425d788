"""Connecting to a machine: keys, addresses, certificates, and that no error shows a secret."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
import uuid
from pathlib import Path

import pytest
from grpclib import GRPCError, Status
from viam import logging as viam_logging

from scripts.fakes.machine import HOST, MachineServer
from tests.support.connections import assert_sentence, until_closed
from tests.support.fake_recorder import FakeRecorder
from videostore.base.errors import MachineError, RequestError, VideoStoreError
from videostore.base.ranges import Range
from videostore.remote.client import Machine
from videostore.remote.connection import LOCAL_PORT, Target, parse_target, quiet_sdk, redacted

KEY, KEY_ID = "k3y-that-is-secret", str(uuid.UUID(int=7))


# Addresses and keys


@pytest.mark.parametrize(
    ("address", "host", "port", "direct_with_key"),
    [
        ("localhost", "localhost", LOCAL_PORT, True),
        ("127.0.0.1:9000", "127.0.0.1", 9000, True),
        (" door.local:1234/ ", "door.local", 1234, False),
        ("https://front-main.abc.viam.cloud", "front-main.abc.viam.cloud", LOCAL_PORT, False),
    ],
)
def test_an_address_is_a_host_and_may_have_a_port(address: str, host: str, port: int, direct_with_key: bool) -> None:
    target = parse_target(address, None, None)
    assert (target.host, target.port, target.direct) == (host, port, True)
    assert parse_target(address, KEY, KEY_ID).direct is direct_with_key


@pytest.mark.parametrize(
    ("address", "key", "key_id", "code", "words"),
    [
        ("localhost:8080", KEY, None, "key-incomplete", ["API key", "id", "missing"]),
        ("localhost:8080", None, KEY_ID, "key-incomplete", ["API key", "id", "missing"]),
        ("localhost:8080", KEY_ID, KEY, "key-id-wrong", ["id", "UUID"]),
        ("local host", None, None, "address-wrong", ["address", "'local host'"]),
        ("localhost:99999", None, None, "address-wrong", ["address", "99999"]),
        ("", None, None, "address-wrong", ["address"]),
    ],
)
async def test_an_invalid_address_or_key_is_refused_without_a_connection(
    address: str, key: str | None, key_id: str | None, code: str, words: list[str]
) -> None:
    with pytest.raises(RequestError) as refused:
        async with Machine.connect(address, api_key=key, api_key_id=key_id):
            pass
    assert refused.value.code == code
    assert_sentence(refused, *words)
    assert KEY not in str(refused.value)


async def test_the_key_gives_access_and_a_wrong_one_is_refused() -> None:
    async with MachineServer([FakeRecorder()], api_key=KEY, api_key_id=KEY_ID) as server:
        async with Machine.connect(server.address, api_key=KEY, api_key_id=KEY_ID) as machine:
            assert (await machine.state()).ranges
        other = str(uuid.UUID(int=8))
        for key, key_id, code in (
            (KEY + "x", KEY_ID, "machine-refuses-key"),
            (KEY, other, "machine-refuses-key"),
            (None, None, "machine-wants-key"),
        ):
            with pytest.raises(MachineError) as refused:
                async with Machine.connect(server.address, api_key=key, api_key_id=key_id):
                    pass
            assert refused.value.code == code
            assert_sentence(refused, server.address, "API key")
            assert KEY not in str(refused.value)
        await until_closed(server)


# Machines that cannot be reached


async def test_a_machine_that_does_not_answer_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as silent, monkeypatch.context() as patch:
        patch.setattr("videostore.remote.connection.CONNECT_S", 0.5)
        patch.setattr("videostore.remote.connection.HANDSHAKE_S", 0.5)
        address = f"{HOST}:{silent.getsockname()[1]}"
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(address):
                pass
        assert refused.value.code == "machine-silent"
        assert_sentence(refused, address, "does not answer")
    for other in (address, address.replace(HOST, "localhost")):
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(other):
                pass
        assert (refused.value.code, refused.value.address) == ("machine-unreachable", other)
        assert_sentence(refused, other, "nothing answers there")


async def test_a_name_that_cannot_be_resolved_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(MachineError) as refused:
        async with Machine.connect("no-such-machine.invalid"):
            pass
    assert refused.value.code == "machine-unreachable"
    assert_sentence(refused, f"no-such-machine.invalid:{LOCAL_PORT}", "cannot be resolved")


# Secrets


async def make_certificate(key: Path, certificate: Path) -> None:
    """One of `localhost` for which nothing vouches."""
    kind = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command = ["openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(certificate)]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    assert await process.wait() == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is needed")
async def test_a_certificate_is_not_asked_for_on_this_computer_and_checked_elsewhere(tmp_path: Path) -> None:
    """0.0.0.0 is this computer too, but nothing tells that it is."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    await make_certificate(key, certificate)
    encryption = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    encryption.load_cert_chain(certificate, key)
    encryption.set_alpn_protocols(["h2"])
    protocols: list[str | None] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0, ssl=encryption)
    port = server.sockets[0].getsockname()[1]
    for address, code in ((f"{HOST}:{port}", "machine-unreachable"), (f"0.0.0.0:{port}", "certificate-untrusted")):
        seen = len(protocols)
        with pytest.raises(MachineError) as failed:
            async with Machine.connect(address):
                pass
        assert failed.value.code == code
        # Only where the certificate does not matter is anything said behind the look whether it encrypts.
        assert (len(protocols) > seen + 1) is (code == "machine-unreachable") and set(protocols) == {"h2"}
    server.close()


async def test_no_error_shows_the_key_even_if_the_machine_sends_it(tmp_path: Path) -> None:
    recorder = FakeRecorder()
    recorder.answers = [GRPCError(Status.INTERNAL, f"rpc error: code = Internal desc = {KEY} is no good")]
    async with MachineServer([recorder], api_key=KEY, api_key_id=KEY_ID) as server:
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(server.address, api_key=KEY, api_key_id=KEY_ID) as machine:
                await machine.export(0, 1_000_000, tmp_path / "clip.mp4")
        assert str(refused.value) == "… is no good."


def test_a_secret_is_replaced_in_every_field_and_the_error_stays_the_same_otherwise() -> None:
    error = RequestError(
        "recorder-unknown",
        address=f"{KEY}.local",
        component=f"a{KEY}b{KEY}",
        found=[KEY, "cam"],
        path=Path("/x") / KEY,
        value={KEY: (KEY, 7)},
        asked=Range(1, 2),
    )
    with pytest.raises(RequestError) as raised, redacted(KEY):
        raise error
    assert (type(raised.value), raised.value.code) == (RequestError, "recorder-unknown")
    assert raised.value.fields == {
        "address": "….local",
        "component": "a…b…",
        "found": ["…", "cam"],
        "path": Path("/x/…"),
        "value": {"…": ("…", 7)},
        "asked": Range(1, 2),
    }
    assert str(raised.value) == "The machine at ….local has no recorder 'a…b…': …, cam."
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("secret", [None, "", "another"])
def test_an_error_without_the_secret_passes_unchanged(secret: str | None) -> None:
    error = VideoStoreError("storage-unreadable", path="/data", reason=("gone",))
    with pytest.raises(VideoStoreError) as raised, redacted(secret):
        raise error
    assert raised.value is error


def test_the_sdk_prints_nothing_unless_our_logger_shows_debug_messages() -> None:
    before = viam_logging.LOG_LEVEL
    logger = logging.getLogger("videostore")
    level = logger.level
    with quiet_sdk():
        assert viam_logging.LOG_LEVEL == logging.CRITICAL
    try:
        logger.setLevel(logging.DEBUG)
        with quiet_sdk():
            assert viam_logging.LOG_LEVEL == logging.DEBUG
    finally:
        logger.setLevel(level)
    assert before == viam_logging.LOG_LEVEL


def test_this_computer_is_recognized_by_its_address() -> None:
    assert [Target("", host, 1, None, None).local for host in ("localhost", "127.0.3.1", "10.0.0.1", "door")] == [
        True,
        True,
        False,
        False,
    ]

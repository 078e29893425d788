"""The page of a module is a process of its own: what happens to it costs the recording nothing."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from grpclib import GRPCError

from tests.support.child_processes import command_of, shown_by
from tests.support.ending import assert_terminates_in_time
from tests.support.machine import NAME, Machine, assert_plain, now_us, run_machine
from tests.support.ports import own_port

PASSWORD = "a secret word"
_WITHIN_S = 60.0
_VIEWERS = 12


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """A machine whose module all tests of this file use, one after the other."""
    async with run_machine(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


async def get(port: int, path: str, *lines: str) -> tuple[int, str]:
    """Status and body of an answer; status 0 while nothing answers."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0, ""
    try:
        head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.0", "Host: localhost", *lines))
        writer.write(f"{head}\r\n".encode())
        answer = (await asyncio.wait_for(reader.read(), _WITHIN_S)).decode(errors="replace")
    except ConnectionError:
        return 0, ""
    finally:
        writer.close()
    return (int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]) if answer else (0, "")


def servers(machine: Machine) -> list[psutil.Process]:
    """The processes that serve pages."""
    return [one for one in machine.parent.children() if "web-child" in command_of(one)]


async def is_served(machine: Machine, port: int) -> bool:
    status = await machine.status()
    return bool(status.get("web_address") == f"http://127.0.0.1:{port}/" and "web_trouble" not in status)


async def assert_nothing_lost(machine: Machine, from_us: int) -> None:
    """Check that every frame that was delivered since then is recorded."""
    to_us = now_us()
    await machine.record(2)
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer
    status = await machine.status()
    assert status["recording"] and status["dropped_frames"] == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_served_comes_back_when_it_is_killed_and_moves_and_ends_with_the_config(shared: Machine) -> None:
    machine, port, other = shared, own_port(), own_port()
    await machine.add(web={"port": port})
    await machine.until(lambda: is_served(machine, port))
    await machine.record(2)
    began_us = now_us()

    async def healthy() -> bool:
        return await get(port, "/healthz") == (200, "ok\n")

    await machine.until(healthy)
    status, body = await get(port, "/api/recorders")
    assert status == 200 and f'"{NAME}"' in body
    _, metrics = await get(port, "/metrics")
    assert f'videostore_recording{{recorder="{NAME}"}} 1.0' in metrics
    frames = re.search(rf'videostore_frames_total{{recorder="{NAME}"}} ([0-9.]+)', metrics)
    assert frames is not None and float(frames[1]) > 0
    (process,) = servers(machine)
    assert process.nice() >= 10 and not process.children()

    process.send_signal(signal.SIGKILL)
    await machine.until(lambda: [one.pid for one in servers(machine)] not in ([], [process.pid]))
    await machine.until(healthy)
    await machine.until(lambda: is_served(machine, port))

    (process,) = servers(machine)
    process.send_signal(signal.SIGSTOP)  # what hangs costs nothing either
    await machine.record(2)
    process.send_signal(signal.SIGCONT)
    await assert_nothing_lost(machine, began_us)

    await machine.parent.reconfigure(NAME, machine.attributes(web={"port": other}))
    await machine.until(lambda: is_served(machine, other))
    assert (await get(port, "/healthz"))[0] == 0
    await machine.until(lambda: len(servers(machine)) == 1)
    await machine.parent.reconfigure(NAME, machine.attributes())
    await machine.until(lambda: not servers(machine))
    assert "web_address" not in await machine.status()
    await machine.parent.remove(NAME)
    assert not machine.parent.children()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_viewer_marks_what_is_recorded_and_removes_the_mark(shared: Machine) -> None:
    machine, port = shared, own_port()
    await machine.add(web={"port": port})
    await machine.until(lambda: is_served(machine, port))
    await machine.record(2)

    async def ask(method: str, path: str, **fields: Any) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session:
            address = f"http://127.0.0.1:{port}/api/recorders/{NAME}/events{path}"
            async with session.request(method, address, json=fields) as response:
                return response.status, await response.json()

    status, event = await ask("POST", "", at_us=now_us(), label="a guest", before_s=1, after_s=1, keep=True)
    assert (status, event["keep"]) == (201, True)
    (known,) = (await machine.command("get-events"))["events"]
    assert (known["id"], known["label"], known["keep"]) == (event["id"], "a guest", True)
    assert (await ask("DELETE", f"/{event['id']}"))[0] == 200
    assert (await machine.command("get-events"))["events"] == []
    status, refused = await ask("DELETE", f"/{event['id']}")
    assert (status, refused["error"]) == (404, "event-unknown")
    await machine.parent.remove(NAME)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_crowd_of_viewers_costs_the_recorder_no_frame(shared: Machine) -> None:
    machine, port = shared, own_port()
    await machine.add(web={"port": port})
    await machine.until(lambda: is_served(machine, port))
    await machine.record(1)
    began_us, seen, ended = now_us(), [0], asyncio.Event()

    async def watch() -> None:
        while not ended.is_set():  # a cancellation can get lost in `wait_for` before Python 3.12
            for path in (f"/hls/{NAME}/index.m3u8", "/api/recorders", "/metrics", "/", "/no/such/page"):
                seen[0] += (await get(port, path))[0] > 0

    viewers = [asyncio.create_task(watch()) for _ in range(_VIEWERS)]
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    try:
        await machine.record(4)
    finally:
        ended.set()
        await asyncio.gather(*viewers, return_exceptions=True)
        for _, writer in idle:
            writer.close()
    assert seen[0] > _VIEWERS
    await assert_nothing_lost(machine, began_us)
    await machine.parent.remove(NAME)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_port_that_is_taken_and_a_password_that_is_missing_are_told_and_tried_again(
    shared: Machine, tmp_path: Path
) -> None:
    machine, port = shared, own_port()
    file = tmp_path / "password"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        await machine.add(web={"port": port, "password_file": str(file)})

        async def tells(words: str) -> bool:
            return words in (await machine.status()).get("web_trouble", "")

        await machine.until(lambda: tells("cannot be read"))
        file.touch(mode=0o600)
        file.write_text(PASSWORD)
        await machine.until(lambda: tells("another program uses this port"))
        await machine.record(1)
        assert (await machine.status())["recording"]
    await machine.until(lambda: is_served(machine, port))
    assert (await get(port, "/metrics"))[0] == 401 and (await get(port, "/healthz"))[0] == 200
    assert (await get(port, "/metrics", "Authorization: Basic OmEgc2VjcmV0IHdvcmQ="))[0] == 200
    shown = shown_by(servers(machine))
    assert shown and not any(PASSWORD in word for word in shown)
    wrong = base64.b64encode(b"any:another word").decode()
    assert (await get(port, "/metrics", f"Authorization: Basic {wrong}"))[0] == 401
    told = "\tA wrong password came from 127.0.0.1."
    await machine.until(lambda: any(line.message.endswith(told) for line in machine.parent.logs))
    assert not any(PASSWORD in line.message for line in machine.parent.logs)
    await machine.parent.remove(NAME)


@pytest.mark.asyncio(loop_scope="module")
async def test_recorders_share_a_page_and_one_that_differs_is_refused(shared: Machine, tmp_path: Path) -> None:
    machine, port = shared, own_port()

    def attributes(name: str, **web: Any) -> dict[str, Any]:
        storage = {"storage_path": str(tmp_path / name), "upload_path": str(tmp_path / f"{name}-up")}
        return machine.attributes(storage=storage, web={"port": port, **web})

    await machine.add(web={"port": port})
    await machine.parent.add("yard", attributes("yard"))
    with pytest.raises(GRPCError) as refused:
        await machine.parent.add("gate", attributes("gate", password_env="GATE_PASSWORD"))
    assert_plain(refused.value, "'gate'", f"127.0.0.1:{port}", "password_env")

    async def both() -> bool:
        body = (await get(port, "/api/recorders"))[1]
        return f'"{NAME}"' in body and '"yard"' in body

    await machine.until(both)
    assert len(servers(machine)) == 1
    machine.parent.videos.add("service")  # with a recorder of its own
    await machine.parent.add("service", attributes("service"))

    async def all_three() -> bool:
        return '"service"' in (await get(port, "/api/recorders"))[1]

    await machine.until(all_three)
    await machine.parent.remove("service")
    await machine.parent.remove(NAME)

    async def one() -> bool:
        body = (await get(port, "/api/recorders"))[1]
        return f'"{NAME}"' not in body and '"yard"' in body

    await machine.until(one)
    await machine.parent.remove("yard")
    assert not servers(machine) and (await get(port, "/healthz"))[0] == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_it_ends_with_the_module_within_the_time_that_viam_server_gives(shared: Machine) -> None:
    machine, port = shared, own_port()
    await machine.add(web={"port": port})
    await machine.until(lambda: is_served(machine, port))
    waiting = await asyncio.open_connection("127.0.0.1", port)
    (process,) = servers(machine)
    os.kill(process.pid, signal.SIGSTOP)  # it takes no part in its end
    await assert_terminates_in_time(machine)
    assert not machine.parent.leftovers()
    waiting[1].close()

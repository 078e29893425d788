from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
import viam.logging
from grpclib import GRPCError, Status
from grpclib.exceptions import ProtocolError, StreamTerminatedError
from viam.proto.common import LogEntry as LogMessage
from viam.proto.robot import LogRequest

from tests.support.recording import until
from videostore.viam.log_forwarding import (
    MAX_LINE_CHARACTERS,
    MAX_LINES,
    ForwardingHandler,
    LogEntry,
    LogForwarder,
    forward_logs,
)


class Receiver:
    """Takes log lines, as viam-server does."""

    def __init__(self) -> None:
        self.lines: list[LogEntry] = []
        self.threads: set[int] = set()
        self.most_at_once = 0
        self.errors: list[Exception] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self._now = 0

    async def log(self, name: str, level: str, time: datetime, message: str, stack: str) -> None:
        self.threads.add(threading.get_ident())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await self.ready.wait()
            await asyncio.sleep(0)
            if self.errors:
                raise self.errors.pop(0)
            self.lines.append(LogEntry(name, level, time, message, stack))
        finally:
            self._now -= 1

    @property
    def messages(self) -> list[str]:
        return [line.message.partition("\t")[2] for line in self.lines]


@pytest.fixture
def forwarder() -> LogForwarder:
    return LogForwarder()


@pytest.fixture
def logger(forwarder: LogForwarder) -> Iterator[logging.Logger]:
    """A logger that forwards."""
    logger = logging.Logger("rdk.store", logging.DEBUG)
    logger.addHandler(ForwardingHandler(forwarder))
    yield logger


async def test_lines_of_all_threads_are_sent_one_by_one_over_the_loop_that_started(
    forwarder: LogForwarder, logger: logging.Logger
) -> None:
    receiver = Receiver()
    logger.info("before the start")
    forwarder.start(receiver)

    def write(first: int) -> None:
        for number in range(first, first + 50):
            logger.info("%d", number)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 50, 100)]
    for thread in threads:
        thread.start()
    await until(lambda: len(receiver.lines) == 151)
    for thread in threads:
        thread.join()
    assert receiver.messages[0] == "before the start"
    assert sorted(map(int, receiver.messages[1:])) == list(range(150))
    assert receiver.threads == {threading.get_ident()} and receiver.most_at_once == 1
    await forwarder.close(1)


async def test_a_line_arrives_with_its_level_its_time_its_place_and_its_stack(
    forwarder: LogForwarder, logger: logging.Logger
) -> None:
    receiver = Receiver()
    forwarder.start(receiver)
    before = datetime.now(timezone.utc)
    try:
        raise ValueError("of the test")
    except ValueError:
        logger.critical("It is %s.", "broken", exc_info=True)
    logger.warning("x" * 100_000)
    await until(lambda: len(receiver.lines) == 2)
    line, long = receiver.lines
    assert (line.name, line.level) == ("rdk/store", "ERROR")
    assert before <= line.time <= datetime.now(timezone.utc)
    assert line.message.startswith("test_log_forwarding.py:") and line.message.endswith("\tIt is broken.")
    assert "ValueError: of the test" in line.stack
    assert len(long.message) == MAX_LINE_CHARACTERS
    await forwarder.close(1)


async def test_a_slow_viam_server_costs_the_oldest_lines_which_are_counted(
    forwarder: LogForwarder, logger: logging.Logger
) -> None:
    receiver = Receiver()
    receiver.ready.clear()
    forwarder.start(receiver)
    logger.info("first")
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is being sent
    for number in range(MAX_LINES + 20):
        logger.info("%d", number)
    receiver.ready.set()
    await until(lambda: receiver.messages[-1:] == [str(MAX_LINES + 19)])
    kept = [message for message in receiver.messages if message.isdigit()]
    assert len(kept) == MAX_LINES and int(kept[0]) == 20
    (told,) = [line.message for line in receiver.lines if "were dropped" in line.message]
    assert told.startswith("20 log lines")
    await forwarder.close(1)


@pytest.mark.parametrize("error", [StreamTerminatedError("Connection lost"), ConnectionResetError()])
async def test_a_line_that_could_not_be_sent_is_sent_again(
    forwarder: LogForwarder, logger: logging.Logger, error: Exception
) -> None:
    receiver = Receiver()
    receiver.errors.append(error)
    forwarder.start(receiver)
    logger.info("one")
    logger.info("two")
    await until(lambda: receiver.messages == ["one", "two"])
    await forwarder.close(1)


async def test_a_line_that_is_refused_is_not_sent_again(forwarder: LogForwarder, logger: logging.Logger) -> None:
    receiver = Receiver()
    receiver.errors.append(GRPCError(Status.INVALID_ARGUMENT, "no such level"))
    forwarder.start(receiver)
    logger.info("one")
    logger.info("two")
    await until(lambda: receiver.messages == ["two"])
    await forwarder.close(1)


async def test_the_last_lines_are_sent_before_the_end_but_it_waits_for_none_that_are_not_taken(
    forwarder: LogForwarder, logger: logging.Logger
) -> None:
    receiver = Receiver()
    forwarder.start(receiver)
    for number in range(20):
        logger.info("%d", number)
    await asyncio.sleep(0)
    await forwarder.close(60)
    assert len(receiver.lines) == 20
    hanging = Receiver()
    hanging.ready.clear()
    another = LogForwarder()
    another.start(hanging)
    another.put(receiver.lines[0])
    await another.close(0.01)
    assert not hanging.lines


async def test_the_loggers_of_the_sdk_forward_and_no_thread_is_started(forwarder: LogForwarder) -> None:
    undo = forward_logs(forwarder)
    before = threading.active_count()
    parent = viam.logging._MODULE_PARENT
    receiver = Receiver()
    try:
        viam.logging._MODULE_PARENT = receiver  # type: ignore[assignment]
        forwarder.start(receiver)
        logger = viam.logging.getLogger("videostore.tests.forwarding")
        viam.logging.update_log_level(logger, "DEBUG")
        logger.debug("one")
        await until(lambda: receiver.messages == ["one"])
        assert threading.active_count() == before
    finally:
        viam.logging._MODULE_PARENT = parent
        viam.logging.LOGGERS.pop("videostore.tests.forwarding", None)
        undo()
        await forwarder.close(1)


async def test_characters_that_no_message_can_carry_are_written_as_escapes(
    forwarder: LogForwarder, logger: logging.Logger
) -> None:
    receiver = Receiver()
    forwarder.start(receiver)
    logger.warning("%s cannot be read.", os.fsdecode(b"\xff.mp4"))
    await until(lambda: receiver.lines)
    assert receiver.messages == ["\\udcff.mp4 cannot be read."]
    assert LogRequest(logs=[LogMessage(message=receiver.lines[0].message)]).SerializeToString()
    await forwarder.close(1)


async def test_whatever_goes_wrong_with_a_line_the_next_ones_are_sent(
    forwarder: LogForwarder, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.viam.log_forwarding._RETRY_S", 0.01)
    receiver = Receiver()
    receiver.errors = [ProtocolError("broken"), AttributeError("closed")]
    forwarder.start(receiver)
    for number in range(4):
        logger.info("%d", number)
    await until(lambda: receiver.messages[-1:] == ["3"])
    assert receiver.messages == ["2", "3"]
    await forwarder.close(1)

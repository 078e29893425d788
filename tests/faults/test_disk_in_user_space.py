"""A disk in user space (FUSE) that hangs for real, of one recorder of a module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpclib import GRPCError

from tests.support.hanging_disk import HangingDisk, hanging_disk
from tests.support.machine import US, Machine, sent_error

_OTHER = "other"
_WITHIN_S = 120.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[HangingDisk]:
    with hanging_disk(tmp_path) as disk:
        yield disk


def on_disk(machine: Machine, disk: HangingDisk) -> dict[str, object]:
    elsewhere = {"storage_path": str(disk.path / "storage"), "upload_path": str(machine.upload / "other")}
    return machine.attributes(storage=elsewhere)


async def test_a_recorder_that_is_added_on_it_is_refused_with_its_directory_and_another_one_records(
    machine: Machine, disk: HangingDisk
) -> None:
    disk.hang()
    try:
        adding = asyncio.create_task(machine.parent.add(_OTHER, on_disk(machine, disk)))
        await machine.add()
        await machine.record(1)
        from_us = machine.camera.delivered[-1]
        await machine.recorded_until(from_us + 2 * US)
        check, answer = await machine.fetch(from_us, from_us + 2 * US)
        assert check.flawless and "ranges" not in answer, check
        with pytest.raises(GRPCError) as refused:
            await asyncio.wait_for(adding, _WITHIN_S)
        error = sent_error(refused.value)
        assert (error.code, error.fields["attribute"]) == ("storage-stalled", "storage.storage_path")
        assert f"'{disk.path / 'storage'}' does not respond" in str(error)
    finally:
        disk.go_on()
    await machine.parent.add(_OTHER, on_disk(machine, disk))

    async def records() -> bool:
        return bool((await machine.parent.camera(_OTHER).get_status())["recording"])

    await machine.until(records)

"""JSON null over the real protocol: an attribute or a field that is null is one that is not there."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from grpclib import GRPCError

from tests.support.attributes import valid_attributes
from tests.support.command_fields import command_keys, commands_source
from tests.support.machine import NAME, Machine, run_machine, sent_error
from tests.support.recording import START_US, US
from videostore.base.time_format import format_utc_exact
from videostore.config import ATTRIBUTES
from videostore.viam.json_object import read_object

DOTTED = [f"{section}.{leaf}".lstrip(".") for section, leaves in ATTRIBUTES.items() for leaf in leaves]
FIELDS = [
    (command, field) for command, (fields, _) in command_keys(commands_source()).items() for field in sorted(fields)
]
VALUES: dict[str, Any] = {
    "from": format_utc_exact(START_US + US),
    "to": format_utc_exact(START_US + 2 * US),
    "metadata": "",
    "tags": [],
    "async": False,
    "container": "mp4",
    "filename": "none.mp4",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stored(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> AsyncIterator[Machine]:
    """A machine whose recorder has 7 s of recording and no camera."""
    directory = tmp_path_factory.mktemp("machine")
    shutil.copytree(recording, directory / "storage")
    async with run_machine(directory) as machine:
        await machine.add(camera=None)

        async def indexed() -> bool:
            return bool((await machine.status())["stored_segments"] == 4)

        await machine.until(indexed)
        yield machine


def changed(dotted: str, *, null: bool) -> dict[str, Any]:
    """Valid attributes in which one is null, or is not there."""
    attributes = valid_attributes()
    section, _, leaf = dotted.rpartition(".")
    inside = attributes[section] if section else attributes
    inside.pop(leaf, None)
    if null:
        inside[leaf] = None
    return attributes


async def validated(machine: Machine, attributes: dict[str, Any]) -> Any:
    """The dependencies, or the code and the fields of the error."""
    try:
        return await machine.parent.validate(NAME, attributes)
    except GRPCError as refused:
        error = sent_error(refused)
        return error.code, error.fields


async def answered(machine: Machine, command: dict[str, Any]) -> Any:
    """The keys of the answer, or the code and the fields of the error."""
    try:
        return sorted(await machine.parent.camera(NAME).do_command(command, timeout=60))
    except GRPCError as refused:
        error = sent_error(refused)
        return error.code, error.fields


@pytest.mark.parametrize("dotted", DOTTED)
@pytest.mark.asyncio(loop_scope="module")
async def test_an_attribute_that_is_null_is_absent(stored: Machine, dotted: str) -> None:
    with_null = await validated(stored, changed(dotted, null=True))
    assert with_null == await validated(stored, changed(dotted, null=False))
    if dotted in ("sync", "storage", "storage.size_gb"):
        assert with_null[0] == "attribute-missing"
    elif dotted == "web.password_file":  # which the host of these attributes needs
        assert with_null[0] == "web-needs-password"
    else:
        assert with_null[0] == []


@pytest.mark.parametrize(("command", "field"), FIELDS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_field_that_is_null_is_absent(stored: Machine, command: str, field: str) -> None:
    whole = {"command": command, **{name: VALUES[name] for one, name in FIELDS if one == command and name in VALUES}}
    without = {name: value for name, value in whole.items() if name != field}
    assert await answered(stored, {**without, field: None}) == await answered(stored, without)


@pytest.mark.asyncio(loop_scope="module")
async def test_every_attribute_that_can_be_absent_can_be_null_at_once_and_the_recorder_runs(stored: Machine) -> None:
    storage = stored.attributes()["storage"]
    attributes = {
        **dict.fromkeys(ATTRIBUTES[""]),
        "sync": "data-manager",
        "storage": {**dict.fromkeys(ATTRIBUTES["storage"]), **storage, "segment_seconds": None},
        "video": dict.fromkeys(ATTRIBUTES["video"]),
        "moon": None,
    }
    before = len(stored.parent.logs)
    await stored.parent.reconfigure(NAME, attributes)
    assert (await stored.status())["reason"] == "no camera is configured"
    assert not [line for line in stored.parent.logs[before:] if "attribute" in line.message]


@pytest.mark.parametrize("tags", [[None], ["a", None]])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_null_in_a_list_is_refused_at_its_place(stored: Machine, tags: list[Any]) -> None:
    command = {"command": "save", "from": VALUES["from"], "to": VALUES["to"], "tags": tags}
    with pytest.raises(GRPCError) as refused:
        await stored.parent.camera(NAME).do_command(command)
    error = sent_error(refused.value)
    assert (error.code, error.fields["index"], error.fields["value"]) == ("tag-wrong", len(tags) - 1, None)


def test_null_is_left_out_at_every_depth_and_stays_in_lists() -> None:
    given = {"a": None, "b": {"c": None, "d": {"e": None, "f": 0.0}}, "g": [None, {"h": None}, [None]], "i": False}
    assert read_object(ParseDict(given, Struct())) == {"b": {"d": {"f": 0.0}}, "g": [None, {}, [None]], "i": False}


def test_a_value_without_a_kind_is_null() -> None:
    struct = Struct(fields={"a": Value(), "b": Value(list_value=ListValue(values=[Value()]))})
    assert read_object(struct) == {"b": [None]}

"""The JSON of the documents: each block can be read, and each config of a recorder or of a service is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import DOCUMENTS, json_blocks
from videostore.config import parse_config, parse_video_service
from videostore.config.section import ATTRIBUTES

REQUIRED = {"sync": "data-manager", "storage": {"size_gb": 10}}
SERVICE = "viam:video:service"


def configs_of(block: Any) -> Iterator[dict[str, Any]]:
    """What in a block configures something, as part of a machine, by itself or as some of the attributes."""
    if not isinstance(block, dict):
        return
    for part in (*block.get("components", ()), *block.get("services", ())):
        yield from configs_of(part)
    if str(block.get("model", "")).startswith("viam:video:"):
        yield block
    elif block and block.keys() <= set(ATTRIBUTES[""]):
        yield {"name": "recorder", "model": "viam:video:storage", "attributes": {**REQUIRED, **block}}


def warnings_of(config: dict[str, Any]) -> list[str]:
    parse = parse_video_service if config["model"] == SERVICE else parse_config
    return list(parse(config["name"], config["attributes"])[1])


WITH_JSON = [path for path in DOCUMENTS if json_blocks(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", WITH_JSON, ids=lambda path: path.name)
def test_each_is_accepted_without_a_warning(path: Path) -> None:
    for block in json_blocks(path.read_text(encoding="utf-8")):
        for config in configs_of(block):
            assert warnings_of(config) == [], config


def test_a_config_of_each_kind_is_found() -> None:
    found = {
        path.name: [
            config["model"] for block in json_blocks(path.read_text(encoding="utf-8")) for config in configs_of(block)
        ]
        for path in WITH_JSON
    }
    assert len(found["README.md"]) == 1 and len(found["install.md"]) == 2 and len(found["page-access.md"]) == 2
    assert len(found["attributes.md"]) == 3 and found["video-service.md"] == [SERVICE]
    (wrong,) = configs_of({"web": {"moon": 1}})
    assert warnings_of(wrong)

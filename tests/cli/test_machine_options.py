from __future__ import annotations

import pytest

from videostore.base.errors import RequestError
from videostore.cli.machine_options import Remote, parse_remote


def test_without_a_machine_the_options_mean_a_directory() -> None:
    assert parse_remote(None, None, "key", "id", directory_given=True) is None
    assert parse_remote("", None, None, None, directory_given=False) is None


def test_a_machine_has_an_address_a_recorder_and_a_key() -> None:
    assert parse_remote("robot", "door", "key", "id", directory_given=False) == Remote("robot", "door", "key", "id")


@pytest.mark.parametrize(
    ("address", "component", "directory_given", "code"),
    [(None, "door", False, "component-without-machine"), ("robot", None, True, "machine-and-storage")],
)
def test_options_that_exclude_each_other_are_an_error(
    address: str | None, component: str | None, directory_given: bool, code: str
) -> None:
    with pytest.raises(RequestError) as raised:
        parse_remote(address, component, None, None, directory_given=directory_given)
    assert raised.value.code == code

"""Recorders that name one address share its server; two that differ are refused, and both are named."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import pytest

from tests.support.recording import FixedClock
from videostore.base.errors import ConfigError
from videostore.config import WebConfig
from videostore.viam.web_process import ShownRecorder, WebProcess
from videostore.viam.web_servers import WebServers

X = WebConfig("127.0.0.1", 8600)
Y = WebConfig("127.0.0.1", 8600, password_env="P")
ELSEWHERE = WebConfig("127.0.0.1", 8601, password_env="P")
LOGGER = logging.getLogger("videostore.tests")


class Asleep(WebProcess):
    """A server that is never started: only who is shown where is looked at."""

    def start(self) -> None:
        self.url = f"http://{self.web.address}/"

    async def close(self) -> None:
        self.url = None

    @property
    def shown(self) -> list[str]:
        return list(self._recorders)


class House:
    """A module's recorders, as viam-server configures them."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.made: list[Asleep] = []
        self.servers = WebServers(LOGGER, clock=self.clock, make=self._make)

    def _make(self, web: WebConfig, logger: logging.Logger) -> WebProcess:
        self.made.append(Asleep(web, logger))
        return self.made[-1]

    def refused(self, name: str, web: WebConfig | None) -> str | None:
        """The sentence with which a config is refused; None if it is not."""
        try:
            self.servers.check(name, web)
        except ConfigError as error:
            assert error.code == "web-differs"
            return str(error)
        return None

    def join(self, name: str, web: WebConfig) -> None:
        self.servers.join(ShownRecorder(name, Path(f"/srv/{name}"), None, 10**9, dict), web)

    def add(self, name: str, web: WebConfig) -> None:
        assert self.refused(name, web) is None
        self.join(name, web)

    @property
    def shown(self) -> dict[WebConfig, list[str]]:
        """Who is shown where."""
        return {one.web: one.shown for one in self.made if one.url is not None}


async def test_recorders_with_one_address_share_it_and_the_server_ends_with_the_last() -> None:
    house = House()
    house.add("door", X)
    house.add("yard", X)
    house.add("gate", ELSEWHERE)
    assert house.shown == {X: ["door", "yard"], ELSEWHERE: ["gate"]}
    state = house.servers.state("yard")
    assert state is not None and (state.address, state.trouble) == ("http://127.0.0.1:8600/", None)
    await house.servers.leave("door")
    assert house.shown == {X: ["yard"], ELSEWHERE: ["gate"]} and house.servers.state("door") is None
    await house.servers.leave("yard")
    assert house.shown == {ELSEWHERE: ["gate"]}
    await house.servers.leave("yard")


async def test_two_that_differ_are_refused_and_both_are_named() -> None:
    house = House()
    house.add("door", X)
    sentence = house.refused("yard", Y)
    assert sentence is not None and "'door'" in sentence and "'yard'" in sentence and "password_env" in sentence
    assert "127.0.0.1:8600" in sentence
    assert house.refused("yard", ELSEWHERE) is None and house.refused("yard", None) is None


@pytest.mark.parametrize(
    ("host", "other", "meet"),
    [
        ("127.0.0.1", "localhost", True),
        ("localhost", "::1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "localhost", True),
        ("::", "::1", True),
        ("127.0.0.1", "::1", False),
        ("0.0.0.0", "::", False),
        ("::", "127.0.0.1", False),
        ("192.0.2.1", "localhost", False),
    ],
)
async def test_hosts_that_are_written_differently_may_be_the_same_address(host: str, other: str, meet: bool) -> None:
    for first, second in ((host, other), (other, host)):
        house = House()
        house.add("door", WebConfig(first, 8600))
        sentence = house.refused("yard", WebConfig(second, 8600))
        assert (sentence is not None) is meet
        assert sentence is None or "differ in host" in sentence
        assert house.refused("yard", WebConfig(second, 8601)) is None


async def test_the_order_of_hosts_does_not_matter() -> None:
    house = House()
    house.add("door", WebConfig("::", 1, password_env="P", hosts=("a", "b")))
    assert house.refused("yard", WebConfig("::", 1, password_env="P", hosts=("b", "a"))) is None
    assert house.refused("yard", WebConfig("::", 1, password_env="P", hosts=("b",))) is not None


async def test_configs_are_compared_before_either_is_built() -> None:
    house = House()
    assert house.refused("door", X) is None
    assert house.refused("yard", Y) is not None


async def test_a_config_that_was_never_used_is_forgotten() -> None:
    house = House()
    assert house.refused("door", X) is None
    house.clock.advance(61)
    assert house.refused("yard", Y) is None


@pytest.mark.parametrize("order", list(itertools.permutations(["door", "gate", "yard"])))
async def test_all_can_be_changed_though_they_are_checked_one_by_one(order: tuple[str, ...]) -> None:
    house = House()
    for name in ("door", "gate", "yard"):
        house.add(name, X)
    left = list(order)
    for _ in range(3):  # viam-server tries again what was refused
        for name in list(left):
            if house.refused(name, Y) is None:
                await house.servers.leave(name)
                house.join(name, Y)
                left.remove(name)
    assert left == [] and {web: sorted(names) for web, names in house.shown.items()} == {Y: ["door", "gate", "yard"]}


async def test_what_was_refused_keeps_out_no_one_who_fits() -> None:
    house = House()
    house.add("door", X)
    assert house.refused("gate", Y) is not None
    house.add("yard", X)
    assert house.shown == {X: ["door", "yard"]}


async def test_one_that_fits_is_not_refused_when_the_first_one_is_changed_by_mistake() -> None:
    house = House()
    house.add("door", X)
    house.add("yard", X)
    assert house.refused("door", Y) is not None
    await house.servers.leave("yard")  # viam-server removes it and adds it again when its camera was rebuilt
    house.add("yard", X)
    assert house.refused("door", Y) is not None


async def test_while_one_is_changed_and_the_other_not_one_is_shown_and_the_other_says_why_not() -> None:
    house = House()
    house.add("door", X)
    house.add("yard", X)
    await house.servers.leave("yard")
    house.join("yard", Y)
    state = house.servers.state("yard")
    assert house.shown == {X: ["door"]} and state is not None and state.address is None
    assert state.trouble is not None and "'door'" in state.trouble
    await house.servers.leave("door")
    state = house.servers.state("yard")
    assert house.shown == {Y: ["yard"]} and state is not None and state.trouble is None


async def test_one_that_runs_is_not_refused_for_what_another_asks_for() -> None:
    house = House()
    house.add("door", X)
    house.add("yard", X)
    assert house.refused("door", Y) is not None
    assert house.refused("yard", X) is None


async def test_of_two_that_differ_one_always_runs() -> None:
    house = House()
    running: list[str] = []
    for _ in range(3):
        for name, web in (("yard", X), ("door", Y)):
            if name not in running and house.refused(name, web) is None:
                house.join(name, web)
                running.append(name)
    assert running == ["yard"] and house.shown == {X: ["yard"]}
    await house.servers.leave("yard")
    assert house.refused("door", Y) is None


async def test_one_that_is_about_to_go_keeps_no_one_out() -> None:
    house = House()
    house.add("door", X)
    house.add("yard", X)
    assert house.refused("yard", None) is None
    assert house.refused("door", Y) is None
    await house.servers.leave("yard")


async def test_a_recorder_that_moves_frees_its_place() -> None:
    house = House()
    house.add("door", X)
    assert house.refused("door", ELSEWHERE) is None
    await house.servers.leave("door")
    house.join("door", ELSEWHERE)
    assert house.shown == {ELSEWHERE: ["door"]} and house.refused("yard", Y) is None

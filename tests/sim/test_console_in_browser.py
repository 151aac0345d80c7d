"""A person at a real browser over a running twin: sees it, takes over by key, hands back, labels success."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from robot_rl.console.door import Address
from robot_rl.rollout import EnvSpec
from sim.console import TwinConsole, run, watched

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("viser", reason="the extra 'console' is not installed")
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
SOFTWARE_GL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE_S = 240.0
WIDTH, HEIGHT = 800, 420


class Swaying:
    """A policy that goes to and fro along x."""

    count = 0

    def act(self, observation: object, deterministic: bool = False) -> np.ndarray:
        self.count += 1
        return np.array([0.5 if self.count // 10 % 2 else -0.5, 0, 0, 0, 0, 0], np.float32)


class Robot:
    """The twin on its control thread, as a person at the browser has it before them."""

    def __init__(self, out: Path) -> None:
        self.console: TwinConsole | None = None
        self.url, self.out, self._ready = "", out, Event()
        self._thread = Thread(target=self._control)
        self._thread.start()
        assert self._ready.wait(60.0)

    def _control(self) -> None:
        spec = EnvSpec("sim:PegInsertion-v0", {"max_steps": 100_000})
        with watched(spec, Address(port=0), self.out, seed=0) as (rollout, self.console):
            self.url = self.console.link.url
            self._ready.set()
            run(rollout, self.console, Swaying(), episodes=1)
            self.rows = rollout.store.list() if rollout.store is not None else []

    @property
    def hand_m(self) -> np.ndarray:
        assert self.console is not None
        return np.array(self.console.live.robot.arm_state.T_base_ee.position_m)

    def wait(self) -> None:
        """For the episode to end of itself."""
        self._thread.join(60.0)
        assert not self._thread.is_alive(), "the episode should have ended"

    def end(self) -> None:
        assert self.console is not None
        if self._thread.is_alive():
            self.console.hand.judge("reset")
        self._thread.join(60.0)


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Robot]:
    robot = Robot(tmp_path)
    yield robot
    robot.end()


@pytest.fixture
def page(robot: Robot) -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=BROWSER, args=SOFTWARE_GL)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(1000 * PATIENCE_S)
        page.goto(robot.url)
        page.wait_for_selector("#driver")
        yield page
        browser.close()


def eventually(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_a_person_corrects_the_policy_from_the_browser(robot: Robot, page: Any) -> None:
    def driver() -> str:
        return str(page.inner_text("#driver"))

    eventually(lambda: driver() == "policy drives", "the policy should drive")
    _picture_and_scene_move(page)

    before = robot.hand_m
    page.keyboard.press("u")
    eventually(lambda: driver() == "you drive", "a key should take over")
    eventually(lambda: robot.hand_m[2] - before[2] > 0.003, "the arm should go up")

    page.keyboard.press("b")
    eventually(lambda: driver() == "policy drives", "the policy should have the arm back")
    page.get_by_role("button", name="Success").click()
    robot.wait()
    (row,) = robot.rows
    assert row.success and row.label == "success"
    (span,) = row.intervention_spans
    assert 0 < span[0] < span[1] < row.steps  # It began after the policy, and ended before the episode did.


def _picture_and_scene_move(page: Any) -> None:
    picture = page.locator("img[src^='blob:'], img[src^='data:image/jpeg']").first
    seen: set[str] = set()
    eventually(lambda: len(seen.add(picture.get_attribute("src")) or seen) > 3, "the camera's picture stands still")
    clip = {"x": 0, "y": 180, "width": 380, "height": HEIGHT - 180}
    scenes: set[bytes] = set()
    eventually(lambda: len(scenes.add(page.screenshot(clip=clip)) or scenes) > 2, "the drawn arm stands still")

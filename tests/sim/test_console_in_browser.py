"""A person at a real browser over a running twin: sees it, drives by key and by gizmo, hands back, labels success."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgpack
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hardware.interfaces import GuardMode
from robot_rl.console.door import Address
from robot_rl.console.hand import LOST
from robot_rl.episodes import EpisodeRow, EpisodeStore
from robot_rl.rollout import EnvSpec
from robot_rl.types import Episode
from sim.console import TwinConsole, run, watched
from tests.browser import HEIGHT, PATIENCE_S, blank_page, eventually

pytest.importorskip("viser", reason="the extra 'console' is not installed")
ALONG_THE_ARROW_M = np.array([0.12, 0.0, 0.0])
"""From the hand to the middle of the gizmo's arrow along x, which the policy sways along: it is there at any time."""


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
        assert self._ready.wait(PATIENCE_S)

    def _control(self) -> None:
        spec = EnvSpec("sim:PegInsertion-v0", {"max_steps": 100_000})
        with watched(spec, Address(port=0), self.out, seed=0) as (rollout, self.console):
            self.url = self.console.link.url
            self._ready.set()
            run(rollout, self.console, Swaying(), episodes=2)

    @property
    def hand_m(self) -> np.ndarray:
        assert self.console is not None
        return np.array(self.console.live.robot.arm_state.T_base_ee.position_m)

    def first_episode(self) -> tuple[EpisodeRow, Episode]:
        """What is on file of it, once it has ended."""
        assert self.console is not None
        eventually(lambda: len(self.console.live.outcomes) > 0, "the episode should have ended")
        self.end()
        store = EpisodeStore(self.out / "episodes")
        row = store.list()[0]
        episode = store.read(row)
        store.close()
        return row, episode

    def end(self) -> None:
        """Of the second episode, and all."""
        assert self.console is not None
        while self._thread.is_alive():
            self.console.hand.judge("reset")  # Again and again: what is said during a reset counts for nothing.
            self._thread.join(0.1)


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Robot]:
    robot = Robot(tmp_path)
    yield robot
    robot.end()


@pytest.fixture
def page(robot: Robot) -> Iterator[Any]:
    with blank_page() as page:
        page.on("websocket", lambda socket: socket.on("framesent", partial(note_camera, page)))
        page.goto(robot.url)
        page.wait_for_selector("#driver")
        yield page


def note_camera(page: Any, frame: bytes | str) -> None:
    """Keep what the page says of its camera."""
    message = msgpack.unpackb(frame) if isinstance(frame, bytes) else {}
    if message.get("type") == "ViewerCameraMessage":
        page.camera = message


def pixel(camera: Mapping[str, Any], point_m: np.ndarray) -> tuple[float, float]:
    """Where ``camera`` (forward z, down y) sees a point."""
    w, x, y, z = camera["wxyz"]
    right, down, forward = Rotation.from_quat((x, y, z, w)).inv().apply(point_m - np.array(camera["position"]))
    focal_px = 0.5 * camera["image_height"] / np.tan(0.5 * camera["fov"])
    return (
        0.5 * camera["image_width"] + focal_px * right / forward,
        0.5 * camera["image_height"] + focal_px * down / forward,
    )


def test_a_person_corrects_the_policy_from_the_browser(
    robot: Robot, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Software draws this page, and a busy machine gives it little time.
    monkeypatch.setattr("robot_rl.console.hand.STILL_S", PATIENCE_S)
    monkeypatch.setattr("robot_rl.console.hand.SILENT_S", PATIENCE_S)

    def drives(who: str, heard: str) -> bool:
        """Whether it is shown, and its sound was made: the page looks for those by itself, twenty times a second."""
        return page.inner_text("#driver") == who and page.evaluate("robotRl.heard?.driver") == heard

    you, policy = partial(drives, "you drive", "human"), partial(drives, "policy drives", "policy")
    eventually(policy, "the policy should drive")
    _picture_and_scene_move(page)
    eventually(lambda: "control rate" in page.inner_text("#status"), "the page should say how quick the loop is")

    before = robot.hand_m
    page.keyboard.press("u")
    eventually(you, "a key should take over")
    eventually(lambda: robot.hand_m[2] - before[2] > 0.003, "the arm should go up")

    page.keyboard.press("b")
    eventually(policy, "the policy should have the arm back")

    grip, further = robot.hand_m + ALONG_THE_ARROW_M, robot.hand_m + 2.0 * ALONG_THE_ARROW_M
    page.mouse.move(*pixel(page.camera, grip))
    page.mouse.down()
    eventually(you, "the gizmo should take over")
    before = robot.hand_m
    page.mouse.move(*pixel(page.camera, further), steps=5)
    eventually(lambda: robot.hand_m[0] - before[0] > 0.05, "the arm should follow the gizmo while it is held")
    page.mouse.up()

    page.keyboard.press("b")
    eventually(policy, "the policy should have the arm back")
    page.get_by_role("button", name="Success").click()
    eventually(lambda: page.evaluate("robotRl.played")[-2:] == ["success", "start"], "it should beep at the end")
    assert page.evaluate("robotRl.played")[:2] == ["takeover", "takeover"]
    row, _ = robot.first_episode()
    assert row.success and row.label == "success"
    by_key, by_gizmo = row.intervention_spans
    assert 0 < by_key[0] < by_key[1] < by_gizmo[0] < by_gizmo[1] < row.steps  # The policy drove before, between, after.


def test_a_tab_that_hangs_while_it_drives_holds_the_arm(robot: Robot, page: Any) -> None:
    assert robot.console is not None
    hand = robot.console.hand
    page.keyboard.press("t")
    # What the page shows of it may come too late: a busy machine's tab is silent for longer than the guard waits.
    eventually(lambda: hand.stats.takeovers == 1, "a key should take over")
    page.evaluate("setTimeout(() => { for (;;); })")
    row, episode = robot.first_episode()
    assert row.intervention_spans and not row.success
    last = episode.steps[-1].raw
    assert last is not None and last.executed.mode is GuardMode.HOLD
    assert "S13" in [refusal.limit for refusal in last.executed.refusals]
    assert hand.trouble == LOST


def _picture_and_scene_move(page: Any) -> None:
    picture = page.locator("img[src^='blob:'], img[src^='data:image/jpeg']").first
    seen: set[str] = set()
    eventually(lambda: len(seen.add(picture.get_attribute("src")) or seen) > 2, "the camera's picture stands still")
    clip = {"x": 0, "y": 180, "width": 380, "height": HEIGHT - 180}
    scenes: set[bytes] = set()
    eventually(lambda: len(scenes.add(page.screenshot(clip=clip)) or scenes) > 1, "the drawn arm stands still")

"""The console over a real cell: it shows what the guard knows, and what it asks never lets the arm move."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from hardware.cell import load_cell
from hardware.devices import runtime_folder
from hardware.geometry import pose_inverse, pose_multiply, xyzw_from_wxyz
from hardware.interfaces import GuardMode, Pose
from robot_rl.cell_console import CellStage, newest_metrics
from robot_rl.cell_env import CellEnv, make
from robot_rl.cell_person import BEGIN
from robot_rl.cell_scene import SURROUNDINGS, CellScene
from robot_rl.console.broadcast import SOCKET, wait_for
from robot_rl.console.link import PACKET_BYTES
from robot_rl.console.snapshot import HELPED, SUCCESS, Snapshot
from robot_rl.episodes import EpisodeStore
from robot_rl.rollout import EnvSpec, Rollout
from tests.browser import blank_page, eventually
from tests.robot_rl.cell_rig import Cabinet, files

pytest.importorskip("trimesh", reason="the extra 'console' is not installed")
PRESS_S = 5.0
"""The rig's person presses success so often."""


class Page:
    """What a console's process does, without a page."""

    def __init__(self, path: Path) -> None:
        self._link = wait_for(path, lambda: pytest.fail(f"nobody broadcasts at {path}"))
        self._link.setblocking(False)

    def ask(self, *wish: Any) -> None:
        self.send(json.dumps(wish).encode())

    def send(self, packet: bytes) -> None:
        self._link.send(packet)

    def seen(self) -> list[Snapshot]:
        """What has come since it was last asked."""
        found = []
        try:
            while packet := self._link.recv(PACKET_BYTES):
                found.append(Snapshot.unpack(packet))
        except BlockingIOError:
            pass
        return found


class Resting:
    """A policy that asks for nothing."""

    def act(self, observation: object, deterministic: bool = False) -> np.ndarray:
        return np.zeros(6, np.float32)


@pytest.fixture(name="where")
def a_cell(tmp_path: Path) -> dict[str, str]:
    return {**files(tmp_path), "folder": str(tmp_path / "place")}


@pytest.fixture(name="env")
def an_environment(where: dict[str, str]) -> Iterator[CellEnv]:
    env = make(**where)
    assert isinstance(env, CellEnv)
    yield env
    env.close()


@pytest.fixture(name="page")
def a_page(env: CellEnv, where: dict[str, str]) -> Page:
    return Page(Path(where["folder"]) / SOCKET)


def still(env: CellEnv) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    return env.step(np.zeros(6, np.float32))


def pause(env: CellEnv) -> None:
    """For longer than a snapshot takes to come."""
    env.robot.clock.sleep_until(env.now() + 0.1)


def test_it_sees_the_robot_and_how_its_episodes_go(env: CellEnv, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robot_rl.console.timing.WINDOW_S", 1e-9)  # Of the wall's clock, which hardly moves here.
    env.reset(seed=1)
    while not any(still(env)[2:4]):
        pass
    pause(env)
    newest = page.seen()[-1]
    assert newest.mode is GuardMode.RUNNING and newest.episode == 1 and newest.step == env.steps
    assert newest.hand.position_m == pytest.approx(Cabinet.arm.pose.position_m, abs=1e-3)
    assert newest.timing is not None and newest.timing.late_ticks == 0 and newest.timing.command_age_s <= 0.11
    assert newest.outcomes.tolist() == [SUCCESS]


def test_driving_counts_as_help(env: CellEnv, page: Page) -> None:
    env.reset(seed=1)
    Cabinet.person.push(0.0, 0.5)
    still(env)
    Cabinet.person.release()
    while not any(still(env)[2:4]):
        pass
    assert env.live.outcomes.tolist() == [SUCCESS | HELPED]


def test_a_page_may_hold(env: CellEnv, page: Page) -> None:
    env.reset(seed=1)
    page.seen()
    still(env)
    page.ask("hold")
    _, _, terminated, truncated, info = still(env)
    assert truncated and not terminated and info["held"]
    pause(env)
    assert page.seen()[-1].mode is GuardMode.HOLD


@pytest.mark.parametrize("verdict", ["success", "failure", "discard", "reset"])
def test_a_page_may_say_how_it_went(verdict: str, env: CellEnv, page: Page) -> None:
    env.reset(seed=1)
    still(env)
    page.seen()
    page.ask("judge", verdict)
    pause(env)
    _, reward, terminated, truncated, info = still(env)
    good = verdict == "success"
    assert (reward, terminated, truncated, info["success"]) == (float(good), good, not good, good)
    assert info["reward_inputs"]["key"] == {"success": 1.0, "failure": -1.0}.get(verdict, 0.0)


def test_nothing_that_a_page_asks_lets_the_arm_move(env: CellEnv, page: Page) -> None:
    env.reset(seed=1)
    still(env)
    page.seen()
    page.ask("hold")
    still(env)
    place, clock = Cabinet.arm.pose, env.robot.clock
    asked = [("judge", "success"), ("resume",), ("take_over",), ("jog", 2, 1.0), ("pull", [0.5, 0, 0.5], [1, 0, 0, 0])]
    pressed_s = PRESS_S * (env.now() // PRESS_S) + 0.5 * PRESS_S
    pressed_s += PRESS_S * (pressed_s < env.now() + 1.0)

    def ask(now: float) -> None:
        """Until just before the person presses, and not a moment did it move."""
        if now < pressed_s - 0.2:
            for wish in asked:
                page.ask(*wish)
            assert Cabinet.arm.pose == place
            page.seen()

    clock.every(0.1, ask)
    env.reset(seed=2)
    assert env.now() >= pressed_s
    assert Cabinet.arm.pose != place


def test_it_says_that_the_run_waits_for_the_button(env: CellEnv, page: Page) -> None:
    env.reset(seed=1)
    assert any(snapshot.trouble == BEGIN for snapshot in page.seen())
    pause(env)
    assert page.seen()[-1].trouble == ""


@pytest.mark.parametrize(
    "packet", [b"", b"{", b"17", b'["hold"', b"[]", b"[1]", b'[["hold"]]', b"\xff\xfe", b"[" * 9000]
)
def test_who_is_no_page_is_not_heard_and_ends_nothing(
    packet: bytes, env: CellEnv, page: Page, where: dict[str, str]
) -> None:
    env.reset(seed=1)
    page.seen()
    page.send(packet or b"\0")
    still(env)
    assert env.latest.executed.mode is GuardMode.RUNNING
    again = Page(Path(where["folder"]) / SOCKET)
    for _ in range(3):
        still(env)
    assert again.seen(), "the next console is let in"


@pytest.mark.parametrize("wish", [["judge"], ["judge", "great"], ["hold", 1], ["__init__"], ["judge", ["success"]]])
def test_wishes_that_make_no_sense_do_nothing(wish: list[Any], env: CellEnv, page: Page) -> None:
    env.reset(seed=1)
    page.ask(*wish)
    _, _, terminated, truncated, _ = still(env)
    assert not terminated and not truncated


def test_a_picture_that_fails_ends_nothing(
    env: CellEnv, page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env.reset(seed=1)
    assert env.live is not None
    monkeypatch.setattr(env.live, "look", lambda: {"positions": 1 / 0})
    page.seen()
    for _ in range(5):
        _, _, terminated, truncated, _ = still(env)
        assert not terminated and not truncated
    assert page.seen() == [] and "the robot goes on" in caplog.text


def test_the_newest_console_is_the_one(env: CellEnv, page: Page, where: dict[str, str]) -> None:
    env.reset(seed=1)
    second = Page(Path(where["folder"]) / SOCKET)
    for _ in range(3):
        still(env)
    page.seen()
    for _ in range(3):
        still(env)
    assert second.seen() and not page.seen()


def test_its_socket_is_the_owners_alone_and_goes_with_the_run(where: dict[str, str]) -> None:
    env, path = make(**where), Path(where["folder"]) / SOCKET
    assert path.stat().st_mode & 0o777 == 0o600
    env.close()
    assert not path.exists()


# -- what is drawn -----------------------------------------------------------------------------------------------------


def test_a_cell_is_drawn_where_its_guard_has_it() -> None:
    cell = load_cell("twin")
    drawn = CellScene(cell, "peg_insertion")
    joints = cell.home_joint_positions_rad
    body = cell.whole_arm("collaborative", "peg_insertion").body
    view = body.view(joints, pose_inverse(cell.mount.pose))
    hand = pose_multiply(pose_inverse(cell.mount.pose), view.ee_by_joints)
    poses = drawn.body_poses(joints, hand)
    assert poses.shape == (len(drawn.scene.bodies), 7)
    capsules = iter(body.presence(body.view(joints, hand), body.posture(view, hand)).arm)
    names = list(drawn.scene.bodies)
    for index, shapes in enumerate(drawn.scene.bodies.values()):
        if names[index] == SURROUNDINGS or index == body.ee_frame:
            continue
        x, y, z, *wxyz = poses[index].tolist()
        pose = Pose((x, y, z), xyzw_from_wxyz(tuple(wxyz)))  # type: ignore[arg-type]
        for shape in shapes:
            capsule, _ = next(capsules), next(capsules)
            for vertex in shape.vertices_m.tolist():
                at = pose_multiply(pose, Pose(tuple(vertex), (0.0, 0.0, 0.0, 1.0))).position_m
                assert _outside_m(at, capsule) == pytest.approx(0.0, abs=2e-3)
    heights = np.concatenate([s.vertices_m for s in drawn.scene.bodies[SURROUNDINGS]])[:, 2]
    assert heights.min() < 0.0 and heights.max() == pytest.approx(0.14), "table and work zone"


def _outside_m(point: tuple[float, ...], capsule: Any) -> float:
    a, b = np.array(capsule.a), np.array(capsule.b)
    way, length = b - a, float((b - a) @ (b - a))
    share = float(np.clip((np.array(point) - a) @ way / length, 0.0, 1.0)) if length else 0.0
    return float(np.linalg.norm(np.array(point) - a - share * way)) - capsule.radius


def test_an_episode_of_the_arm_is_staged_by_its_joints(env: CellEnv, where: dict[str, str], tmp_path: Path) -> None:
    store = EpisodeStore(tmp_path / "episodes")
    (episode,) = Rollout(env, EnvSpec("x:y"), "run", 0, store=store).episodes(Resting(), 1)
    stage = CellStage(CellScene(load_cell(where["cell"])), episode)
    last = stage.body_poses(len(episode.steps) - 1)
    raw = episode.steps[-1].raw
    assert raw is not None and stage.scene is not None
    assert last[-2, :3] == pytest.approx(np.array(raw.arm.T_base_ee.position_m))
    store.close()


def test_what_a_page_discards_is_filed_as_discarded(env: CellEnv, page: Page, tmp_path: Path) -> None:
    store = EpisodeStore(tmp_path / "episodes")
    rollout, policy = Rollout(env, EnvSpec("x:y"), "run", 0, store=store), Resting()
    rollout.step(policy)
    page.ask("judge", "discard")
    while rollout.step(policy)[1] is None:
        pass
    assert [(row.label, row.complete) for row in store.list()] == [("discard", True)]
    store.close()


def test_metrics_of_the_first_run_that_has_some(tmp_path: Path) -> None:
    assert newest_metrics([tmp_path]) == {}
    (tmp_path / "metrics.jsonl").write_text('{"q": 1.0}\n{"q": 0.5, "utd": null}\n')
    assert newest_metrics([tmp_path / "none", tmp_path]) == {"q": 0.5}
    (tmp_path / "metrics.jsonl").write_text('{"q": 1.0}\n{"q": 0.')
    assert newest_metrics([tmp_path]) == {}


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_the_operator_sees_the_cell_in_a_browser_and_holds_it(where: dict[str, str]) -> None:
    pytest.importorskip("viser", reason="the extra 'console' is not installed")
    with TemporaryDirectory() as temporary:  # Where processes of this cell meet; a socket's path has to be short.
        _hold_from_a_browser(where, temporary)


def _hold_from_a_browser(where: dict[str, str], temporary: str) -> None:
    place = Path(temporary) / runtime_folder(load_cell(where["cell"]).name).name
    held, ended = Event(), Event()

    def run() -> None:
        env.reset(seed=1)
        while not ended.is_set():
            _, _, _, truncated, info = still(env)  # type: ignore[arg-type]
            if info["held"]:
                held.set()
                return
            if truncated or info["success"]:
                env.reset()

    command = [sys.executable, "-m", "robot_rl", "console", "--cell", where["cell"], "--port", "0", "--no-sounds"]
    thread = Thread(target=run)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": temporary}
    ) as console:
        try:
            assert console.stderr is not None
            url = next(found[0] for line in console.stderr if (found := re.findall(r"console: (http\S+)", line)))
            with blank_page() as page:
                page.goto(url)
                # Last: a browser that this process starts would have the guard's priority, and both processors.
                env = make(cell=where["cell"], task=where["task"], folder=str(place), max_steps=1_000_000)
                thread.start()
                page.wait_for_selector("#driver")
                eventually(lambda: page.inner_text("#driver") == "policy drives", "the policy should drive")
                assert page.get_by_role("button", name="Take over").count() == 0

                def hold() -> bool:
                    page.keyboard.press("Space")  # Again and again: between two episodes it ends none.
                    return held.wait(0.5)

                eventually(hold, "the space bar should hold the robot")
                eventually(lambda: page.inner_text("#driver") == "guard holds", "the page should say so")
        finally:
            ended.set()
            console.terminate()
    thread.join()
    env.close()

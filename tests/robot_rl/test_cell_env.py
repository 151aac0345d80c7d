"""The environment of a real cell: the person begins episodes and says what succeeded; nothing moves before."""

from __future__ import annotations

import json
import signal
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from hardware.fakes import FakeTeleop
from hardware.interfaces import ArmReference, GuardMode, Source, TeleopSample
from hardware.teleop.labels import WithLabels
from robot_rl.actor import Actor
from robot_rl.cell_env import make
from robot_rl.cell_task import load_task
from robot_rl.cli import main
from robot_rl.collectors import RandomPolicy
from robot_rl.env import RobotEnv
from robot_rl.episodes import EpisodeStore, read_episode
from robot_rl.link import InProcessLink
from robot_rl.policy_weights import Acting
from robot_rl.rollout import EnvSpec
from robot_rl.stopping import Stopping
from tests.robot_rl.cell_rig import Cabinet, files


@pytest.fixture(name="where")
def a_cell(tmp_path: Path) -> dict[str, str]:
    return {**files(tmp_path), "folder": str(tmp_path / "place")}


@pytest.fixture(name="env")
def an_environment(where: dict[str, str]) -> Any:
    env = make(**where)
    yield env
    env.close()


def still(env: RobotEnv) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    return env.step(np.zeros(6, np.float32))


def trouble(env: RobotEnv, what: str, seconds: float) -> float:
    """The arm is ``blocked`` or ``gone`` from now on, until the time returned."""
    end_s = env.now() + seconds
    setattr(Cabinet.arm, what, True)
    env.robot.clock.every(0.1, lambda now: setattr(Cabinet.arm, what, now < end_s))
    return end_s


def test_gymnasium_accepts_it(env: RobotEnv) -> None:
    check_env(env, skip_render_check=True)


@pytest.mark.parametrize("watched", [True, False])
def test_an_episode_begins_and_succeeds_when_the_person_says_so(env: RobotEnv, watched: bool) -> None:
    commands = Cabinet.arm.commands
    _, info = env.reset(seed=1, options={"watched": watched})
    assert 2.5 <= env.now() < 7.5, "it waited for the button"
    assert Cabinet.arm.commands > commands
    x, y, z, turn = info["setup"]["start"]
    assert env.latest.arm.T_base_ee.position_m == pytest.approx((x, y, z), abs=0.005)
    assert abs(x - 0.45) <= 0.02 and abs(y) <= 0.02 and z == 0.20 and abs(turn) <= 0.1
    for _ in range(60):
        _, reward, terminated, truncated, info = still(env)
        if terminated or truncated:
            break
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert info["reward_inputs"]["key"] == 1.0


def test_failure_ends_the_episode_without_a_reward(env: RobotEnv) -> None:
    env.reset(seed=1)
    Cabinet.person.fails = True
    steps = [still(env)]
    while not (steps[-1][2] or steps[-1][3]):
        steps.append(still(env))
    assert sum(step[1] for step in steps) == 0.0
    assert steps[-1][4]["reward_inputs"]["key"] == -1.0 and not steps[-1][4]["success"]


def test_nothing_moves_until_the_button_and_it_clears_a_stop(env: RobotEnv) -> None:
    env.reset(seed=1)
    env.robot.hold()  # type: ignore[attr-defined]
    _, _, terminated, truncated, _ = still(env)
    assert truncated and not terminated
    place = Cabinet.arm.pose
    pressed_s = 5.0 * ((env.now() - 2.5) // 5.0) + 7.5
    env.robot.clock.sleep_until(pressed_s - 1.0)
    assert Cabinet.arm.pose == place and env.robot.guard.mode is GuardMode.HOLD  # type: ignore[attr-defined]
    env.reset(seed=2)
    assert env.now() >= pressed_s
    assert env.latest.executed.mode < GuardMode.HOLD


def test_a_button_that_stays_down_says_nothing_anew() -> None:
    device = FakeTeleop(TeleopSample(0.0, success=True))
    person = WithLabels(device)
    person.read(0.0)
    assert person.verdict() == "success"
    person.forget()
    person.read(0.1)
    assert person.verdict() is None
    device.sample = TeleopSample(0.0, failure=True)
    person.read(0.2)
    assert person.verdict() == "failure"


def test_a_second_environment_is_refused_and_closing_gives_the_cell_back(where: dict[str, str]) -> None:
    env = make(**where)
    with pytest.raises(OSError, match="is this cell's guard already"):
        make(**where)
    env.close()
    make(**where).close()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("max_steps = 60", "max_step = 60", "unknown key 'max_step'; did you mean 'max_steps'?"),
        ("max_steps = 60", "max_steps = 0", "max_steps is 0: give 1 or more"),
        ('name = "touch"', 'name = "touch it"', "name is 'touch it': letters, digits and _"),
        ("range_rad = 0.1", "range_rad = 7.0", "range_rad"),
        ("range_rad = 0.1", "quat_xyzw = [0.0, 0.0, 0.0, 0.0]", "its length must be 1"),
        ("position_m = [0.45, 0.0, 0.20]", "", "'position_m' is missing"),
    ],
)
def test_a_bad_task_file_is_one_line(before: str, after: str, message: str, tmp_path: Path) -> None:
    path = Path(files(tmp_path)["task"])
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(ValueError, match=message) as refused:
        load_task(path)
    assert "\n" not in str(refused.value)


def test_a_start_outside_the_workspace_is_refused(where: dict[str, str]) -> None:
    path = Path(where["task"])
    path.write_text(path.read_text().replace("[0.45, 0.0, 0.20]", "[0.45, 0.34, 0.20]"))
    with pytest.raises(ValueError, match="leaves the workspace of cell 'twin' by 10 mm"):
        make(**where)


@pytest.mark.parametrize("teleop", ['device = "spacemouse"', 'device = "evdev"\nkeys = { w = "x" }'])
def test_a_device_that_cannot_say_success_is_refused(teleop: str, where: dict[str, str]) -> None:
    path = Path(where["cell"])
    text = path.read_text()
    assert 'device = "none"' in text
    path.write_text(text.replace('device = "none"', teleop))
    with pytest.raises(ValueError, match="says success, so no episode could begin"):
        make(**where)


def test_a_reset_that_does_not_arrive_is_tried_again_at_the_next_press(
    env: RobotEnv, capsys: pytest.CaptureFixture[str]
) -> None:
    env.reset(seed=1)
    freed_s = trouble(env, "blocked", 25.0)
    env.reset(seed=2)
    assert env.now() >= freed_s
    assert "not at the start: " in capsys.readouterr().err


def test_a_lost_arm_ends_the_episode_and_the_next_press_goes_on(
    env: RobotEnv, capsys: pytest.CaptureFixture[str]
) -> None:
    env.reset(seed=1)
    still(env)
    back_s = trouble(env, "gone", 12.0)
    steps = [still(env), still(env)]
    assert any(terminated or truncated for _, _, terminated, truncated, _ in steps)
    env.reset(seed=2)
    assert env.now() >= back_s
    assert "not at the start: " in capsys.readouterr().err
    assert env.latest.executed.mode < GuardMode.HOLD


def test_a_cell_without_a_person_or_a_camera_is_refused(where: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="has no camera 'top'; there are"):
        make(**where, cameras=("top",))
    with pytest.raises(ValueError, match="--image-size is 48: make width_px and height_px"):
        make(**where, cameras=("front",), image_size=48)
    from hardware.devices import Devices
    from hardware.fakes import FakeArm, FakeClock
    from hardware.interfaces import NoTeleop

    clock = FakeClock()
    alone = Devices(FakeArm(clock), NoTeleop(), {}, clock)
    monkeypatch.setattr("tests.robot_rl.cell_rig.devices", lambda cell, folder: alone)
    with pytest.raises(ValueError, match="has no teleop device: nobody could begin an episode"):
        make(**where)


def test_recorded_trained_and_tested_from_the_command_line(
    where: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = json.dumps({"folder": where["folder"]})
    cell = ["--cell", where["cell"], "--task", where["task"], "--env-kwargs", place, "--json"]

    def said(*words: str) -> dict[str, Any]:
        assert main([*words, *cell]) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    shown = said("record", "--episodes", "2", "--out", str(tmp_path / "shown"))
    assert shown["demos"] == 2
    held = read_episode(next((tmp_path / "shown").rglob("*.mcap"))).header.files
    assert held == {name: Path(where[name]).read_text() for name in ("cell", "task")}
    small = [
        "--learner.width",
        "8",
        "--learner.batch-size",
        "16",
        "--cloning.steps",
        "20",
        "--critic-only-updates",
        "2",
    ]
    demos = ["--demos", str(tmp_path / "shown"), "--warmup-steps", "20", "--env-steps", "60"]
    trained = said("train", *demos, *small, "--out", str(tmp_path / "run"))
    assert trained["env_steps"] >= 60
    tested = said("eval", str(tmp_path / "run"), "--episodes", "2")
    assert (tested["task"], tested["episodes"]) == ("touch", 2)
    assert main(["eval", str(tmp_path / "run"), "--episodes", "2"]) == 2
    assert "if you trust it, --env robot_rl.cell_env:RealCell-v0" in capsys.readouterr().err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ctrl_c_ends_the_wait_for_the_button(
    signum: signal.Signals, where: dict[str, str], tmp_path: Path
) -> None:
    spec = EnvSpec("robot_rl.cell_env:RealCell-v0", where)
    link, said = InProcessLink(), list[str]()
    with Stopping() as stopping:
        actor = Actor(tmp_path, spec.make(), spec, link, "run", min_free_bytes=0, say=said.append)
        actor.acting = Acting(RandomPolicy(np.random.default_rng(0), 6), Source.POLICY, 1)
        Cabinet.person.signals = {11.0: signum}  # The first episode is over at 7.5 s, the next press comes at 12.5 s.
        with pytest.raises(KeyboardInterrupt):
            actor.run(stopping)
    assert [line.partition(" in ")[0] for line in said] == ["episode 0: success"]
    assert Cabinet.clock.now() < 11.5 and Cabinet.arm.reference is None, "the arm is let go of, where it stands"
    store = EpisodeStore(tmp_path / "episodes")
    assert [store.read(row).success for row in store.list()] == [True]
    store.close()
    make(**where).close()


def test_ctrl_c_while_the_arm_moves_brings_it_to_rest(where: dict[str, str]) -> None:
    env = make(**where)
    Cabinet.person.signals = {2.9: signal.SIGINT}
    commands, speeds = [], []
    arm, command = Cabinet.arm, Cabinet.arm.command

    def heard(reference: ArmReference) -> None:
        commands.append(reference)
        speeds.append(hypot(*reference.twist[:3]))
        command(reference)

    arm.command = heard  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        env.reset(seed=1)
    assert speeds[-1] > 0.01, "it moved when the word came"
    env.close()
    assert speeds[-1] == 0.0 and arm.reference is None
    assert Cabinet.clock.now() < 2.9 + 0.5

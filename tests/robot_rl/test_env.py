"""RobotEnv over the real guard and LocalRobot, with a fake arm that tracks exactly and a clock that moves when told."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from hardware.cell import load_cell
from hardware.fakes import POINTING_DOWN, FakeArm, FakeClock
from hardware.geometry import pose_add, pose_delta, quat_inverse, quat_multiply, quat_rotate, rotvec_from_quat
from hardware.interfaces import Gripper, GuardMode, NoTeleop, ResetPlan, Source, TeleopSample
from hardware.local_robot import LocalRobot
from robot_rl.env import EnvOptions, RobotEnv
from robot_rl.observation import FINE_M, PLACE, PRESSES_N, Touched
from robot_rl.task import TaskSpec
from tests.hardware.rig import fake_cell


class AboveTable:
    """Start 25 cm above the table; never succeeds unless told to."""

    def __init__(self, gripper: bool = False, max_steps: int = 20):
        self.spec = TaskSpec("above_table", "Stay.", max_steps, gripper=gripper)
        self.task_frame, self.won, self.setup = POINTING_DOWN, False, {"offset_m": 0.0}

    def reset(self, rng, teleport):
        self.setup = {"offset_m": float(rng.uniform(-0.01, 0.01))}
        start = pose_add(POINTING_DOWN, (self.setup["offset_m"], 0.0, 0.0, 0.0, 0.0, 0.0))

        def place():
            self.arm.pose, self.arm.reference = start, None

        grip = Gripper.OPEN if self.spec.gripper else Gripper.HOLD
        return ResetPlan(start, gripper=grip, teleport=place if teleport else None)

    def features(self, observation):
        return np.zeros(0, np.float32)

    def success(self, observation):
        return self.won

    def snapshot(self):
        return None


class Person:
    """Pushes +x with full deflection between two times."""

    def __init__(self, start_s=1e9, end_s=1e9):
        self.start_s, self.end_s = start_s, end_s

    def connect(self): ...

    def close(self): ...

    def read(self, now):
        driving = self.start_s <= now < self.end_s
        return TeleopSample(now, (float(driving), 0.0, 0.0, 0.0, 0.0, 0.0), driving)


def make_env(task=None, teleop=None, delay_s=0.0, cell=None, **options):
    clock = FakeClock(delays_s={"command": delay_s})
    arm = FakeArm(clock)
    arm.connect()
    task = task or AboveTable()
    task.arm = arm
    robot = LocalRobot(arm, {}, teleop or NoTeleop(), cell or fake_cell(), clock)
    return RobotEnv(robot, task, EnvOptions(**options))


def act(env, *values):
    action = np.zeros(env.action_space.shape, np.float32)
    action[: len(values)] = values
    return action


def test_gymnasium_accepts_it():
    check_env(make_env(), skip_render_check=True)


def test_state_has_a_name_for_every_entry():
    for gripper in (False, True):
        for frame in ("task", "end_effector"):
            env = make_env(AboveTable(gripper), frame=frame)
            observation, _ = env.reset(seed=0)
            assert observation["state"].shape == (len(env.state_names),) == env.observation_space["state"].shape
            assert len(set(env.state_names)) == len(env.state_names)


def test_a_tracked_thing_is_seen_in_the_task_frame_too_where_millimetres_count():
    class Tracking(AboveTable):
        """A tracker has a lid some millimetres and 0.02 rad off the task frame; of the box it has no place."""

        place = (0.002, -0.003, 0.001, 0.02)

        def __init__(self):
            super().__init__()
            names = ("lid_x", "lid_y", "lid_z", "lid_yaw", "box_x", "box_y")
            self.spec = replace(self.spec, feature_names=names, position_scale_m=0.1)

        def features(self, observation):
            hand, axes = observation.arm.T_base_ee, quat_inverse(self.task_frame.quat_xyzw)
            away = np.array(hand.position_m) - np.array(self.task_frame.position_m)
            offset = np.array(self.place[:3]) - np.array(quat_rotate(axes, tuple(away)))
            turn = rotvec_from_quat(quat_multiply(axes, hand.quat_xyzw))[2]
            return np.array([*offset / 0.1, (self.place[3] - turn) / 0.2, 0.5, 0.5], np.float32)

    env = make_env(Tracking(), fine_tracked=True)
    names, expected = env.state_names, np.tanh(np.array(Tracking.place) / (0.005, 0.005, 0.005, 0.05))
    assert [n for n in names if n.startswith("fine_") and "pose" not in n] == [f"fine_lid{e}" for e in PLACE]
    first, _ = env.reset(seed=0)
    for _ in range(5):
        seen, *_ = env.step(act(env, 0.8, -0.6, 0.4, 0.0, 0.0, 0.9))
    at = names.index("fine_lid_x")
    assert np.abs(seen["state"][:6] - first["state"][:6]).max() > 0.1, "the hand has moved, and turned"
    assert first["state"][at : at + 4] == pytest.approx(expected, abs=1e-4)
    assert seen["state"][at : at + 4] == pytest.approx(expected, abs=1e-4)
    assert "fine_lid_x" not in make_env(Tracking()).state_names
    for other in ({"frame": "base"}, {"tracked": False}):
        with pytest.raises(ValueError, match="needs frame 'task' and tracked"):
            make_env(Tracking(), fine_tracked=True, **other)


def test_a_search_is_told_where_it_has_pressed():
    """Pressing, pressing beside it, lifting off, and somewhere else."""
    touched, here = Touched(tau_s=2.0, control_hz=10.0), np.array([1.0, 2.0, 0.0, 0.0, 0.0, 0.5])
    assert not touched(here, False).any(), "nothing was touched yet"
    assert not touched(here, True)[:6].any(), "the first touch is where the hand is"
    aside = np.add(here, [0.4, 0.0, 0.0, 0.0, 0.0, 0.0])
    pressed = [touched(aside, True) for _ in range(30)]
    away = [seen[0] for seen in pressed]
    assert away[0] == pytest.approx(np.tanh(0.4 * np.exp(-0.05)), abs=1e-6)
    assert all(a > b > 0.0 for a, b in itertools.pairwise(away)), "the average comes after"
    assert all(b[6] > a[6] for a, b in itertools.pairwise(pressed)), "so long it has been searching"
    lifted = touched(np.add(aside, [0.0, 0.0, -1.0, 0.0, 0.0, 0.0]), False)
    assert lifted[0] == pytest.approx(away[-1]) and lifted[2] == pytest.approx(np.tanh(-1.0)), "lifting forgets nothing"
    assert lifted[6] == pytest.approx(pressed[-1][6])
    far = np.add(aside, [0.0, 1.01 * Touched.ELSEWHERE_M / FINE_M + 0.1, 0.0, 0.0, 0.0, 0.0])
    assert not touched(far, False).any(), "elsewhere is another search"


def test_where_it_pressed_is_seen_only_if_asked_for_and_not_from_the_last_episode():
    env, task = make_env(touched_s=2.0, frame="base"), AboveTable()
    at = [env.state_names.index(name) for name in Touched.names]
    assert not set(Touched.names) & set(make_env(task).state_names)
    first, _ = env.reset(seed=0)
    env.robot.arm.wrench = (0.0, 0.0, 2.0 * PRESSES_N, 0.0, 0.0, 0.0)
    for _ in range(5):
        seen, *_ = env.step(act(env, 0.5))
    assert not first["state"][at].any() and (seen["state"][[at[0], at[6]]] > 0.05).all()
    env.robot.arm.wrench = (0.0, 0.0, 0.5 * PRESSES_N, 0.0, 0.0, 0.0)
    again, _ = env.reset(seed=1)
    assert not again["state"][at].any()
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"touched_s is .*: give a time constant"):
            make_env(touched_s=wrong)


@pytest.mark.parametrize("delay_s", [0.0, 0.02])
def test_an_obeyed_action_is_executed_bit_for_bit_and_moves_the_target(delay_s):
    env = make_env(delay_s=delay_s)
    env.reset(seed=0)
    before = env.latest.executed.target
    action = act(env, 0.31, -0.7, 0.123, 0.2, 0.0, -0.4)
    _, _, _, _, info = env.step(action)
    assert np.array_equal(info["executed_action"], action) and info["source"] == Source.POLICY
    moved = np.array(pose_delta(before, env.latest.executed.target))
    assert moved == pytest.approx(action * env.action_scale, abs=1e-9)


def test_what_the_workspace_clips_is_not_called_executed():
    env = make_env(cell=fake_cell(planes={}), max_steps=100)
    env.reset(seed=0)
    total, info, ended = 0.0, {}, ()
    while not info.get("held"):  # Pushing at the wall is refused, and in the end stopped (S29).
        _, *ended, info = env.step(act(env, 0.0, 0.0, -1.0))
        total += float(info["executed_action"][2])
    assert env.latest.executed.target.position_m[2] >= load_cell("twin").workspace.min_m[2]
    assert info["executed_action"][2] == pytest.approx(0.0, abs=1e-6)
    assert total * 0.008 == pytest.approx(load_cell("twin").workspace.min_m[2] - 0.25, abs=2e-3)
    assert ended == [0.0, True, False], "the motion's own doing: a failure, not a time limit"


def test_a_stop_that_is_not_the_motions_doing_truncates():
    env = make_env()
    env.reset(seed=0)
    env.robot.hold()
    _, _, terminated, truncated, info = env.step(act(env, 0.5))
    assert truncated and not terminated and info["held"]


def test_a_nan_never_reaches_the_arm_and_ends_the_episode():
    env = make_env()
    env.reset(seed=0)
    env.step(act(env, 0.5))
    _, _, terminated, truncated, info = env.step(np.full(6, np.nan, np.float32))
    assert truncated and not terminated and info["held"] and env.latest.executed.mode == GuardMode.HOLD
    reference = env.robot.arm.reference
    assert np.isfinite([*reference.T_base_ee.position_m, *reference.T_base_ee.quat_xyzw, *reference.twist]).all()
    observation, _ = env.reset(seed=1)
    assert np.isfinite(observation["state"]).all()
    assert not env.step(act(env, 0.1))[3]


def test_a_takeover_inside_a_step_is_the_persons_step():
    env = make_env(teleop=Person())
    env.reset(seed=0)
    env.step(act(env))
    now = env.now()
    env.robot.teleop = Person(now + 0.05, now + 0.25)
    _, _, _, _, first = env.step(act(env, 0.0, 1.0))
    _, _, _, _, second = env.step(act(env, 0.0, 1.0))
    assert first["source"] == second["source"] == Source.HUMAN
    assert first["intervention_start"] and not second["intervention_start"]
    assert second["executed_action"] == pytest.approx([1, 0, 0, 0, 0, 0], abs=0.05)
    assert np.array_equal(second["proposed_action"], act(env, 0.0, 1.0))


def test_gripper_entry_is_the_target_it_leaves():
    """Open at the start; closed; opening at once is refused by the guard's half second between toggles, and said so."""
    env = make_env(AboveTable(gripper=True))
    env.reset(seed=0)
    executed = []
    for grip in (0.0, -1.0, 1.0, 1.0, 0.0, 0.2, -0.2, 1.0, 0.0, 0.0):
        _, _, _, _, info = env.step(act(env, 0, 0, 0, 0, 0, 0, grip))
        executed.append(int(info["executed_action"][6]))
    assert executed == [1, -1, -1, -1, -1, -1, -1, 1, 1, 1]


def test_actions_in_the_tools_frame_turn_with_it():
    """Pointing down, the tool's z is the base's -z."""
    env = make_env(frame="end_effector")
    env.reset(seed=0)
    before = env.latest.executed.target
    _, _, _, _, info = env.step(act(env, 0.0, 0.0, 1.0))
    assert pose_delta(before, env.latest.executed.target)[2] == pytest.approx(-0.008)
    assert info["executed_action"] == pytest.approx([0, 0, 1, 0, 0, 0], abs=1e-6)


def test_the_step_limit_truncates_and_success_terminates():
    env = make_env(AboveTable(max_steps=3))
    env.reset(seed=0)
    assert [env.step(act(env))[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    env.reset(seed=0)
    env.task.won = True
    _, reward, terminated, truncated, _ = env.step(act(env))
    assert (reward, terminated, truncated) == (1.0, True, False)


def test_commands_late_by_more_than_a_period_still_add_up():
    """With 150 ms of latency the accepted target trails, and still gets where the actions lead."""
    env = make_env(delay_s=0.15)
    env.reset(seed=0)
    start = env.latest.executed.target
    for _ in range(6):
        env.step(act(env, 1.0))
    for _ in range(3):
        env.step(act(env, 0.0))
    assert pose_delta(start, env.latest.executed.target)[0] == pytest.approx(6 * 0.008, abs=1e-6)


def test_the_tasks_progress_goes_with_each_step_and_a_task_need_not_know_it():
    env = make_env()
    env.reset(seed=0)
    forward = np.zeros(env.action_space.shape, np.float32)
    others = {"key": 0.0, "classifier": 0.0}
    assert env.step(forward)[-1]["reward_inputs"] == {"potential": 0.0, "next_potential": 0.0, **others}
    values = iter([0.1, 0.4, 0.3])
    env.task.progress = lambda: next(values)
    env.reset(seed=0)
    told = [env.step(forward)[-1]["reward_inputs"] for _ in range(2)]
    assert told == [
        {"potential": 0.1, "next_potential": 0.4, **others},
        {"potential": 0.4, "next_potential": 0.3, **others},
    ]


def test_a_wrong_shape_is_refused_by_name():
    env = make_env()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action has shape \(7,\); above_table takes \(6,\)"):
        env.step(np.zeros(7))


def test_same_seed_same_episode():
    runs = []
    for _ in range(2):
        env = make_env()
        observation, _ = env.reset(seed=5)
        rows = [observation["state"]] + [env.step(act(env, 0.3, 0.1))[0]["state"] for _ in range(5)]
        runs.append(np.stack(rows))
    assert np.array_equal(*runs)


def test_pressing_against_something_does_not_wind_up():
    """The arm is blocked: the target leads by the task's limit plus one step's move, however long the policy pushes."""
    env = make_env()
    env.reset(seed=0)
    env.robot.arm.blocked = True
    for _ in range(12):
        _, _, _, _, info = env.step(act(env, 0.0, 0.0, -0.5))
    lead = pose_delta(env.latest.arm.T_base_ee, env.latest.executed.target)[2]
    assert lead == pytest.approx(-(env.task.spec.max_lead_m + 0.5 * 0.008), abs=5e-4)
    assert info["executed_action"][2] == -0.5


def test_an_operators_pause_between_episodes_is_no_reset():
    env = make_env()
    _, info = env.reset(seed=0)
    assert info["paused_s"] == 0.0
    plain_s = env.reset(seed=0)[1]["reset_s"]
    person = env.robot.teleop = Person()
    person.rest = lambda: env.robot.clock.sleep_until(env.now() + 2.5)
    _, info = env.reset(seed=0)
    assert info["paused_s"] == pytest.approx(2.5) and info["reset_s"] == pytest.approx(plain_s)

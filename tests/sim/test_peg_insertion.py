"""Peg insertion: honest walls, hidden errors, a person who can do it and a blind script that mostly cannot."""

from __future__ import annotations

import json
from math import radians

import numpy as np
import pytest

from hardware.geometry import pose_delta
from hardware.interfaces import ZERO6, ArmReference, Pose
from robot_rl.env import RobotEnv
from sim.drivers import SimArm
from sim.envs import make
from sim.tasks import make_task
from sim.tasks.base import pointing_down, yaw_of
from sim.tasks.peg_insertion import PegInsertion

DOWN_MM_S = 20.0


@pytest.fixture(scope="module")
def task() -> PegInsertion:
    task = make_task("peg_insertion")
    assert isinstance(task, PegInsertion)
    return task


@pytest.fixture(scope="module")
def env() -> RobotEnv:
    return make("peg_insertion")


def lower(task: PegInsertion, offset_m: tuple[float, float], yaw_rad: float = 0.0, press_m: float = 0.02) -> float:
    """Lower the peg straight down, ``offset_m`` off the hole's middle, pressing by ``press_m`` of lead; returns the
    depth reached. Watches that nothing interpenetrates on the way."""
    task.reset(np.random.default_rng(5), teleport=True).teleport()
    hole_x, hole_y, hole_yaw = task.numbers("hole")
    world, arm = task.world, SimArm(task.world)
    quat = pointing_down(hole_yaw + yaw_rad)
    x, y = _for_turned_hand(task, (hole_x + offset_m[0], hole_y + offset_m[1]), hole_yaw + yaw_rad)
    height = arm.read().T_base_ee.position_m[2]
    for tick in range(900):
        now_z = arm.read().T_base_ee.position_m[2]
        z = max(height - max(tick - 150, 0) * DOWN_MM_S * 1e-5, now_z - press_m)
        arm.command(ArmReference(Pose((x, y, z), quat), ZERO6, task.start_width_m))
        world.step(5)
        assert min((contact.dist for contact in world.data.contact), default=0.0) > -1e-4
    return task.depth_m()


def _for_turned_hand(task: PegInsertion, tip_xy: tuple[float, float], yaw: float) -> tuple[float, float]:
    """Where the hand must be for the tip, held off its middle, to be at ``tip_xy``: in the hand, y points to -y."""
    dx, dy = task.numbers("grasp_offset")
    c, s = np.cos(yaw), np.sin(yaw)
    return tip_xy[0] - (c * dx + s * dy), tip_xy[1] - (s * dx - c * dy)


def test_a_centred_peg_goes_in(task: PegInsertion) -> None:
    assert lower(task, (0.0, 0.0)) >= task.success_depth_m


@pytest.mark.parametrize("offset_mm", [(1.2, 0.0), (-1.2, 0.0), (0.0, 1.2), (0.0, -1.2)])
def test_the_chamfer_catches_a_peg_little_off(task: PegInsertion, offset_mm: tuple[float, float]) -> None:
    assert lower(task, (offset_mm[0] / 1000, offset_mm[1] / 1000)) >= task.success_depth_m


@pytest.mark.parametrize("offset_mm", [(2.5, 0.0), (-2.5, 0.0), (0.0, 2.5), (0.0, -2.5), (3.0, 3.0), (12.0, 0.0)])
def test_a_peg_beside_the_hole_stays_on_the_surface(task: PegInsertion, offset_mm: tuple[float, float]) -> None:
    assert lower(task, (offset_mm[0] / 1000, offset_mm[1] / 1000)) < 0.002


def test_a_turned_peg_does_not_fit(task: PegInsertion) -> None:
    # 20 mm square in 21 mm square: up to 2.9 degrees; the arm's compliance turns it a little further.
    assert lower(task, (0.0, 0.0), radians(12.0), press_m=0.005) < 0.005


def test_the_peg_does_not_leave_through_the_walls(task: PegInsertion) -> None:
    assert lower(task, (0.0, 0.0)) >= task.success_depth_m
    world, arm = task.world, SimArm(task.world)
    start = arm.read().T_base_ee
    hole = task.numbers("hole")
    for direction in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        x, y, z = start.position_m
        target = Pose((x + 0.02 * direction[0], y + 0.02 * direction[1], z), start.quat_xyzw)
        for _ in range(50):
            arm.command(ArmReference(target, ZERO6, task.start_width_m))
            world.step(5)
        tip = world.site_pose("tool/tip").position_m
        assert max(abs(tip[0] - hole[0]), abs(tip[1] - hole[1])) < 0.002


def test_what_is_drawn_is_what_the_task_says() -> None:
    task, rng = make_task("peg_insertion"), np.random.default_rng(0)
    draws = [task.draw(rng) for _ in range(2000)]
    spread = {key: np.abs(np.array([d[key] for d in draws])).max(0) for key in ("estimate_error", "grasp_offset")}
    assert np.allclose(spread["estimate_error"], [0.002, 0.002, radians(2.0)], rtol=0.01)
    assert np.allclose(spread["grasp_offset"], 0.001, rtol=0.01)
    holes = np.array([d["hole"] for d in draws]) - [0.5, 0.0, 0.0]
    assert np.allclose(np.abs(holes).max(0), [0.03, 0.03, radians(10.0)], rtol=0.01)


def test_the_policy_is_told_the_wrong_place_and_starts_about_it(task: PegInsertion) -> None:
    for seed in range(20):
        plan = task.reset(np.random.default_rng(seed), teleport=True)
        (x, y, yaw), (dx, dy, dyaw) = task.numbers("hole"), task.numbers("estimate_error")
        frame = task.task_frame
        assert frame.position_m[:2] == pytest.approx((x + dx, y + dy)) and yaw_of(frame) == pytest.approx(yaw + dyaw)
        from_estimate = pose_delta(frame, plan.start)
        assert max(map(abs, from_estimate[:2])) <= 0.02 and 0.04 <= from_estimate[2] <= 0.06


def test_observations_do_not_give_the_hole_away(env: RobotEnv) -> None:
    """Two episodes that differ only in where the hole truly is look the same until something touches."""
    task = env.task
    assert isinstance(task, PegInsertion)
    env.reset(seed=3)
    setup = json.loads(json.dumps(task.setup))
    moved = json.loads(json.dumps(setup))
    for i, shift in enumerate((0.0015, -0.001, 0.01)):
        moved["hole"][i] += shift
        moved["estimate_error"][i] -= shift
    states = []
    for numbers in (setup, moved):
        task.draw = lambda rng, numbers=numbers: dict(numbers)  # type: ignore[method-assign]
        observation, _ = env.reset(seed=3)
        episode = [observation["state"]] + [env.step(np.full(6, 0.1, np.float32))[0]["state"] for _ in range(5)]
        states.append(np.array(episode))
    del task.draw
    assert np.allclose(states[0], states[1], atol=1e-6)


def test_episodes_follow_from_the_seed_whatever_came_before() -> None:
    def run(env: RobotEnv, steps: int) -> np.ndarray:
        actions = np.random.default_rng(1).uniform(-1, 1, (steps, 6)).astype(np.float32)
        actions[:, 2] -= 0.5
        return np.array([env.step(action)[0]["state"] for action in actions])

    first, second = make("peg_insertion"), make("peg_insertion")
    first.reset(seed=8)
    run(first, 30)
    observation, info = first.reset(seed=11)
    states = run(first, 60)
    again, info_again = second.reset(seed=11)
    assert np.array_equal(observation["state"], again["state"]) and info["setup"] == info_again["setup"]
    assert np.array_equal(states, run(second, 60))


def test_setup_and_state_build_the_scene_again(task: PegInsertion) -> None:
    lower(task, (2.5e-3, 0.0))
    setup, state = json.loads(json.dumps(task.setup)), task.snapshot()
    rebuilt = make_task("peg_insertion")
    plan = rebuilt.apply_setup(setup)
    assert plan.teleport is not None
    plan.teleport()
    rebuilt.world.load_state(state)
    for world in (task.world, rebuilt.world):
        world.step(20)  # Not so long that the controller, without commands, lets go of what it presses on.
    assert task.world.data.ncon > 0 and np.array_equal(rebuilt.snapshot(), task.snapshot())


def test_the_blind_script_mostly_fails_and_never_hurts(env: RobotEnv) -> None:
    successes, forces = 0, []
    for seed in range(10):
        env.reset(seed=seed)
        for _ in range(60):
            _, _, terminated, truncated, info = env.step(env.task.blind_action(env.latest))
            forces.append(float(np.linalg.norm(env.latest.arm.wrench[:3])))
            assert not info["held"]
            if terminated or truncated:
                break
        successes += terminated
    assert 0 <= successes <= 7
    assert max(forces) < 50.0


@pytest.mark.parametrize("reset", ["teleport", "scripted"])
def test_a_person_can_do_it(reset: str) -> None:
    env = make("peg_insertion", person="expert", takeover="always", reset=reset)
    rest, lengths = np.zeros(6, np.float32), []
    for seed in range(8):
        env.reset(seed=seed)
        for step in range(1, 101):
            _, _, terminated, truncated, _ = env.step(rest)
            if terminated:
                lengths.append(step)
            if terminated or truncated:
                break
    assert len(lengths) >= 7
    assert 30 <= np.median(lengths) <= 80, "as slow as a careful person"
    assert 0.9 < env.task.progress() < 1.1 and env.task.in_funnel()


def test_without_teleport_nobody_moves_the_fixture() -> None:
    env = make("peg_insertion", reset="scripted")
    env.reset(seed=0)
    before = dict(env.task.setup)
    _, info = env.reset(seed=1)
    after = env.task.setup
    assert all(after[key] == before[key] for key in ("hole", "grasp_offset"))
    assert after["estimate_error"] != before["estimate_error"] and after["start"] != before["start"]
    assert info["reset_s"] > 0.5

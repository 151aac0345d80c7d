"""The twin's arm, camera and clock: tracking, stopping, feeling, and time."""

from __future__ import annotations

from collections.abc import Callable
from math import dist

import numpy as np
import pytest

from hardware.geometry import quat_multiply
from hardware.interfaces import ZERO6, Arm, ArmReference, Camera, Clock, Pose, Vector6
from sim.drivers import SimArm, SimCamera, SimClock
from sim.kinematics import InverseKinematics
from sim.tasks.base import pointing_down
from sim.world import RendererUnavailable, World

TICK_S, WIDTH_M = 0.01, 0.04
START = Pose((0.5, 0.0, 0.15), pointing_down(0.2))


@pytest.fixture
def world() -> World:
    world = World("reach.xml")
    world.data.qpos[:7] = InverseKinematics(world.model)(START)
    world.data.qpos[7:9] = 0.5 * WIDTH_M
    world.data.ctrl[world.model.actuator("gripper").id] = 0.5 * WIDTH_M
    world.place("target", START)
    world.refresh()
    return world


@pytest.fixture
def arm(world: World) -> SimArm:
    arm = SimArm(world)
    arm.connect()
    return arm


def drive(arm: SimArm, axis: int, speed: float, seconds: float, each: Callable[[Pose, float], None]) -> None:
    """A reference that speeds up at 1 m/s², goes on for ``seconds``, stops at 2 m/s²; ``each(reference, speed)`` after
    each tick, with the reference as of then."""
    travelled = velocity = 0.0
    for tick in range(round(seconds / TICK_S) + 40):
        wanted = speed if tick * TICK_S < seconds else 0.0
        change = min(max(wanted - velocity, -2.0 * TICK_S), 1.0 * TICK_S)
        travelled += (velocity + 0.5 * change) * TICK_S
        velocity += change
        twist = tuple(velocity if i == axis else 0.0 for i in range(6))
        arm.command(ArmReference(moved(axis, travelled), twist, WIDTH_M))
        arm.world.step(5)
        each(moved(axis, travelled + velocity * TICK_S), velocity)


def moved(axis: int, distance: float) -> Pose:
    x, y, z = (p + distance * (i == axis) for i, p in enumerate(START.position_m))
    return Pose((x, y, z), START.quat_xyzw)


def test_they_are_the_drivers_of_the_interfaces(world: World, arm: SimArm) -> None:
    clock = SimClock(world)
    assert (
        isinstance(arm, Arm) and isinstance(clock, Clock) and isinstance(SimCamera(world, "front", 32, clock), Camera)
    )


@pytest.mark.parametrize("axis", range(3))
def test_the_arm_lags_less_than_a_millimetre_at_80_mm_s(arm: SimArm, axis: int) -> None:
    lags: list[float] = []

    def note(reference: Pose, speed: float) -> None:
        if speed > 0.0799:
            lags.append(dist(arm.read().T_base_ee.position_m, reference.position_m))

    drive(arm, axis, 0.08, 0.6, note)
    assert len(lags) > 40 and max(lags[20:]) < 1e-3


@pytest.mark.parametrize("axis", range(3))
def test_a_stop_from_full_speed_is_short(arm: SimArm, axis: int) -> None:
    speeds: list[float] = []
    after: list[tuple[float, float]] = []

    def note(reference: Pose, speed: float) -> None:
        speeds.append(speed)
        if len(speeds) > 1 and (after or speed < speeds[-2]):
            state = arm.read()
            after.append((state.T_base_ee.position_m[axis], state.ee_twist[axis]))

    drive(arm, axis, 0.25, 0.4, note)
    travel = [position - after[0][0] for position, _ in after]
    assert max(travel) < 0.02
    assert abs(after[20][1]) < 0.005, "200 ms after the stop begins (S2)"
    assert all(abs(speed) < 0.015 for _, speed in after[20:])


def test_at_rest_nothing_moves_or_sags(world: World, arm: SimArm) -> None:
    before = arm.read()
    world.step(1000)
    after = arm.read()
    assert dist(before.T_base_ee.position_m, after.T_base_ee.position_m) < 1e-4
    assert np.abs(after.joint_velocities_rad_s).max() < 1e-3
    assert after.gripper_width_m == pytest.approx(WIDTH_M, abs=1e-4)


def test_rotations_are_tracked(world: World, arm: SimArm) -> None:
    goal = Pose(START.position_m, quat_multiply((0.0, 0.0, np.sin(0.1), np.cos(0.1)), START.quat_xyzw))
    for _ in range(150):
        arm.command(ArmReference(goal, ZERO6, WIDTH_M))
        world.step(5)
    quat = arm.read().T_base_ee.quat_xyzw
    assert abs(sum(a * b for a, b in zip(quat, goal.quat_xyzw, strict=True))) > np.cos(0.5 * 0.002)


def test_without_references_the_watchdog_stops_the_arm(world: World, arm: SimArm) -> None:
    twist = (0.0, 0.2, 0.0, 0.0, 0.0, 0.0)
    for tick in range(40):
        arm.command(ArmReference(moved(1, 0.2 * TICK_S * tick), twist, WIDTH_M))
        world.step(5)
    assert arm.read().ee_twist[1] > 0.15
    last = arm.read().T_base_ee.position_m[1]
    world.step(round((arm.watchdog_s + 0.3) / world.timestep_s))
    state = arm.read()
    assert np.abs(state.ee_twist[:3]).max() < 5e-3
    # What is fed forward drags the arm ahead of a target that no longer moves, by D/K times its speed, until it is cut.
    assert abs(state.T_base_ee.position_m[1] - last) < 0.02
    assert world.data.ctrl[:6] == pytest.approx(0.0)


def test_references_keep_the_watchdog_quiet(world: World, arm: SimArm) -> None:
    twist = (0.01, 0.0, 0.0, 0.0, 0.0, 0.0)
    for _ in range(30):
        arm.command(ArmReference(START, twist, WIDTH_M))
        world.step(5)
    assert np.abs(world.data.ctrl[:6]).max() > 0.0


@pytest.mark.parametrize(
    "pushed", [(6.0, 0, 0, 0, 0, 0), (0, -5.0, 0, 0, 0, 0), (0, 0, 8.0, 0, 0, 0), (0, 0, 0, 0.4, 0, 0.3)]
)
def test_the_wrench_is_what_acts_on_the_tool(world: World, arm: SimArm, pushed: Vector6) -> None:
    hand, ee = world.model.body("hand").id, world.data.site("ee").xpos
    for _ in range(400):
        # xfrc_applied acts at the centre of mass: move the moment there, so that the wrench is about the ee point.
        lever = ee - world.data.xipos[hand]
        force, torque = np.array(pushed[:3], float), np.array(pushed[3:], float)
        world.data.xfrc_applied[hand] = [*force, *(torque + np.cross(lever, force))]
        world.step(2)
    assert arm.read().wrench == pytest.approx(pushed, abs=0.05)


def test_in_free_motion_little_is_felt(arm: SimArm) -> None:
    forces: list[float] = []
    drive(arm, 0, 0.08, 0.4, lambda reference, speed: forces.append(float(np.linalg.norm(arm.read().wrench[:3]))))
    assert max(forces) < 3.0  # The hand's own inertia, as with a real wrist sensor.


def test_pressing_on_the_table_is_felt_as_the_spring_has_it(world: World, arm: SimArm) -> None:
    for tick in range(400):
        z = max(START.position_m[2] - 0.0006 * tick, 0.0)
        arm.command(ArmReference(Pose((*START.position_m[:2], z), START.quat_xyzw), ZERO6, WIDTH_M))
        world.step(5)
    state = arm.read()
    assert state.wrench[2] == pytest.approx(2000.0 * state.T_base_ee.position_m[2], rel=0.1)
    assert state.wrench[2] > 10.0
    assert min(contact.dist for contact in world.data.contact) > -1e-4


# -- clock -------------------------------------------------------------------------------------------------------------


def test_calls_come_on_time_in_the_order_registered(world: World) -> None:
    clock, calls = SimClock(world), []
    clock.every(0.01, lambda now: calls.append(("guard", round(now, 6))))
    clock.every(0.02, lambda now: calls.append(("camera", round(now, 6))), phase_s=-0.01)
    clock.sleep_until(0.03)
    assert calls == [("guard", 0.01), ("camera", 0.01), ("guard", 0.02), ("guard", 0.03), ("camera", 0.03)]
    assert clock.now() == pytest.approx(0.03)


def test_sleeping_ends_at_or_just_after_the_deadline(world: World) -> None:
    clock = SimClock(world)
    clock.sleep_until(0.0131)
    assert clock.now() == pytest.approx(0.014)
    clock.sleep_until(0.005)
    assert clock.now() == pytest.approx(0.014)


def test_periods_are_whole_physics_steps(world: World) -> None:
    with pytest.raises(ValueError, match="whole number"):
        SimClock(world).every(0.003, lambda now: None)
    with pytest.raises(ValueError, match="shorter"):
        SimClock(world).every(0.0, lambda now: None)


def test_jitter_follows_its_generator(world: World) -> None:
    def delays(seed: int) -> list[float]:
        clock = SimClock(world, jitter_s=0.02, rng=np.random.default_rng(seed))
        return [clock.delay_s("command") for _ in range(50)]

    assert delays(1) == delays(1) != delays(2)
    assert 0.02 <= min(delays(1)) < max(delays(1)) < 0.04
    assert SimClock(world).delay_s("camera") == 0.03


# -- camera ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(world: World) -> SimClock:
    try:
        world.render("front", 64, 64)
    except RendererUnavailable as error:
        pytest.skip(str(error))
    return SimClock(world)


def test_a_frame_shows_the_scene_of_one_delay_ago(world: World, clock: SimClock) -> None:
    camera = SimCamera(world, "front", 64, clock)
    clock.sleep_until(0.1)
    old = world.render("front", 64, 64)
    world.place("goal", Pose((0.55, 0.0, 0.1), (0.0, 0.0, 0.0, 1.0)))
    clock.sleep_until(0.12)
    frame = camera.read_latest(0.2)
    assert frame.stamp_s == pytest.approx(0.09) and np.array_equal(frame.image, old)
    clock.sleep_until(0.15)
    newer = camera.read_latest(0.2)
    assert newer.stamp_s == pytest.approx(0.12) and newer.sequence > frame.sequence
    assert not np.array_equal(newer.image, old)


def test_after_a_jump_no_frame_shows_what_was_before(world: World, clock: SimClock) -> None:
    camera = SimCamera(world, "front", 64, clock)
    clock.sleep_until(0.2)
    world.place("goal", Pose((0.55, 0.0, 0.1), (0.0, 0.0, 0.0, 1.0)))
    world.refresh()
    assert np.array_equal(camera.read_latest(0.2).image, world.render("front", 64, 64))
    clock.sleep_until(0.22)
    assert camera.read_latest(0.2).stamp_s == pytest.approx(0.2)


def test_a_frame_too_old_is_an_error(world: World) -> None:
    clock = SimClock(world, camera_delay_s=0.1)
    camera = SimCamera(world, "front", 64, clock)
    clock.sleep_until(0.3)
    with pytest.raises(TimeoutError, match=r"camera 'front'.* 0.05 s allowed"):
        camera.read_latest(0.05)


def test_an_unknown_camera_names_the_nearest(world: World) -> None:
    with pytest.raises(ValueError, match="did you mean 'front'"):
        SimCamera(world, "frnt", 64, SimClock(world))

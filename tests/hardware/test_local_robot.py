"""LocalRobot on fakes: resets, what a step reports, what becomes of a lost arm."""

from __future__ import annotations

from math import inf

import pytest

from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop, shifted
from hardware.geometry import pose_distance
from hardware.interfaces import ArmCommand, Gripper, GuardMode, ResetError, ResetPlan, Source
from hardware.local_robot import LocalRobot
from tests.hardware.rig import NAN_POSE, fake_cell

START = shifted(POINTING_DOWN, (0.05, 0.02, -0.05))
STEP_S = 0.1


def make(delay_s: float = 0.02, scripted: bool = True) -> LocalRobot:
    clock = FakeClock(delays_s={"command": delay_s})
    cell = fake_cell(scripted_operator=scripted)
    cameras = {"front": FakeCamera(clock)}
    return LocalRobot(FakeArm(clock), cameras, FakeTeleop(), cell, clock)


def advance(robot: LocalRobot, steps: int = 1):
    robot.clock.sleep_until(robot.clock.now() + steps * STEP_S)
    return robot.observe()


def start(robot: LocalRobot):
    def teleport():
        robot.arm.pose = START

    return robot.reset(ResetPlan(START, Gripper.OPEN, teleport=teleport))


# -- resets ------------------------------------------------------------------------------------------------------------


def test_teleport_engages_at_the_start_without_time_passing():
    robot = make()
    start(robot)
    began_s = robot.clock.now()
    observation = start(robot)
    assert (observation.stamp_s, observation.arm.T_base_ee) == (began_s, START)
    assert observation.executed.target == START
    assert (observation.executed.mode, observation.executed.source) == (GuardMode.ARMED, Source.POLICY)
    assert (observation.executed.gripper, observation.changes) == (Gripper.OPEN, ())
    assert observation.frames["front"].image.shape == (24, 32, 3)


def test_teleporting_elsewhere_than_the_start_is_an_error():
    robot = make()
    with pytest.raises(ResetError, match=r"73\.5 mm .* after teleporting"):
        robot.reset(ResetPlan(START, teleport=lambda: None))


def test_without_teleport_the_arm_passes_the_waypoints_at_the_reset_speed():
    robot = make()
    up = shifted(POINTING_DOWN, (0.0, 0.0, 0.1))
    seen, speeds = [], []
    tick = robot.guard.tick

    def watch(*arguments):
        executed = tick(*arguments)
        seen.append(executed.reference.T_base_ee)
        speeds.append(sum(v * v for v in executed.reference.twist[:3]) ** 0.5)
        return executed

    robot.guard.tick = watch
    robot.teleop.push(1.0, 1.0)  # Nobody listens to the person during a reset.
    observation = robot.reset(ResetPlan(START, Gripper.OPEN, waypoints=(up,)))
    assert min(pose_distance(pose, up)[0] for pose in seen) < 1e-6
    assert pose_distance(observation.arm.T_base_ee, START)[0] < 1e-3
    assert 0.5 * 0.15 < max(speeds) <= 0.15 + 1e-9
    assert observation.executed.gripper is Gripper.OPEN
    assert observation.executed.source is Source.POLICY


def test_a_reset_already_there_still_works_the_gripper():
    robot = make()
    assert robot.reset(ResetPlan(POINTING_DOWN, Gripper.CLOSE)).executed.gripper is Gripper.CLOSE


def test_a_blocked_reset_says_how_far_away_it_stopped():
    robot = make()
    robot.arm.blocked = True
    with pytest.raises(ResetError, match=r"73\.5 mm and 0\.000 rad from the goal after 2 s"):
        robot.reset(ResetPlan(START, timeout_s=2.0))
    assert not robot.guard.state.resetting


def test_a_fault_during_a_reset_says_why():
    robot = make()
    robot.arm.pose = shifted(POINTING_DOWN, (0.0, 0.0, 0.5))
    with pytest.raises(ResetError, match="outside the workspace"):
        robot.reset(ResetPlan(START))
    robot = make()
    robot.clock.every(0.5, lambda now: robot.hold("pedal"), phase_s=0.4)
    with pytest.raises(ResetError, match="HOLD during the reset: pedal"):
        robot.reset(ResetPlan(START))


@pytest.mark.parametrize("mode", [GuardMode.HOLD, GuardMode.FAULT])
def test_a_scripted_operator_clears_stops_and_a_person_has_to_be_asked(mode):
    for scripted in (True, False):
        robot = make(scripted=scripted)
        start(robot)
        robot.guard.hold("test", mode)
        advance(robot, 6)
        if scripted:
            assert start(robot).executed.mode is GuardMode.ARMED
        else:
            with pytest.raises(ResetError, match=r"operator must clear it"):
                robot.reset(ResetPlan(START))
            if mode is GuardMode.HOLD:
                robot.resume()
            else:
                robot.guard.reset()
            assert robot.reset(ResetPlan(START)).executed.mode is GuardMode.ARMED


# -- steps -------------------------------------------------------------------------------------------------------------


def test_a_step_reports_the_target_accepted_after_the_command_delay():
    robot = make(delay_s=0.02)
    start(robot)
    goal, began_s = shifted(START, (0.008, 0.0, 0.0)), robot.clock.now()
    robot.command(ArmCommand(goal))
    observation = advance(robot)
    assert observation.executed.target is goal
    (change,) = observation.changes
    assert change.stamp_s == pytest.approx(began_s + 0.02)
    assert observation.arm.T_base_ee.position_m[0] > START.position_m[0]


def test_a_delay_longer_than_a_step_still_executes_the_command():
    robot = make(delay_s=0.15)
    start(robot)
    goal = shifted(START, (0.008, 0.0, 0.0))
    robot.command(ArmCommand(goal))
    assert advance(robot).executed.target == START
    robot.command(ArmCommand(shifted(goal, (0.008, 0.0, 0.0))))
    assert advance(robot).executed.target is goal


def test_commands_still_under_way_at_a_reset_are_dropped():
    robot = make(delay_s=0.15)
    start(robot)
    robot.command(ArmCommand(shifted(START, (0.008, 0.0, 0.0))))
    start(robot)
    assert advance(robot, 3).executed.target == START


def test_a_takeover_inside_a_step_makes_it_the_persons():
    robot = make()
    start(robot)
    robot.command(ArmCommand(START))
    robot.clock.sleep_until(robot.clock.now() + 0.05)
    robot.teleop.push(1.0)
    assert advance(robot).executed.source is Source.HUMAN
    robot.teleop.release()
    for _ in range(2):
        robot.command(ArmCommand(START))
        assert advance(robot).executed.source is Source.HUMAN
    robot.command(ArmCommand(START))
    observation = advance(robot)
    assert (observation.executed.source, observation.executed.target) == (Source.POLICY, START)


def test_refusals_of_the_whole_step_are_reported():
    robot = make()
    start(robot)
    robot.command(ArmCommand(START._replace(position_m=(0.5, 0.0, -0.995))))
    (refusal,) = advance(robot).executed.refusals
    assert (refusal.limit, refusal.source, refusal.amount) == ("S4", Source.POLICY, pytest.approx(1.0))
    robot.command(ArmCommand(START))
    assert advance(robot).executed.refusals == ()


def test_a_nan_holds_and_shows_in_the_step_and_a_resume_continues():
    robot = make()
    start(robot)
    robot.command(ArmCommand(NAN_POSE))
    executed = advance(robot).executed
    assert (executed.mode, executed.source) == (GuardMode.HOLD, Source.HOLD)
    assert [refusal.limit for refusal in executed.refusals] == ["S1"]
    advance(robot, 5)
    robot.resume()
    goal = shifted(START, (0.005, 0.0, 0.0))
    for _ in range(5):
        robot.command(ArmCommand(goal))
        observation = advance(robot)
    assert observation.arm.T_base_ee.position_m == pytest.approx(goal.position_m, abs=1e-6)


def test_the_operators_hold_stops_the_arm():
    robot = make()
    start(robot)
    robot.command(ArmCommand(shifted(START, (0.1, 0.0, 0.0))))
    advance(robot, 3)
    robot.hold()
    held = advance(robot, 3)
    assert held.executed.mode is GuardMode.HOLD
    assert held.arm.ee_twist == (0.0,) * 6


def test_a_lost_arm_faults():
    robot = make()
    start(robot)
    advance(robot)
    robot.arm.gone = True
    robot.clock.sleep_until(robot.clock.now() + STEP_S)
    assert (robot.guard.mode, robot.guard.reason) == (GuardMode.FAULT, "arm lost: the fake arm is gone")


def test_an_arm_lost_while_commanded_faults():
    robot = make()
    start(robot)

    def command(reference):
        raise ConnectionError("no answer")

    robot.arm.command = command
    advance(robot)
    assert (robot.guard.mode, robot.guard.reason) == (GuardMode.FAULT, "arm lost: no answer")


def test_a_reset_right_after_a_hold_waits_for_the_stop():
    robot = make()
    start(robot)
    robot.command(ArmCommand(shifted(START, (0.1, 0.0, 0.0))))
    advance(robot, 4)
    robot.hold()
    assert robot.reset(ResetPlan(START)).executed.mode is GuardMode.ARMED


def test_an_arm_that_is_lost_ends_the_episode_and_not_the_session():
    robot = make()
    start(robot)
    last = advance(robot)
    robot.arm.gone = True
    advance(robot)
    seen = advance(robot)
    assert (seen.executed.mode, seen.arm.T_base_ee) == (GuardMode.FAULT, last.arm.T_base_ee)
    with pytest.raises(ResetError, match=r"reset refused: .* gone"):
        robot.reset(ResetPlan(START))
    robot.arm.gone = False
    assert robot.reset(ResetPlan(START)).executed.mode is GuardMode.ARMED


def test_a_stale_camera_ends_the_episode_and_not_the_session(caplog):
    robot = make()
    start(robot)
    robot.command(ArmCommand(START))
    last = advance(robot).frames["front"]
    robot.cameras["front"].frozen_s = robot.clock.now()
    robot.command(ArmCommand(START))
    seen = advance(robot, 5)
    assert seen.executed.mode is GuardMode.HOLD and seen.executed.reason.startswith("S16")
    assert "camera 'front'" in caplog.text
    assert seen.frames["front"].sequence == last.sequence
    robot.cameras["front"].frozen_s = inf
    assert robot.reset(ResetPlan(START)).frames["front"].stamp_s > last.stamp_s + 4 * STEP_S


def test_frames_that_are_late_where_the_guard_has_them_are_waited_for_a_while():
    """A process that stood still finds old frames, and new ones a moment later."""
    robot = make()
    start(robot)
    camera, late_until_s = robot.cameras["front"], robot.clock.now() + 1.5 * STEP_S
    read = camera.read_latest

    def late(max_age_s):
        if robot.clock.now() < late_until_s:
            raise TimeoutError("camera 'front': too old")
        return read(max_age_s)

    camera.read_latest = late
    assert advance(robot).frames["front"].stamp_s > robot.clock.now() - 0.04
    assert late_until_s <= robot.clock.now() < late_until_s + 0.02
    late_until_s, began_s = late_until_s + 60.0, robot.clock.now()
    with pytest.raises(TimeoutError, match="camera 'front'"):
        robot.observe()
    assert robot.clock.now() - began_s == pytest.approx(0.5, abs=0.015)


def test_closing_disarms():
    robot = make()
    start(robot)
    robot.close()
    assert robot.guard.mode is GuardMode.DISARMED


def test_the_same_commands_give_the_same_motion_whatever_came_before():
    """What came before an episode must not show in it: a replay begins with a fresh robot."""
    traces = []
    for warm_up in (0, 7):
        robot = make()
        start(robot)
        for _ in range(warm_up):
            robot.command(ArmCommand(shifted(START, (0.01, 0.0, 0.0)), Gripper.CLOSE))
            advance(robot)
        observation, trace = start(robot), []
        for step in range(20):
            target = shifted(observation.executed.target, (0.006, -0.004, 0.003))
            robot.command(ArmCommand(target, Gripper.CLOSE if step > 2 else Gripper.HOLD))
            observation = advance(robot)
            trace.append((observation.arm.T_base_ee, observation.executed.gripper))
        traces.append(trace)
    assert traces[0] == traces[1]

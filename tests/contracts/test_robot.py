"""What every Robot promises to an environment."""

from __future__ import annotations

from math import nan

import pytest

from hardware.fakes import shifted
from hardware.geometry import pose_distance
from hardware.interfaces import ArmCommand, GuardMode, Pose, Robot, Source
from tests.contracts.registry import ROBOTS

STEP_S = 0.1


@pytest.fixture(params=ROBOTS)
def bench(request):
    bench = ROBOTS[request.param]()
    yield bench
    bench.close()


def test_it_is_a_robot(bench):
    assert isinstance(bench.device, Robot)


def test_a_reset_arrives_at_rest_engaged_and_with_nothing_left_of_before(bench):
    observation = bench.undisturbed(lambda: bench.device.reset(bench.plan))
    metres, radians = pose_distance(observation.arm.T_base_ee, bench.plan.start)
    assert metres <= bench.plan.position_tolerance_m
    assert radians <= bench.plan.rotation_tolerance_rad
    assert max(abs(v) for v in observation.arm.ee_twist[:3]) < 0.005
    assert max(abs(v) for v in observation.arm.ee_twist[3:]) < 0.05
    assert observation.executed.mode in (GuardMode.ARMED, GuardMode.RUNNING)
    assert (observation.executed.source, observation.changes) == (Source.POLICY, ())


def test_a_command_is_accepted_within_the_step_and_followed(bench):
    def attempt():
        nonlocal target, observation, late_s
        target = shifted(bench.device.reset(bench.plan).executed.target, (0.0, 0.004, 0.004))
        bench.device.command(ArmCommand(target))
        bench.wait(STEP_S)
        observation = bench.device.observe()
        late_s = bench.clock.now() - observation.stamp_s
        for _ in range(5):
            bench.device.command(ArmCommand(target))
            bench.wait(STEP_S)
        return bench.device.observe()

    target = observation = late_s = None
    settled = bench.undisturbed(attempt)
    assert (observation.executed.target, observation.executed.source) == (target, Source.POLICY)
    assert observation.executed.refusals == ()
    assert [change.target for change in observation.changes] == [target]
    assert late_s == pytest.approx(0.0, abs=0.01)
    assert pose_distance(settled.arm.T_base_ee, target)[0] < 0.003


def test_s1_a_nan_never_reaches_the_arm_and_a_reset_recovers(bench):
    def attempt():
        bench.device.reset(bench.plan)
        bench.device.command(ArmCommand(Pose((nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))))
        for _ in range(20):  # Between processes what the guard says may come late.
            bench.wait(STEP_S)
            observation = bench.device.observe()
            if observation.executed.mode is GuardMode.HOLD:
                break
        return observation

    observation = bench.undisturbed(attempt)
    assert (observation.executed.mode, observation.executed.source) == (GuardMode.HOLD, Source.HOLD)
    assert [refusal.limit for refusal in observation.executed.refusals] == ["S1"]
    assert pose_distance(observation.arm.T_base_ee, bench.plan.start)[0] <= bench.plan.position_tolerance_m
    assert bench.undisturbed(lambda: bench.device.reset(bench.plan)).executed.mode < GuardMode.HOLD

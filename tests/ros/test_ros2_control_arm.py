"""The arm behind ros2_control: over real topics, against a controller that is another process."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

if "ROS2_CONTROL" not in os.environ:
    pytest.skip("`make test-ros2-control` runs this", allow_module_level=True)

from hardware.clock import RealClock
from hardware.devices import devices_of
from hardware.fakes import shifted
from hardware.geometry import IDENTITY_POSE, pose_distance
from hardware.interfaces import ZERO6, ArmReference
from robot_rl_nodes.ros2_control_arm import Ros2ControlArm
from robot_rl_nodes.standard_messages import to_joint_state
from tests.hardware.arms.rig import Simulator, wait_until
from tests.ros.controlled_arm import controlled_arm, controlled_cell


@pytest.fixture(name="bench")
def a_controlled_arm():
    bench = controlled_arm()
    yield bench
    bench.close()


def test_a_cell_file_names_it(tmp_path):
    cell = replace(controlled_cell(), devices="robot_rl_nodes.ros2_control_arm:devices", cameras={})
    assert isinstance(devices_of(cell, tmp_path).arm, Ros2ControlArm)


def test_joints_are_found_by_name_and_the_wrench_is_turned_into_base_axes(bench):
    state = bench.device.read()
    assert state.joint_positions_rad[:3] == pytest.approx((3.1416, -1.5708, 1.5708), abs=1e-3)
    assert state.gripper_width_m == pytest.approx(0.085, abs=1e-3)
    assert state.wrench[:3] == pytest.approx((0.0, 0.0, -5.0), abs=1e-3)


def test_a_controller_that_ends_is_a_lost_arm(bench):
    bench.free()
    wait_until(lambda: bench.device._lost)
    for use in (bench.device.read, lambda: bench.device.command(ArmReference(IDENTITY_POSE, ZERO6, 0.08))):
        with pytest.raises(
            ConnectionError, match=r"nothing on controller/\S+ for 0.5 s; is its controller still active"
        ):
            use()


@pytest.mark.parametrize(
    ("kind", "topic"),
    [("PoseStamped", "current_pose"), ("JointState", "joint_states"), ("WrenchStamped", "wrench")],
)
def test_old_joints_and_forces_are_a_lost_arm_too(kind, topic):
    simulator, arm = Simulator("tests.ros.cartesian_controller"), Ros2ControlArm(controlled_cell(), RealClock())
    try:
        arm.connect()
        wait_until(lambda: arm.read().wrench[2] < -1.0)
        simulator.do(f"mute {kind}")
        wait_until(lambda: arm._lost)
        assert topic in arm._lost
    finally:
        arm.close()
        simulator.close()


def test_what_the_arm_node_says_of_the_joints_is_not_taken_for_the_broadcasters():
    """Both may be one topic, and name the joints alike: an echo of old joints must not pass for new ones."""
    simulator, arm = Simulator("tests.ros.cartesian_controller"), Ros2ControlArm(controlled_cell(), RealClock())
    try:
        arm.connect()
        echo = to_joint_state(arm.read())
        echo.name = [*arm.cell.controller.joint_names, *echo.name[-1:]]
        simulator.do("mute JointState")
        wait_until(lambda: arm._lost or arm._controller._take_joints(echo))
        assert "joint_states" in arm._lost
    finally:
        arm.close()
        simulator.close()


def test_references_that_stop_leave_a_target_where_the_arm_is(bench):
    arm, clock = bench.device, bench.clock
    start, began_s = arm.read(), clock.now()
    for tick in range(1, 31):
        pose = shifted(start.T_base_ee, (0.0, 0.0, 0.001 * tick))
        arm.command(ArmReference(pose, (0.0, 0.0, 0.1, 0.0, 0.0, 0.0), 0.085))
        clock.sleep_until(began_s + 0.01 * tick)
    before = arm.read()
    bench.wait(0.6)
    assert pose_distance(arm.read().T_base_ee, before.T_base_ee)[0] < 0.015


def test_an_end_effector_elsewhere_is_refused(bench):
    cell = replace(bench.device.cell, arm="ur5e")
    wrong = replace(cell.controller, joint_names=tuple(reversed(cell.controller.joint_names)))
    with pytest.raises(ConnectionError, match=r"mm and .* rad from where hardware/arm_models/ur5e.toml"):
        Ros2ControlArm(replace(cell, controller=wrong), RealClock()).connect()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a",), "joint_names has 1 entries; ur5e has 6 joints"),
        (tuple("abcdef"), "nobody sends controller/current_pose"),
    ],
)
def test_what_is_missing_is_one_line(monkeypatch, names, message):
    monkeypatch.setattr("robot_rl_nodes.ros2_control_arm._FIRST_S", 0.2)
    cell = controlled_cell()
    cell = replace(cell, controller=replace(cell.controller, joint_names=names))
    with pytest.raises(ConnectionError, match=message):
        Ros2ControlArm(cell, RealClock()).connect()

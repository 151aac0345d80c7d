"""The SO-101 driver: Feetech's SDK itself, against servos behind a pseudo-terminal."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from hardware import doctor_devices
from hardware.arm_model import load_arm_model
from hardware.arms.so101 import So101Arm
from hardware.arms.so101_bus import SIGNS, TORQUE_SHARE, ZEROS_RAD
from hardware.cell import CellError, load_cell
from hardware.clock import RealClock
from hardware.device_settings import ControllerSettings
from hardware.doctor import Level
from hardware.fakes import shifted
from hardware.geometry import IDENTITY_POSE, pose_add, pose_distance
from hardware.interfaces import ZERO6, ArmReference
from tests.hardware.arms.rig import SimulatorClock, so101_bus, wait_until
from tests.hardware.arms.servo_bus import STATUS, TORQUE

BODIES = (
    ((0.0388353, 0.0, 0.0624), (0.0, 0.0, -1.0, 0.0)),
    ((-0.0303992, -0.0182778, -0.0542), (0.5, -0.5, -0.5, -0.5)),
    ((-0.11257, -0.028, 0.0), (0.707107, 0.0, 0.0, 0.707107)),
    ((-0.1349, 0.0052, 0.0), (0.707107, 0.0, 0.0, -0.707107)),
    ((0.0, -0.0611, 0.0181), (0.0172091, -0.0172091, 0.706897, 0.706897)),
)
"""Place and turn (wxyz) of each link in the one before, from the published drawing; each turns about its z."""
JAWS = (-0.0079, -0.000218, -0.0981274)
"""Between the jaws, in the last of them, whose z points back and x along the jaw's travel."""


@pytest.fixture(name="bench")
def a_bus_and_its_cell():
    bus, cell = so101_bus()
    yield bus, cell
    bus.close()


@pytest.fixture(name="clock")
def a_clock():
    return SimulatorClock()


@pytest.fixture(name="arm")
def a_connected_arm(bench, clock):
    bus, cell = bench
    arm = So101Arm(cell, clock)
    arm.connect()
    clock.follow(bus, bus)
    yield arm
    arm.close()


def hold(arm, clock, pose, ticks, width_m=0.09):
    began_s = clock.now()
    for tick in range(1, ticks + 1):
        arm.command(ArmReference(pose, ZERO6, width_m))
        clock.sleep_until(began_s + 0.01 * tick)


def test_the_models_kinematics_are_the_published_drawings():
    xml = "".join(
        f'<body pos="{" ".join(map(str, at))}" quat="{" ".join(map(str, turn))}"><joint/><geom size="0.01"/>'
        for at, turn in BODIES
    )
    site = f'<site name="jaws" pos="{" ".join(map(str, JAWS))}"/>'
    model = mujoco.MjModel.from_xml_string(
        f"<mujoco><worldbody>{xml}{site}{'</body>' * len(BODIES)}</worldbody></mujoco>"
    )
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    chain = load_arm_model("so101").chain(IDENTITY_POSE)
    for servos in rng.uniform(-1.6, 1.6, (50, 5)):
        data.qpos[:] = servos
        mujoco.mj_kinematics(model, data)
        frame = chain.frames((np.array(SIGNS) * servos + ZEROS_RAD).tolist())[-1]
        axes = data.body(len(BODIES)).xmat.reshape(3, 3)
        np.testing.assert_allclose(frame.origin, data.site("jaws").xpos, atol=5e-4)
        np.testing.assert_allclose(frame.z, -axes[:, 2], atol=1e-4)
        np.testing.assert_allclose(frame.y, axes[:, 0], atol=1e-4)


def test_connecting_moves_nothing_and_bounds_the_torque(bench, arm, clock):
    bus, cell = bench
    assert arm.read().joint_positions_rad == pytest.approx(cell.home_joint_positions_rad, abs=2e-3)
    before = bus.counts.copy()
    clock.sleep_until(clock.now() + 0.3)
    np.testing.assert_allclose(bus.counts, before, atol=1.0)
    for memory in bus.memory.values():
        assert memory[TORQUE] == 1
        assert int.from_bytes(memory[48:50], "little") == round(1000 * TORQUE_SHARE)


@pytest.mark.parametrize("move", [(0.03, 0.0, 0.0), (0.0, 0.05, 0.01), (-0.02, -0.04, 0.02)])
def test_the_hand_goes_where_it_is_told_and_keeps_pointing_down(arm, clock, move):
    target = shifted(arm.read().T_base_ee, move)
    hold(arm, clock, target, 120)
    metres, radians = pose_distance(arm.read().T_base_ee, target)
    assert metres < 0.001
    assert radians < 0.01


def test_a_turn_that_it_cannot_make_costs_little_of_the_place(arm, clock):
    start = arm.read().T_base_ee
    hold(arm, clock, pose_add(start, (0.0, 0.0, 0.0, 0.3, 0.0, 0.0)), 120)
    metres, radians = pose_distance(arm.read().T_base_ee, start)
    assert metres < 0.002
    assert radians < 0.05


def test_goals_never_leap(bench, arm):
    bus, _ = bench
    before = [bus.goal(number) for number in bus.memory]
    arm.command(ArmReference(shifted(arm.read().T_base_ee, (-0.3, 0.4, 0.3)), ZERO6, 0.09))
    wait_until(lambda: [bus.goal(number) for number in bus.memory] != before)
    leaps = [abs(bus.goal(number) - count) for number, count in zip(bus.memory, before, strict=True)]
    assert 0 < max(leaps) <= 67  # 0.1 rad of 4096 counts a turn, and one to round.


def test_s3_what_is_left_when_the_driver_dies_is_the_last_goal_and_no_more(bench, arm, clock):
    bus, _ = bench
    target = shifted(arm.read().T_base_ee, (0.0, 0.02, 0.0))
    arm.command(ArmReference(target, ZERO6, 0.09))
    wait_until(lambda: abs(bus.goal(1) - bus.counts[0]) > 20)
    arm._stop.set()
    arm._thread.join()
    goals = [bus.goal(number) for number in bus.memory]
    for _ in range(200):
        bus._pass()
    np.testing.assert_allclose(bus.counts, goals, atol=1.0)


def test_an_overloaded_servo_is_named_and_only_recovery_drives_it_again(bench, arm, clock):
    bus, _ = bench
    bus.memory[3][STATUS] = 32
    wait_until(lambda: arm.read().stopped == "servo 3 (elbow): overload")
    bus.memory[3][STATUS] = 0
    start = arm.read().T_base_ee
    hold(arm, clock, shifted(start, (0.0, 0.02, 0.0)), 30)
    assert pose_distance(arm.read().T_base_ee, start)[0] < 0.001
    arm.recover()
    wait_until(lambda: not arm.read().stopped)
    assert pose_distance(arm.read().T_base_ee, start)[0] < 0.001
    hold(arm, clock, shifted(start, (0.0, 0.02, 0.0)), 80)
    assert arm.read().T_base_ee.position_m[1] > start.position_m[1] + 0.015


def test_a_servo_that_lost_its_power_is_told(bench, arm):
    bus, _ = bench
    bus.memory[2][TORQUE] = 0
    wait_until(lambda: "servo 2 (shoulder lift) holds nothing" in arm.read().stopped)


def test_recovery_holds_where_the_arm_sank_to(bench, arm):
    bus, _ = bench
    bus.memory[2][TORQUE] = 0
    wait_until(lambda: arm.read().stopped)
    bus.counts[1] += 150.0
    wait_until(lambda: abs(arm.read().joint_positions_rad[1] - load_cell("so101").home_joint_positions_rad[1]) > 0.2)
    arm.recover()
    wait_until(lambda: bus.memory[2][TORQUE])
    assert bus.goal(2) == pytest.approx(bus.counts[1], abs=2)


def test_a_silent_bus_is_said_and_recovery_asks_anew(bench, arm):
    bus, _ = bench
    bus.dead.update(bus.memory)
    wait_until(lambda: arm._lost)
    for use in (arm.read, lambda: arm.command(ArmReference(IDENTITY_POSE, ZERO6, 0.09)), arm.recover):
        with pytest.raises(ConnectionError, match="SO-101 at /dev/pts"):
            use()
    bus.dead.clear()
    arm.recover()
    assert arm.read().stopped == ""


def test_an_answer_that_does_not_come_is_no_nought(bench, arm):
    """The SDK says 0 for what it has not got: half a turn away."""
    bus, _ = bench
    before = arm.read().joint_positions_rad
    bus.dead.add(2)
    wait_until(lambda: arm._controller._silent > 1 or arm._lost)
    bus.dead.clear()
    wait_until(lambda: arm._lost or not arm._controller._silent)
    if arm._lost:
        arm.recover()
    assert arm.read().joint_positions_rad == pytest.approx(before, abs=1e-2)
    assert bus.goal(2) == pytest.approx(bus.counts[1], abs=2)


def test_a_servo_that_is_missing_is_named(bench):
    bus, cell = bench
    bus.dead.add(4)
    with pytest.raises(ConnectionError, match=r"servo 4 \(wrist flex\) does not answer"):
        So101Arm(cell, RealClock()).connect()


def test_the_doctor_looks_at_it(bench, monkeypatch):
    _, cell = bench
    monkeypatch.setattr(doctor_devices, "WATCH_S", 0.3)
    arm, wrench = doctor_devices.arm(So101Arm(cell, RealClock()), cell)
    assert arm.level < Level.FAIL
    assert wrench.level is Level.PASS


@pytest.mark.parametrize(("address", "message"), [("", "has no address"), ("/dev/nothing", "SO-101 at /dev/nothing")])
def test_an_arm_that_is_not_there_is_one_line(address, message):
    pytest.importorskip("scservo_sdk", reason="needs the extra 'so101'")
    cell = replace(load_cell("so101"), controller=ControllerSettings(address=address))
    with pytest.raises(ConnectionError, match=message):
        So101Arm(cell, RealClock()).connect()


@pytest.mark.parametrize("line", ["servo_middles = [2048]", "jaw_counts = [7, 7]"])
def test_a_calibration_that_cannot_be_is_refused(tmp_path, line):
    path = tmp_path / "cell.toml"
    path.write_text(
        "name = 'a'\narm = 'so101'\nhome_joint_positions_rad = []\n"
        f"workspace = {{ min_m = [0.0, 0.0, 0.0], max_m = [1.0, 1.0, 1.0] }}\n[controller]\n{line}"
    )
    with pytest.raises(CellError, match="servo_middles must have 5 entries, and the two of jaw_counts must differ"):
        load_cell(path)

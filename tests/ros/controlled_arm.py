"""An arm behind ros2_control, on a ROS domain of its own: for its tests and the contract suite."""

from __future__ import annotations

import os
from dataclasses import replace

from hardware.cell import Cell, load_cell
from robot_rl_nodes.ros2_control_arm import Ros2ControlArm
from tests.hardware.arms.rig import Simulator, SimulatorClock
from tests.ros.ros_cell import domain


def controlled_cell() -> Cell:
    os.environ["ROS_DOMAIN_ID"] = domain()
    cell = load_cell("ur5e_robotiq")
    names = tuple(f"joint_{i}" for i in range(1, 7))
    controller = replace(cell.controller, address="", joint_names=names, gripper_joint="finger")
    return replace(cell, cameras={}, controller=controller)


def controlled_arm():
    """A bench of :mod:`tests.contracts.registry`."""
    from tests.contracts.registry import Bench

    cell = controlled_cell()
    simulator = Simulator("tests.ros.cartesian_controller")
    clock = SimulatorClock()
    arm = Ros2ControlArm(cell, clock)
    arm.connect()
    clock.follow(arm, simulator)
    return Bench(arm, clock, simulator.close, lose=simulator.close, lag_m=0.004)

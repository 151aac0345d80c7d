"""The twin's uncertain parameters: what they do, and that recorded episodes tell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.rollout import EnvSpec
from sim.calibration import calibrate
from sim.envs import make
from sim.parameters import TwinParameters
from sim.replay import replay
from tests.sim.test_replay import record


def test_a_twin_as_it_comes_is_not_touched_and_another_is_repeated_exactly(tmp_path: Path) -> None:
    plain, same = make("reach"), make("reach", twin={"stiffness": 1.0})
    softer = make("reach", twin={"stiffness": 0.5, "joint_friction_nm": 0.3, "contact_friction": 2.0})
    gains = [env.task.world.model.actuator_gainprm[:, 0] for env in (plain, same, softer)]  # type: ignore[attr-defined]
    assert np.array_equal(gains[0], gains[1])
    first = plain.task.world.model.actuator("impedance_x").id  # type: ignore[attr-defined]
    assert np.allclose(gains[2][first : first + 6], 0.5 * gains[0][first : first + 6])
    (path,) = record(tmp_path, "sim:Reach-v0", 1, twin={"stiffness": 0.5, "delay_s": 0.03})
    assert replay(path).exact


def test_each_parameter_changes_what_the_arm_does(tmp_path: Path) -> None:
    finals = set()
    for twin in ({}, {"stiffness": 0.6}, {"joint_friction_nm": 1.0}, {"contact_friction": 3.0}, {"delay_s": 0.05}):
        env = EnvSpec("sim:PegInsertion-v0", {"twin": twin, "max_steps": 40}).make()
        env.reset(seed=3)
        for step in range(40):  # down onto the fixture, then along it
            env.step(np.array([0.5 * (step > 25), 0.0, -1.0 * (step <= 25), 0.0, 0.0, 0.0]))
        finals.add(env.latest.arm.T_base_ee.position_m)
        env.close()
    assert len(finals) == 5


def test_parameters_are_found_again_and_the_others_left(tmp_path: Path) -> None:
    paths = record(tmp_path, "sim:Reach-v0", 1, max_steps=15, twin={"stiffness": 0.6, "joint_friction_nm": 1.0})
    found = calibrate(paths, ("stiffness", "joint_friction_nm"), max_iter=3)
    assert found.parameters.stiffness == pytest.approx(0.6, rel=0.2)
    assert found.parameters.joint_friction_nm == pytest.approx(1.0, rel=0.2)
    assert (found.parameters.contact_friction, found.parameters.delay_s) == (1.0, 0.0)
    assert found.position_error_after_m < 0.1 * found.position_error_before_m


def test_unknown_or_impossible_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="no parameter 'stifness'; did you mean 'stiffness'"):
        make("reach", twin={"stifness": 1.0})
    with pytest.raises(ValueError, match=r"delay_s is 2\.0; allowed are 0 to 0\.1"):
        TwinParameters.of({"delay_s": 2.0})
    with pytest.raises(ValueError, match="stiffness is 'soft'; allowed are"):
        make("reach", twin={"stiffness": "soft"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="did you mean 'delay_s'"):
        calibrate([], ("delay",))

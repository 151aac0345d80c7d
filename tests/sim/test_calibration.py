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
from sim.world import RendererUnavailable
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


def test_a_push_moves_the_hand_and_is_repeated_exactly(tmp_path: Path) -> None:
    at = {}
    for push_n in (0.0, 10.0):
        env = EnvSpec("sim:Reach-v0", {"twin": {"push_n": push_n}}).make()
        env.reset(seed=3)
        at[push_n] = np.array([env.step(np.zeros(6)) and env.latest.arm.T_base_ee.position_m for _ in range(25)])
        env.close()
    aside = np.linalg.norm(at[10.0] - at[0.0], axis=1)
    assert 0.002 < aside.max() < 0.02 and np.median(aside) < 0.001, "it is let go again"
    (path,) = record(tmp_path, "sim:Reach-v0", 1, twin={"push_n": 10.0}, max_steps=25)
    assert replay(path).exact


def test_more_play_in_the_hole_is_a_thinner_peg() -> None:
    sizes = []
    for task in ("peg_insertion", "pick_and_insert", "connector_insertion"):
        plain, loose = (make(task, twin={"clearance_m": play}).task.world.model for play in (0.0, 0.0003))  # type: ignore[attr-defined]
        changed = np.flatnonzero((plain.geom_size != loose.geom_size).any(1))
        assert np.allclose((plain.geom_size - loose.geom_size)[changed], (0.0003, 0.0003, 0.0))
        sizes.append(len(changed))
    assert sizes == [1, 1, 3]
    with pytest.raises(ValueError, match="nothing is inserted in this task"):
        make("reach", twin={"clearance_m": 0.0003})


def test_light_and_cameras_change_what_is_seen_and_nothing_else() -> None:
    pictures, places = {}, set()
    for name, value in (("light", 1.0), ("light", 0.5), ("camera_shift_m", 0.02)):
        env = make("reach", cameras=("front", "wrist"), twin={name: value})
        try:
            pictures[name, value] = env.reset(seed=3)[0]
        except RendererUnavailable as missing:
            pytest.skip(str(missing))
        env.step(np.full(6, 0.5))
        places.add(env.latest.arm.T_base_ee.position_m)
        env.close()
    assert len(places) == 1
    plain, dark, aside = pictures.values()
    for view in ("front", "wrist"):
        assert dark[view].mean() < 0.7 * plain[view].mean()
        assert aside[view].mean() == pytest.approx(plain[view].mean(), rel=0.1)
        assert (aside[view] != plain[view]).mean() > 0.05


def test_unknown_or_impossible_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="no parameter 'stifness'; did you mean 'stiffness'"):
        make("reach", twin={"stifness": 1.0})
    with pytest.raises(ValueError, match=r"delay_s is 2\.0; allowed are 0 to 0\.1"):
        TwinParameters.of({"delay_s": 2.0})
    with pytest.raises(ValueError, match="stiffness is 'soft'; allowed are"):
        make("reach", twin={"stiffness": "soft"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="'delay' cannot be fitted; did you mean 'delay_s'"):
        calibrate([], ("delay",))
    with pytest.raises(ValueError, match="'light' cannot be fitted"):
        calibrate([], ("light",))

"""The models of arms: what their files may say, and that the FR3's capsules hold the twin's arm."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import mujoco
import numpy as np
import pytest

from hardware.arm_model import ArmModel, load_arm_model, model_names
from hardware.body import Capsule, capsule_distance
from hardware.cell import load_cell
from hardware.geometry import IDENTITY_POSE
from hardware.limits import Limits
from hardware.posture import HELD, ArmBody
from hardware.toml_dataclass import ConfigError
from sim.tasks import make_task
from sim.world import World

FR3 = load_arm_model("fr3")
LIMITS = Limits()
LOW = np.array([joint.min_rad for joint in FR3.joints])
HIGH = np.array([joint.max_rad for joint in FR3.joints])
FRAMES = {"link0": 0, "link1": 0} | {f"link{i}": i for i in range(2, 7)} | {"link7": 8, "hand": 8}
FRAMES |= {"left_finger": 8, "right_finger": 8, "tool/held": 8}
"""The frame whose capsules must hold a body of the twin; the column holds the first link too."""


def corners(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Points whose hull, with the radius of a capsule, holds the geom: (n, 3) in its frame."""
    size, kind = model.geom_size[geom], model.geom_type[geom]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return np.array(list(product(*((-s, s) for s in size))))
    angles = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    ring = np.column_stack([size[0] * np.cos(angles), size[0] * np.sin(angles), np.zeros(48)])
    up = np.array([0.0, 0.0, size[1]])
    points = np.vstack([ring + up, ring - up])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        points = np.vstack([points, [[0, 0, size[1] + size[0]], [0, 0, -size[1] - size[0]]]])
    return points


def outside(model: mujoco.MjModel, data: mujoco.MjData, body: ArmBody, names: list[str], held: bool) -> float:
    """How far any point of these bodies lies outside the capsules of its frame."""
    frames, worst = body.view(tuple(data.qpos[:7].tolist()), IDENTITY_POSE).frames, -1.0
    placed = [
        (part, Capsule(frames[part.frame].point(part.start_m), frames[part.frame].point(part.end_m), 0.0))
        for part in body.parts
    ]
    for geom in range(model.ngeom):
        name = model.body(int(model.geom_bodyid[geom])).name
        if name not in names:
            continue
        holders = [(p, c) for p, c in placed if p.frame == FRAMES[name] and (p.name == HELD) == held]
        for point in corners(model, geom) @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]:
            ball = Capsule(tuple(point.tolist()), tuple(point.tolist()), 0.0)
            worst = max(worst, min(capsule_distance(ball, c) - p.radius_m for p, c in holders))
    return worst


def test_capsules_hold_every_shape_of_the_twins_arm_whatever_its_joints():
    world, rng, body = World("reach.xml"), np.random.default_rng(1), ArmBody(FR3, IDENTITY_POSE, (), LIMITS)
    names = [name for name in FRAMES if name != "tool/held"]
    for joints in rng.uniform(LOW, HIGH, (8, 7)):
        world.data.qpos[:7], world.data.qpos[7:9] = joints, rng.choice([0.0, 0.02, 0.04])
        mujoco.mj_kinematics(world.model, world.data)
        assert outside(world.model, world.data, body, names, held=False) <= 1e-6


@pytest.mark.parametrize("task", ["peg_insertion", "connector_insertion"])
def test_the_held_capsule_holds_the_tool_however_it_is_gripped(task):
    twin, cell = make_task(task), load_cell("twin")
    body = ArmBody(FR3, IDENTITY_POSE, cell.tasks[task].held, LIMITS)
    nominal = twin.world.model.body("tool/held").pos.copy()
    for x, y in product((-twin.grasp_error_m, twin.grasp_error_m), repeat=2):
        twin.world.model.body("tool/held").pos[:] = nominal + np.array([x, y, 0.0])
        mujoco.mj_kinematics(twin.world.model, twin.world.data)
        assert outside(twin.world.model, twin.world.data, body, ["tool/held"], held=True) <= 1e-6


ALLOWED_NEAR = {
    "fr3": [("forearm", "flange"), ("forearm", "hand"), ("forearm", "camera"), ("column", "elbow")],
    "so101": [("upper_arm", "forearm"), ("forearm", "hand"), ("wrist", "hand"), ("shoulder", "upper_arm")],
    "ur5e": [("column", "upper_arm")],
}
"""Pairs whose capsules come too near and whose shapes do not, or that hang together: the FR3's by the twin's shapes,
below; the UR5e's upper arm hangs beside its column, 0.138 m from the axis; their capsules are 2 mm thicker."""


@pytest.mark.parametrize("name", ALLOWED_NEAR)
def test_what_is_not_listed_as_meeting_is_kept_apart_by_the_joints_ranges(name):
    model = load_arm_model(name)
    body, rng = ArmBody(model, IDENTITY_POSE, (), LIMITS), np.random.default_rng(2)
    order = ["column", "shoulder", "upper_arm", "elbow", "forearm", "wrist", "flange"]
    apart = {frozenset(pair) for pair in (*model.meetings, *zip(order, order[1:], strict=False))}  # noqa: RUF007
    apart |= {frozenset(pair) for pair in ALLOWED_NEAR[name]}
    pairs = [
        (i, j)
        for i, first in enumerate(body.parts)
        for j, second in enumerate(body.parts)
        if i < j
        and first.frame != second.frame
        and first.name != second.name
        and frozenset((first.name, second.name)) not in apart
    ]
    assert pairs
    margin = LIMITS.min_joint_margin_rad
    low, high = ([getattr(joint, end) for joint in model.joints] for end in ("min_rad", "max_rad"))
    for joints in rng.uniform(np.array(low) + margin, np.array(high) - margin, (1000, len(low))):
        view = body.view(tuple(joints.tolist()), IDENTITY_POSE)
        capsules = body.posture(view._replace(ee=view.ee_by_joints), view.ee_by_joints).capsules
        for i, j in pairs:
            assert capsule_distance(capsules[i], capsules[j]) >= LIMITS.min_clearance_m, (i, j, joints)


def test_forearm_and_elbow_stay_clear_of_hand_and_column_by_their_shapes():
    world, margin = World("reach.xml"), LIMITS.min_joint_margin_rad
    model, data = world.model, world.data

    def geoms(*names: str) -> list[int]:
        return [g for g in range(model.ngeom) if model.body(int(model.geom_bodyid[g])).name in names]

    def nearest(first: list[int], second: list[int]) -> float:
        mujoco.mj_kinematics(model, data)
        return min(mujoco.mj_geomDistance(model, data, a, b, 0.1, None) for a in first for b in second)

    low, high = LOW + margin, HIGH - margin
    forearm, hand = geoms("link5"), geoms("link7", "hand", "left_finger", "right_finger")
    for sixth in (low[5], high[5]):
        for seventh in np.linspace(low[6], high[6], 60):
            data.qpos[:7] = (0.0, 0.0, 0.0, -1.5, 0.0, sixth, seventh)
            assert nearest(forearm, hand) >= LIMITS.min_clearance_m
    rng, column, elbow = np.random.default_rng(3), geoms("link0", "link1"), geoms("link4")
    for joints in rng.uniform(low, high, (300, 7)):
        data.qpos[:7] = joints
        assert nearest(column, elbow) >= LIMITS.min_clearance_m


def test_packaged_models_load_and_say_their_end_effectors_frame():
    assert {"fake", "fr3", "so101", "ur5e"} <= set(model_names())
    assert FR3.ee_frame == 8 and load_arm_model("fake").ee_frame == 1


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(ConfigError, match=r"no model of an arm 'fr4' in hardware/arm_models; .*fr3"):
        load_arm_model("fr4")


@pytest.mark.parametrize("frame", [-1, 9])
def test_a_capsule_on_no_frame_is_refused(frame):
    with pytest.raises(ValueError, match=f"capsule 'column' has frame {frame}; at most 8"):
        with_capsule(frame)


@pytest.mark.parametrize("frame", [0, 8])
def test_first_and_last_frame_are_frames(frame):
    assert with_capsule(frame).capsules[0].frame == frame


def with_capsule(frame: int) -> ArmModel:
    first, *others = FR3.capsules
    return replace(FR3, capsules=(replace(first, frame=frame), *others))


@pytest.mark.parametrize("pair", [("column",), ("column", "nose"), ("column", "hand", "camera")])
def test_meetings_are_pairs_of_parts(pair):
    with pytest.raises(ValueError, match=r"meetings holds .*; it needs two of: camera, column, elbow, fingers"):
        replace(FR3, meetings=(pair,))

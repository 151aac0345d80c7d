"""The guard predicts where the arm would be if it braked now. Here it brakes, and MuJoCo says where the arm is."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hardware.clearance import advanced, rests
from hardware.interfaces import GuardMode, Pose
from hardware.posture import Posture
from hardware.reference import orientation
from hardware.whole_arm import JOINT_SLACK_RAD, PREDICTION_SLACK_M
from tests.guard_in_twin.judged_twin import JudgedTwin

STOPS = max(8, int(os.environ.get("GUARD_STORIES", "8")))


def predicted(twin: JudgedTwin) -> Posture:
    """What a look at the reference as it moves now would say of the arm at rest."""
    settings, state, arm = twin.guard.settings, twin.guard.state, twin.arm.read()
    position, turn = rests(settings, advanced(settings, state))
    body = settings.whole_arm.body
    view = body.view(arm.joint_positions_rad, arm.T_base_ee)
    return body.posture(view, Pose(position, orientation(turn, state.anchor)))


def measured(twin: JudgedTwin) -> Posture:
    """The arm where it stands: its capsules by its own joints."""
    arm, body = twin.arm.read(), twin.guard.settings.whole_arm.body
    return body.posture(body.view(arm.joint_positions_rad, arm.T_base_ee), arm.T_base_ee)


@pytest.fixture(scope="module")
def errors() -> np.ndarray:
    """(stops, 2): how far the farthest capsule's end and the farthest joint were from the prediction, m and rad."""
    rng, twin, found = np.random.default_rng(21), JudgedTwin(3), []
    while len(found) < STOPS:
        goal = rng.uniform(-0.12, 0.12, 3)
        twin.ask(tuple(goal.tolist()), tuple(rng.uniform(-0.3, 0.3, 3).tolist()), float(rng.uniform(0.2, 0.7)))
        assert twin.guard.mode is GuardMode.RUNNING
        then = predicted(twin)
        twin.guard.hold()
        twin.wait(0.8)
        now = measured(twin)
        ends = [
            (end, at)
            for a, b in zip(then.capsules, now.capsules, strict=True)
            for end, at in zip(a[:2], b[:2], strict=True)
        ]
        metres = max(float(np.linalg.norm(np.subtract(end, at))) for end, at in ends)
        radians = float(np.abs(np.subtract(then.joints_rad, now.joints_rad)).max())
        found.append((metres, radians))
        twin.resume()
    return np.array(found)


def test_the_arm_stops_where_it_was_predicted_to(errors):
    """Within what every gap keeps in reserve for it."""
    worst_m, worst_rad = errors.max(axis=0)
    print(f"\n  prediction off by at most {1000 * worst_m:.1f} mm, {worst_rad:.4f} rad", end="")
    assert worst_m <= PREDICTION_SLACK_M
    assert worst_rad <= JOINT_SLACK_RAD

"""Where a camera is, found with a person at the arm: poses taken one by one, then solved and judged."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, degrees, inf, radians, sin

import numpy as np

from hardware.arm_in_hand import HELP, ArmInHand
from hardware.arm_model import load_arm_model
from hardware.arrival import is_still
from hardware.charuco import CORNERS
from hardware.geometry import pose_distance, pose_multiply, quat_from_rotvec
from hardware.hand_eye import MIN_TURN_RAD, MIN_VIEWS, arm_poses, estimated_lens, require_turns, turns_rad
from hardware.hand_eye_report import Report, judge
from hardware.interfaces import Camera, GuardMode, Pose
from hardware.questions import Questions, say
from hardware.saved_views import SavedViews

HOW = {
    "ee": "The camera rides on the hand. Lay the board flat where it will not move, and look at it from several sides.",
    "base": "The camera stands in the room. Clamp the board to the hand so that it cannot slip, and show it to the "
    "camera from several sides. The guard does not know of the board: keep it clear of everything.",
}
WORDS = (
    f"`here` takes a pose: at least {MIN_VIEWS}, each turned by {degrees(MIN_TURN_RAD):g}° or more against all others, "
    "tilted up to 30° about different axes. `auto` has the arm go through such poses about where it stands, `drop 3` "
    "forgets one, `solve` ends."
)
BY_HAND = (
    "this arm has fewer than six joints and cannot lean to all sides: lead it by hand where `free` lets go of it, else "
    "type `x`, `y`, `z`, `pitch` and `yaw`; lean it forward and back, turn it about its approach, `here` at each pose"
)
"""Where `auto` would be refused pose after pose."""
AUTO_VIEWS = 16
_PIVOT_M = 0.12
"""The hand turns about a point so far beyond the fingertips, so that the board stays in the picture."""
_IN_VAIN = 6
"""Going round ends after so many poses in a row that gave nothing."""
_STILL_TIMEOUT_S, _POLL_S = 5.0, 0.01
_MOVED_M, _MOVED_RAD = 0.0005, 0.002
"""What the arm may move while a picture is taken: about half a pixel."""


class CameraCalibration:
    """Takes poses until they are solved."""

    def __init__(
        self, questions: Questions, hand: ArmInHand, camera: Camera, saved: SavedViews, max_error_px: float
    ) -> None:
        """``hand`` and ``camera``: connected; the camera shows all it captures."""
        self._ask, self._hand, self._camera = questions.ask, hand, camera
        self.saved, self._max_error_px = saved, max_error_px

    def run(self) -> Report:
        """Raises ``ValueError`` where nobody can be asked again."""
        say(f"{HOW[self.saved.about.frame]}\n{WORDS}\n{HELP}")
        if self.saved.views:
            say(f"  {len(self.saved.views)} poses of before in {self.saved.folder}; good if nothing was moved since")
        report = None
        while report is None:
            count = len(self.saved.views)
            enough = count >= MIN_VIEWS
            question = f"{count} poses" if enough else f"{count} of {MIN_VIEWS} poses"
            report = self._ask("auto", question, self._obey, "solve" if enough else "here")
        return report

    def _obey(self, text: str) -> Report | None:
        """What ``solve`` finds; None for all other words."""
        word, _, which = text.partition(" ")
        if word == "solve":
            return solved(self.saved, self._max_error_px)
        if word == "here":
            self._take()
        elif word == "auto":
            self._go_round()
        elif word == "drop":
            if not which.isdigit():
                raise ValueError(f"{text!r}: which pose? As `drop 3`")
            self.saved.drop(int(which))
        else:
            self._hand.obey(text)
        return None

    def _take(self) -> None:
        pose, picture = self._still_picture()
        if why := self._no_news(pose):
            raise ValueError(why)
        number = self.saved.add(pose, picture)
        seen = len(self.saved.views[number].points_px)
        views = list(self.saved.views.values())
        spread = ""
        if len(views) > 2:
            most, second, _ = np.degrees(turns_rad(arm_poses(views, "ee")))
            spread = f"; turned {most:.0f}° and {second:.0f}° about its two main axes so far"
        say(f"  pose {number}: {seen} of {CORNERS} corners{spread}")

    def _no_news(self, pose: Pose) -> str:
        """Why a view from ``pose`` would tell little; empty where it would not."""
        for number, view in self.saved.views.items():
            turn_rad = pose_distance(view.T_base_ee, pose)[1]
            if turn_rad < MIN_TURN_RAD:
                return (
                    f"turned by {degrees(turn_rad):.1f}° against pose {number}, {degrees(MIN_TURN_RAD):g}° are needed: "
                    "turns, not shifts, tell where the camera is"
                )
        return ""

    def _still_picture(self) -> tuple[Pose, np.ndarray]:
        """Where the arm is, and what the camera sees from there; both at rest."""
        robot, camera = self._hand.robot, self._camera
        clock, deadline_s = robot.clock, robot.clock.now() + _STILL_TIMEOUT_S
        while not is_still(robot.arm.read()):
            if clock.now() > deadline_s:
                raise ValueError("the arm moves; hold it still")
            clock.sleep_until(clock.now() + _POLL_S)
        before, since_s = robot.arm.read().T_base_ee, clock.now()
        while (newest := camera.newest()) is None or newest.stamp_s < since_s:
            if clock.now() > since_s + _STILL_TIMEOUT_S:
                raise ValueError(f"camera {camera.name!r} sends no new picture; check its cable")
            clock.sleep_until(clock.now() + _POLL_S)
        picture = camera.read_latest(inf).image
        moved_m, moved_rad = pose_distance(before, robot.arm.read().T_base_ee)
        if moved_m > _MOVED_M or moved_rad > _MOVED_RAD:
            raise ValueError(f"the arm moved by {1e3 * moved_m:.1f} mm while the picture was taken; hold it still")
        return before, picture

    def _go_round(self) -> None:
        """Poses about where the arm is, by the guard; one that it refuses, or that shows too little, is left out."""
        if 0 < len(load_arm_model(self._hand.robot.cell.arm).joints) < 6:
            raise ValueError(BY_HAND)
        middle, in_vain = self._hand.robot.arm.read().T_base_ee, 0
        for goal in around(middle):
            if len(self.saved.views) >= AUTO_VIEWS or in_vain >= _IN_VAIN:
                break
            if self._no_news(goal):
                continue
            in_vain = 0 if self._tried(goal) else in_vain + 1
        self._tried(middle, take=False)
        if len(self.saved.views) < MIN_VIEWS:
            raise ValueError(f"{len(self.saved.views)} poses so far: begin elsewhere, or take the others one by one")

    def _tried(self, goal: Pose, take: bool = True) -> bool:
        """Whether a pose was taken at ``goal``, or it was reached. Raises ``ValueError`` where the arm is stopped and
        only a person may clear that."""
        robot = self._hand.robot
        try:
            self._hand.go_to(goal)
            if take:
                self._take()
        except ValueError as error:
            if robot.guard.mode >= GuardMode.HOLD and not robot.cell.scripted_operator:
                raise
            say(f"  left out: {error}")
            return False
        return True


def around(middle: Pose) -> Iterator[Pose]:
    """Poses tilted by 10 to 25° to all sides of ``middle`` and turned by up to 24° about the approach, nearer and
    further, about a point beyond the fingertips."""
    pivot = pose_multiply(middle, Pose((0.0, 0.0, _PIVOT_M), (0.0, 0.0, 0.0, 1.0)))
    for k in range(2 * AUTO_VIEWS):
        towards, tilt, yaw = 2.4 * k, radians(10.0 + 7.5 * (k % 3)), radians(12.0 * (k % 5 - 2))
        turned = pose_multiply(pivot, Pose((0.0, 0.0, 0.0), quat_from_rotvec((0.0, 0.0, yaw))))
        tilted = quat_from_rotvec((tilt * cos(towards), tilt * sin(towards), 0.0))
        back = Pose((0.0, 0.0, -_PIVOT_M - 0.02 * (k % 4)), (0.0, 0.0, 0.0, 1.0))
        yield pose_multiply(pose_multiply(turned, Pose((0.0, 0.0, 0.0), tilted)), back)


def solved(saved: SavedViews, max_error_px: float) -> Report:
    """What the poses tell, the lens estimated from them where the driver knows none. Raises as :func:`judge`."""
    about, views = saved.about, saved.views
    if len(views) < MIN_VIEWS:
        raise ValueError(f"{len(views)} poses; {MIN_VIEWS} are needed")
    lens = about.lens
    if lens is None:
        require_turns(arm_poses(list(views.values()), about.frame))
        lens, error_px = estimated_lens(list(views.values()), about.size_px)
        say(f"  lens estimated from the poses, as its driver knows none: error {error_px:.2f} px")
    return judge(views, lens, about.frame, max_error_px)

"""The browser as a teleop device: keys that jog for a moment, a gizmo that pulls, and the operator's buttons.

A page that stalls sends no key-up, so whatever it asks for ends by itself (S13): a key jogs for ``JOG_S``, the gizmo
pulls for ``PULL_S`` after it was last held. Taking over lasts until the person hands back, or the episode ends: a pause
between two keys is no consent. The tab itself must be heard, twenty times a second: when it has been silent for
``STILL_S`` the hand rests, and for ``SILENT_S``, or when it is closed, the heartbeat stands still and the guard holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hardware.geometry import pose_delta, quat_normalize
from hardware.interfaces import ZERO6, Clock, Gripper, Pose, TeleopSample, Vector6

JOG_S = 0.3
PULL_S = 0.5
STILL_S, SILENT_S = 0.3, 1.0
NEAR_M, NEAR_RAD = 0.02, 0.2
"""The gizmo pulls at full deflection beyond this, in proportion within."""
LOST = "the browser fell silent while you drove: is its tab closed, hidden or hung?"
_MAX_GAP_S = 0.1
_POLL_S = 0.05
Verdict = Literal["success", "failure", "discard", "reset"]


@dataclass(slots=True)
class Attention:
    """What the person gave: seconds at the controls, takeovers."""

    driving_s: float = 0.0
    takeovers: int = 0


class Stoppable(Protocol):
    """What of a robot the operator's buttons need."""

    clock: Clock

    def hold(self, reason: str) -> None: ...

    def resume(self) -> None:
        """Raises ``RuntimeError`` while that is not granted."""
        ...


class BrowserHand:
    """Implements :class:`hardware.interfaces.TeleopDevice`, and obeys the operator's buttons. All of it runs where the
    guard polls :meth:`read`."""

    name = "browser"

    def __init__(
        self, robot: Stoppable, measured: Callable[[], Pose], wishes: Callable[[], Iterable[list[Any]]]
    ) -> None:
        """``measured``: where the end effector is. ``wishes``: what the page has asked for since it was last called, as
        names of the methods below with their arguments; ``alive`` says that its tab runs."""
        self._robot, self._measured, self._wishes = robot, measured, wishes
        self.stats = Attention()
        self.driving = self.paused = False
        self.trouble = ""
        """Why the robot does not do what it was asked to; empty when it does."""
        self.speed = 0.5
        """Share of full deflection at which keys jog, in (0, 1]."""
        self._now = self._heard_s = self._beat_s = 0.0
        self._jogs: dict[int, tuple[float, float]] = {}
        self._pull: Pose | None = None
        self._pulled_s = 0.0
        self._gripper = Gripper.HOLD
        self._gone = self._stopped = False
        self._verdict: Verdict | None = None
        self._orders: dict[str, Callable[..., None]] = {
            order.__name__: order
            for order in (
                *(self.take_over, self.hand_back, self.jog, self.pull, self.gripper, self.set_speed),
                *(self.judge, self.hold, self.resume, self.gone, self.alive),
            )
        }

    def connect(self) -> None: ...
    def close(self) -> None: ...

    def read(self, now: float) -> TeleopSample:
        """The hand at ``now``, once what the page asked for is done."""
        elapsed, self._now = now - self._now, now
        for name, *arguments in self._wishes():
            self._orders[name](*arguments)
        if not self.driving:
            self._beat_s = now
            return TeleopSample(now)
        silent_s = now - self._heard_s
        if self._gone or silent_s > SILENT_S:
            self.trouble = LOST
        else:
            self._beat_s = now
        if 0.0 < elapsed <= _MAX_GAP_S:
            self.stats.driving_s += elapsed
        return TeleopSample(self._beat_s, self._twist(now) if silent_s <= STILL_S else ZERO6, True, self._gripper)

    def rest(self) -> None:
        """The episode is over: hands off. Returns once the operator lets the robot go on."""
        self.hand_back()
        self._gripper = Gripper.HOLD
        clock = self._robot.clock
        while self.paused:
            clock.sleep_until(clock.now() + _POLL_S)
        if self._stopped:
            self._stopped = False
            try:
                self._robot.resume()
            except RuntimeError as refused:  # A reset clears it, or refuses with a message of its own.
                self.trouble = str(refused)

    def new_episode(self, seed: int) -> None:
        """What was asked for during the reset counts for nothing."""
        self.hand_back()
        self._verdict = None

    unwatched_episode = new_episode

    def verdict(self) -> Verdict | None:
        """What the operator says of this episode; it then ends."""
        return self._verdict

    # -- what the page may ask for -----------------------------------------------------------------------------------

    def take_over(self) -> None:
        """The person drives from now on."""
        self._heard_s = self._now
        if not self.driving:
            self.driving, self._gone, self.trouble = True, False, ""
            self.stats.takeovers += 1

    def hand_back(self) -> None:
        """The policy may drive again."""
        self.driving, self._gone, self._pull = False, False, None
        self._jogs.clear()

    def jog(self, axis: int, direction: float) -> None:
        """Move along (0-2) or turn about (3-5) a base axis for :data:`JOG_S`, taking over where need be."""
        self.take_over()
        self._jogs[axis], self._pull = (direction, self._now + JOG_S), None

    def pull(self, position_m: list[float], quat_xyzw: list[float]) -> None:
        """Move towards this pose for at most :data:`PULL_S`, taking over where need be."""
        self.take_over()
        (x, y, z), (qx, qy, qz, qw) = position_m, quat_xyzw
        self._pull, self._pulled_s = Pose((x, y, z), quat_normalize((qx, qy, qz, qw))), self._now
        self._jogs.clear()

    def gripper(self) -> None:
        """Close, or open again."""
        self.take_over()
        self._gripper = Gripper.OPEN if self._gripper is Gripper.CLOSE else Gripper.CLOSE

    def set_speed(self, share: float) -> None:
        self.speed = min(max(share, 0.0), 1.0)

    def judge(self, verdict: Verdict) -> None:
        """End the episode, with this label; ``reset`` ends it without one."""
        self._verdict = verdict

    def hold(self) -> None:
        """Stop the arm; the run waits in :meth:`rest`."""
        self.paused = self._stopped = True
        self._robot.hold("the operator holds the robot")

    def resume(self) -> None:
        """Let the run go on."""
        self.paused, self.trouble = False, ""

    def gone(self) -> None:
        """The page that drove was closed."""
        self._gone = True

    def alive(self) -> None:
        """The tab that drives runs, and is in view."""
        self._heard_s = self._now

    def _twist(self, now: float) -> Vector6:
        if self._pull is not None:
            if now - self._pulled_s > PULL_S:
                self._pull = None
                return ZERO6
            delta = pose_delta(self._measured(), self._pull)
            near = (NEAR_M,) * 3 + (NEAR_RAD,) * 3
            x, y, z, rx, ry, rz = (min(max(d / n, -1.0), 1.0) for d, n in zip(delta, near, strict=True))
            return x, y, z, rx, ry, rz
        self._jogs = {axis: jog for axis, jog in self._jogs.items() if now < jog[1]}
        twist = [0.0] * 6
        for axis, (direction, _) in self._jogs.items():
            twist[axis] = self.speed * direction
        x, y, z, rx, ry, rz = twist
        return x, y, z, rx, ry, rz

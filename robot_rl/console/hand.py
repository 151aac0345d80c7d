"""The browser as a teleop device: keys that jog for a moment, a gizmo that pulls, and the operator's verdicts.

A page sends no key-up, and a stalled one sends nothing, so whatever it asks for ends by itself (S13): a key jogs for
``JOG_S``, the gizmo pulls for ``PULL_S`` after it last moved. Taking over lasts until the person hands back, or the
episode ends: a pause between two keys is no consent. Should the page that drives go away, the heartbeat stands still
and the guard holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from hardware.geometry import pose_delta
from hardware.interfaces import ZERO6, Gripper, Pose, TeleopSample, Vector6

JOG_S = 0.3
PULL_S = 2.0
NEAR_M, NEAR_RAD = 0.02, 0.2
"""The gizmo pulls at full deflection beyond this, in proportion within."""
MAX_GAP_S = 0.1
Verdict = Literal["success", "failure", "discard", "reset"]


@dataclass(slots=True)
class Attention:
    """What the person gave: seconds at the controls, takeovers."""

    driving_s: float = 0.0
    takeovers: int = 0


class BrowserHand:
    """Implements :class:`hardware.interfaces.TeleopDevice`. Whoever serves the page calls :meth:`jog`, :meth:`pull`,
    :meth:`take_over`, ... from its own threads; the guard polls :meth:`read`."""

    name = "browser"

    def __init__(self, measured: Callable[[], Pose], before_episode: Callable[[], None] = lambda: None) -> None:
        """``measured``: where the end effector is. ``before_episode``: called, by the control thread, before a reset
        moves the arm; may wait for the operator."""
        self._measured, self._before_episode = measured, before_episode
        self.stats = Attention()
        self.driving = False
        self.speed = 0.5
        """Share of full deflection at which keys jog, in (0, 1]."""
        self._lock = Lock()
        self._now = 0.0
        self._jogs: dict[int, tuple[float, float]] = {}
        self._pull: Pose | None = None
        self._pulled_s = 0.0
        self._gripper = Gripper.HOLD
        self._present = True
        self._beat_s = 0.0
        self._verdict: Verdict | None = None

    def connect(self) -> None: ...
    def close(self) -> None: ...

    # -- the page's side ---------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """The person drives from now on."""
        with self._lock:
            self._take_over()

    def hand_back(self) -> None:
        """The policy may drive again."""
        with self._lock:
            self._let_go()

    def jog(self, axis: int, direction: float) -> None:
        """Move along (0-2) or turn about (3-5) a base axis for :data:`JOG_S`, taking over where need be."""
        with self._lock:
            self._take_over()
            self._jogs[axis] = (direction, self._now + JOG_S)
            self._pull = None

    def pull(self, target: Pose) -> None:
        """Move towards ``target`` for at most :data:`PULL_S`, taking over where need be."""
        with self._lock:
            self._take_over()
            self._pull, self._pulled_s = target, self._now
            self._jogs.clear()

    def toggle_gripper(self) -> None:
        """Close, or open again."""
        with self._lock:
            self._take_over()
            self._gripper = Gripper.OPEN if self._gripper is Gripper.CLOSE else Gripper.CLOSE

    def judge(self, verdict: Verdict) -> None:
        """End the episode, with this label; ``reset`` ends it without one."""
        self._verdict = verdict

    def gone(self) -> None:
        """The page that drove was closed: the heartbeat stops while it would drive."""
        with self._lock:
            self._present = not self.driving

    # -- the robot's side --------------------------------------------------------------------------------------------

    def read(self, now: float) -> TeleopSample:
        """The hand at ``now``."""
        with self._lock:
            elapsed, self._now = now - self._now, now
            if self._present:
                self._beat_s = now
            if not self.driving:
                return TeleopSample(self._beat_s)
            if 0.0 < elapsed <= MAX_GAP_S:
                self.stats.driving_s += elapsed
            return TeleopSample(self._beat_s, self._twist(now), True, self._gripper)

    def rest(self) -> None:
        """The episode is over: hands off. Returns when the operator lets the robot go on."""
        with self._lock:
            self._let_go()
            self._gripper = Gripper.HOLD
        self._before_episode()

    def new_episode(self, seed: int) -> None:
        """What was asked for during the reset counts for nothing."""
        with self._lock:
            self._let_go()
            self._verdict = None

    def verdict(self) -> Verdict | None:
        """What the operator says of this episode; it then ends."""
        return self._verdict

    def _twist(self, now: float) -> Vector6:
        if self._pull is not None:
            if now - self._pulled_s > PULL_S:
                self._pull = None
                return ZERO6
            delta = pose_delta(self._measured(), self._pull)
            near = (NEAR_M,) * 3 + (NEAR_RAD,) * 3
            x, y, z, rx, ry, rz = (min(max(d / n, -1.0), 1.0) for d, n in zip(delta, near, strict=True))
            return x, y, z, rx, ry, rz
        twist = [0.0] * 6
        for axis, (direction, until_s) in list(self._jogs.items()):
            if now >= until_s:
                del self._jogs[axis]
            else:
                twist[axis] = self.speed * direction
        x, y, z, rx, ry, rz = twist
        return x, y, z, rx, ry, rz

    def _take_over(self) -> None:
        if not self.driving:
            self.driving = True
            self.stats.takeovers += 1

    def _let_go(self) -> None:
        self.driving, self._present, self._pull = False, True, None
        self._jogs.clear()

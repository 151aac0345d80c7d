"""The guard's rule for the whole arm (S30 to S33): whatever moves can still brake clear of every limit.

The invariant: *if the reference brakes now, the arm comes to rest inside every limit*. Each tick looks at the reference
one tick on, at where it would come to rest from there with the stop profile, and at the whole arm's posture there. If
that breaks a limit, and braking now would not break it as far, the reference brakes now instead, which the tick before
found to be fine. So a motion that leads out of a broken limit is always let through. Where moving along the obstacle is
possible the target slides along it; else one group (translation or rotation) goes on if the other alone is at fault.

Looking is skipped while an earlier look covers it: gaps close no faster than the arm moves, so a gap of 50 mm needs no
second look for 50 mm of motion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hardware.geometry import quat_inverse, quat_rotate
from hardware.guard_inputs import GuardInputs
from hardware.guard_state import GuardSettings, GuardState
from hardware.interfaces import GuardMode, Pose, Refusal, Vector3
from hardware.posture import Posture, View
from hardware.reference import Profile, Track, advance, orientation, stop_distance
from hardware.targets import Refusals, braked, target_at
from hardware.whole_arm import Rests

_NO_WORSE = 1e-9
"""Rounding of a gap."""

Follow = Callable[[GuardState], GuardState]
Tracks = tuple[Track, Track]
"""Translation and rotation."""


class _Look(NamedTuple):
    """A state that has been looked at: where it would come to rest, in which posture, what is left there."""

    state: GuardState
    rests: Rests
    posture: Posture
    gaps: list[float]


def keep_clear(
    settings: GuardSettings,
    before: GuardState,
    after: GuardState,
    inputs: GuardInputs,
    refusals: Refusals,
    follow: Follow,
) -> tuple[GuardState, Tracks]:
    """``after`` if its motion is admissible, else what comes nearest to it; and the tracks of that a tick on. All
    states lie before this tick's advance; ``after`` is ``before`` on its way to the same target, as ``follow`` plans
    it."""
    if after.mode >= GuardMode.HOLD or (after.translation.at_rest and after.rotation.at_rest):
        return after, (after.translation, after.rotation)
    arm, neighbours = inputs.arm, inputs.neighbours
    tracks = advanced(settings, after)
    at = rests(settings, tracks)
    if not neighbours and after.outlook is not None and after.outlook.covers(arm.joint_positions_rad, at):
        return after, tracks
    view = settings.whole_arm.body.view(arm.joint_positions_rad, arm.T_base_ee)

    def look(state: GuardState, tracks: Tracks) -> _Look:
        at = position, turn = rests(settings, tracks)
        posture = settings.whole_arm.body.posture(view, Pose(position, orientation(turn, state.anchor)))
        return _Look(state, at, posture, settings.whole_arm.gaps(posture, neighbours))

    ahead = look(after, tracks)
    if min(ahead.gaps) > 0.0:
        return _seen(settings, view, ahead), tracks
    halted = _halted(settings, before, before)
    halting = advanced(settings, halted)
    stopped = look(halted, halting)
    worst = _worst(ahead, stopped)
    if worst is None:
        return _seen(settings, view, ahead), tracks
    refusals.append(Refusal(settings.whole_arm.gap_labels[worst].limit, -ahead.gaps[worst], before.mux.driver))
    for choice in _choices(settings, before, after, stopped, worst, follow):
        tracks = advanced(settings, choice)
        if _worst(look(choice, tracks), stopped) is None:
            return choice._replace(outlook=None), tracks
    return halted._replace(outlook=None), halting


def advanced(settings: GuardSettings, state: GuardState) -> Tracks:
    """Both groups a tick on."""
    return advance(state.translation, settings.period_s), advance(state.rotation, settings.period_s)


def rests(settings: GuardSettings, tracks: Tracks) -> Rests:
    """Where both groups come to rest if they brake now."""
    translation, rotation = tracks
    return _rest(translation, settings.translation.stop), _rest(rotation, settings.rotation.stop)


def _rest(track: Track, stop: Profile) -> Vector3:
    if track.at_rest or track.braking:
        return track.target
    (x, y, z), (u, v, w), (a, b, c) = track.motion
    return x + stop_distance(u, a, stop), y + stop_distance(v, b, stop), z + stop_distance(w, c, stop)


def _worst(ahead: _Look, stopped: _Look) -> int | None:
    """The gap that is open least, of those that are worse ahead than after braking now."""
    broken = [
        i for i, (gap, now) in enumerate(zip(ahead.gaps, stopped.gaps, strict=True)) if gap < min(0.0, now - _NO_WORSE)
    ]
    return min(broken, key=lambda i: ahead.gaps[i], default=None)


def _seen(settings: GuardSettings, view: View, look: _Look) -> GuardState:
    """The state that was looked at, with what was seen: it need not be looked for again at once."""
    outlook = settings.whole_arm.outlook(view, look.posture, look.gaps, look.rests)
    return look.state._replace(outlook=outlook, pace=outlook.pace)


def _halted(
    settings: GuardSettings, before: GuardState, after: GuardState, translation: bool = True, rotation: bool = True
) -> GuardState:
    """``after`` with one group or both braking now, from ``before``; their target is where that ends."""
    move, turn, target = after.translation, after.rotation, after.target
    if translation:
        move = braked(settings.planner, before.translation, settings.translation.stop)
    if rotation:
        turn = braked(settings.planner, before.rotation, settings.rotation.stop)
    position = move.target if translation else target.position
    target = target_at(after, position, turn.target if rotation else target.rotation)
    return after._replace(translation=move, rotation=turn, target=target)


def _choices(
    settings: GuardSettings, before: GuardState, after: GuardState, stopped: _Look, worst: int, follow: Follow
) -> Iterator[GuardState]:
    """What may go on when going on as planned may not, best first."""
    direction = settings.whole_arm.away(worst, stopped.posture)
    if direction is not None:
        normal = quat_rotate(quat_inverse(settings.whole_arm.body.mount.quat_xyzw), direction)
        position = _beside(after.target.position, stopped.rests[0], normal)
        if position is not None:
            sliding = follow(before._replace(target=target_at(before, position, before.target.rotation)))
            yield sliding
            yield _halted(settings, before, sliding, translation=False)
    yield _halted(settings, before, after, translation=False)
    yield _halted(settings, before, after, rotation=False)


def _beside(target: Vector3, rest: Vector3, normal: Vector3) -> Vector3 | None:
    """``target`` moved along ``normal`` to the height of ``rest``; None if it is no lower."""
    lower = sum(n * (t - r) for n, t, r in zip(normal, target, rest, strict=True))
    if lower >= 0.0:
        return None
    x, y, z = (t - lower * n for t, n in zip(target, normal, strict=True))
    return x, y, z

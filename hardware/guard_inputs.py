"""What the guard sees in one tick. Every default says "this cell has no such source", and then nothing is watched."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from hardware.camera_health import CameraHealth
from hardware.interfaces import ArmCommand, ArmState, TeleopSample
from hardware.posture import Presence


class LinkHealth(NamedTuple):
    """What is known of whoever proposes commands, and of the way they come; counts are since the tick before."""

    actor: int | None = None
    """Identity of the proposing process's life, new at each of its starts (S24). None: it is this very process."""
    corrupt_packets: int = 0
    """Packets that could not be read (S21)."""
    skew_s: float | None = None
    """Skew of the observation made since the tick before (S18); None: none was made."""
    policy_age_s: float | None = None
    """How long ago the policy was last renewed (S22). None: a policy that is not being trained, or in this process."""


class DiskHealth(NamedTuple):
    """What the recorder says of its disk (S26)."""

    free_bytes: float
    left_s: float = inf
    """How long the free space lasts at the present rate."""
    failed: bool = False
    """A write failed: what happens now is not being recorded."""


class GuardInputs(NamedTuple):
    """``commands`` are those that arrived since the tick before, in order of arrival."""

    arm: ArmState
    teleop: TeleopSample
    commands: tuple[ArmCommand, ...] = ()
    cameras: tuple[CameraHealth, ...] = ()
    link: LinkHealth = LinkHealth()
    disk: DiskHealth | None = None
    neighbours: tuple[Presence, ...] = ()
    """The other arms of the cell (S30)."""

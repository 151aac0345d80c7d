"""A foot pedal beside whatever the person drives with: its keys act, the device moves."""

from __future__ import annotations

from hardware.interfaces import ZERO6, Gripper, TeleopDevice, TeleopSample
from hardware.teleop.evdev_keys import EvdevKeys
from hardware.teleop.polling import STALE_S


class WithPedal:
    """Implements :class:`hardware.interfaces.TeleopDevice` over a device and a pedal; when either falls silent, so does
    this, and it moves nothing (S13)."""

    def __init__(self, device: TeleopDevice, pedal: EvdevKeys) -> None:
        self.device, self.pedal = device, pedal

    @property
    def trouble(self) -> str:
        """Why one of them is lost; empty while both work."""
        return self.pedal.trouble or str(getattr(self.device, "trouble", ""))

    def connect(self) -> None:
        self.pedal.connect()
        try:
            self.device.connect()
        except ConnectionError:
            self.pedal.close()
            raise

    def read(self, now: float) -> TeleopSample:
        hand, foot = self.device.read(now), self.pedal.read(now)
        switches = [sample.enabled for sample in (hand, foot) if sample.enabled is not None]
        heartbeat_s = min(hand.heartbeat_s, foot.heartbeat_s)
        beats = now - heartbeat_s <= STALE_S
        return TeleopSample(
            heartbeat_s=heartbeat_s,
            twist=hand.twist if beats else ZERO6,
            takeover=beats and (hand.takeover or foot.takeover),
            gripper=hand.gripper if foot.gripper is Gripper.HOLD else foot.gripper,
            success=hand.success or foot.success,
            failure=hand.failure or foot.failure,
            enabled=any(switches) if switches else None,
        )

    def close(self) -> None:
        self.device.close()
        self.pedal.close()

"""SO-101 of the LeRobot family: six Feetech servos on a serial bus, each holding the position it was told last.

* **Tracking.** Positions, at the guard's rate; the servos' lag is made up for by the twist. Five joints: place and the
  hand's lean are reached, one turn is not (``hardware/arm_models/so101.toml``), and S7 holds where it is asked for.
* **No watchdog (S3).** A dead process, a cable that is out: servos go to the last goal and stay there, which is at most
  the lookahead's way ahead. Nothing on their side notices. References that stop: a thread of this driver stops them.
* **No force.** The wrench is zero, so that S8 is blind; the servos' torque limit bounds the force instead.
* **Frames.** Base as in the published drawing; servo middles come from LeRobot's calibration.
* **Recovery (S12).** Only :meth:`So101Arm.recover` switches a servo on again, and it holds where it then is.
"""

from __future__ import annotations

from hardware.arm_model import load_arm_model
from hardware.arms.servoed import ServoedArm
from hardware.arms.so101_bus import So101Bus


class So101Arm(ServoedArm):
    """Implements :class:`hardware.interfaces.Arm`."""

    name = "SO-101"

    def _open(self) -> So101Bus:
        """Every servo on the port ``controller.address`` is asked, then told to hold where it is. ``ConnectionError``
        naming the first that does not answer."""
        return So101Bus(self.cell.controller, load_arm_model(self.cell.arm), self.cell.gripper)

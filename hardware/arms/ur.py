"""Universal Robots e-Series, by ur_rtde: a program on the controller servoes at 500 Hz to what this driver sends.

* **Tracking.** ``servoL``: the controller solves the inverse with its calibrated kinematics. A joint lags by the
  servo's lookahead time, so the target is sent that far ahead along the reference's twist: the twist is fed forward.
* **Stiff.** The arm is controlled in position. The guard's lead does not bound the force as a spring's does: S8 stops
  at the measured force, and the controller's safety limits (force, power, speed) have to be set on the pendant.
* **Watchdog (S3).** A dead or stuck process, a pulled cable: the controller's RTDE watchdog (10 Hz) ends the program,
  which brakes. References that stop while the process lives: a thread of this driver makes the arm stop where it is.
* **Frames.** Base as the controller's ``base``. The tool centre point is put where the model has the end effector.
* **Recovery (S12).** Only :meth:`UrArm.recover` unlocks a protective stop or starts the program anew, and it moves
  nothing. An emergency stop is undone by hand, on the pendant.
"""

from __future__ import annotations

from hardware.arm_model import load_arm_model
from hardware.arms.servoed import ServoedArm
from hardware.arms.ur_controller import UrController


class UrArm(ServoedArm):
    """Implements :class:`hardware.interfaces.Arm`."""

    name = "UR"

    def _open(self) -> UrController:
        """Connect to ``controller.address`` and upload ur_rtde's program. ``ConnectionError`` where it does not answer,
        is not in remote control, is stopped, or runs another program."""
        return UrController(self.cell.controller, load_arm_model(self.cell.arm).tip, self.cell.gripper)

"""Peg insertion: a square peg into a hole 0.5 mm wider on each side, whose place is known only roughly.

The hole lies anywhere within ± 30 mm and ± 10°. The policy is told where, but wrong by up to ± 2 mm and ± 2°, and the
peg sits in the hand up to ± 1 mm off. Neither error is observed: they differ each episode and show only in how contact
feels. The gripper is locked.
"""

from __future__ import annotations

from robot_rl.task import TaskSpec
from sim.tasks.insertion import InsertionTask


class PegInsertion(InsertionTask):
    """20 mm square peg, 0.5 mm radial clearance, 1 mm chamfer, 20 mm deep.

    Success: the tip in the hole, 18 mm below the surface. The last 2 mm would only add force.
    """

    spec = TaskSpec(
        "peg_insertion",
        "Insert the square peg into the hole.",
        max_steps=100,
        # Half the usual step: the play is half a millimetre, and noise is a share of the step.
        max_step_m=0.004,
        max_step_rad=0.03,
        gripper=False,
    )
    scene = "peg_insertion.xml"
    tool = "peg_tool.xml"

"""What MuJoCo itself says of the arm under the guard (S31 to S33): the judge of tests and benchmarks, which shares
nothing with the guard's own model but the limits."""

from __future__ import annotations

from math import acos

import mujoco
import numpy as np

from hardware.arm_model import load_arm_model
from hardware.cell import load_cell
from hardware.interfaces import Vector3
from sim.tasks.base import TwinTask

CELL = load_cell("twin")
MODEL = load_arm_model("fr3")
LINKS, TIPS = ("link2", "link3", "link4", "link5", "link6", "link7", "hand"), ("left_finger", "right_finger")
FAR_M = 0.2
LEAD_M = CELL.profile("collaborative").max_lead_m


class WholeArmJudge:
    """What MuJoCo says of the arm's shapes, joints and tool, each time it is asked."""

    def __init__(self, twin: TwinTask, task: str):
        model, self.data = twin.world.model, twin.world.data
        self.model, self.zone = model, CELL.whole_arm("collaborative", task).area.work_zone
        bodies = {model.body(name).id: name for name in (*LINKS, *TIPS)}
        held = {model.body(name).id for name in ("tool/held",) if mujoco.mj_name2id(model, 1, name) >= 0}
        self.links = [g for g in range(model.ngeom) if bodies.get(int(model.geom_bodyid[g])) in LINKS]
        self.tips = [g for g in range(model.ngeom) if bodies.get(int(model.geom_bodyid[g])) in TIPS]
        self.tips += [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in held]
        fixture = mujoco.mj_name2id(model, 1, "fixture")
        self.base = [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) == model.body("link0").id]
        self.solids = [model.geom("table").id]
        self.solids += [g for g in range(model.ngeom) if fixture >= 0 and int(model.geom_bodyid[g]) == fixture]
        self.far = [g for g in self.links if int(model.geom_bodyid[g]) >= model.body("link5").id]
        self.low = np.array([joint.min_rad for joint in MODEL.joints])
        self.high = np.array([joint.max_rad for joint in MODEL.joints])
        self.rated = np.array([joint.max_speed_rad_s for joint in MODEL.joints])
        self.worst = {"links": FAR_M, "tips": FAR_M, "self": FAR_M, "joint": 9.0, "speed": 0.0, "tilt": 0.0}
        self.inside = 0

    def look(self, commanded: Vector3) -> None:
        """Compare with the worst so far. Fingers and tool may touch while the end effector is commanded into the work
        zone; pressed against something there, it may be off by the lead that S7 allows."""
        data, worst = self.data, self.worst
        worst["links"] = min(worst["links"], self._nearest(self.links, self.solids))
        ee = tuple(data.site("ee").xpos.tolist())
        zone = self.zone
        if zone is not None and zone.depth(commanded) >= -1e-6 and zone.depth(ee) > -LEAD_M:
            self.inside += 1
        else:
            worst["tips"] = min(worst["tips"], self._nearest(self.tips, self.solids))
        worst["self"] = min(worst["self"], self._nearest([*self.far, *self.tips], self.base))
        joints = data.qpos[:7]
        worst["joint"] = min(worst["joint"], float(np.minimum(joints - self.low, self.high - joints).min()))
        worst["speed"] = max(worst["speed"], float((np.abs(data.qvel[:7]) / self.rated).max()))
        worst["tilt"] = max(worst["tilt"], acos(min(1.0, -float(data.site("ee").xmat[8]))))

    def _nearest(self, first: list[int], second: list[int]) -> float:
        model, data, nearest = self.model, self.data, FAR_M
        for a in first:
            for b in second:
                reach = model.geom_rbound[a] + model.geom_rbound[b] + nearest
                if model.geom_rbound[b] and np.linalg.norm(data.geom_xpos[a] - data.geom_xpos[b]) > reach:
                    continue
                nearest = min(nearest, mujoco.mj_geomDistance(model, data, a, b, nearest, None))
        return nearest

"""How far a replay comes out differently from its recording: at worst, over time, and where the two part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware.geometry import pose_distance
from hardware.interfaces import ArmState
from robot_rl.charts import Line, line_chart
from robot_rl.report import html_page


@dataclass(frozen=True)
class Difference:
    """Of recording and replay at one moment."""

    time_s: float
    """Since the episode's first step."""
    position_m: float
    rotation_rad: float
    joints_rad: float
    """Of the joint that is furthest off."""
    force_n: float
    torque_nm: float
    same: bool
    """Every number of the arm's state is the same, bit for bit."""

    @staticmethod
    def of(recorded: ArmState, replayed: ArmState, time_s: float) -> Difference:
        if recorded == replayed:
            return Difference(time_s, 0.0, 0.0, 0.0, 0.0, 0.0, True)
        metres, radians = pose_distance(recorded.T_base_ee, replayed.T_base_ee)
        joints = np.abs(np.subtract(recorded.joint_positions_rad, replayed.joint_positions_rad)).max()
        wrench = np.subtract(recorded.wrench, replayed.wrench)
        force, torque = (float(np.linalg.norm(part)) for part in (wrench[:3], wrench[3:]))
        return Difference(time_s, metres, radians, float(joints), force, torque, False)


def parts_after_s(differences: Sequence[Difference], bound_m: float) -> float | None:
    """When the end effectors were more than ``bound_m`` apart for the first time; None if they never were."""
    return next((d.time_s for d in differences if d.position_m > bound_m), None)


def write_page(path: Path, title: str, differences: Sequence[Difference], bound_m: float) -> None:
    """A self-contained page of the differences against time."""
    parted = parts_after_s(differences, bound_m)
    bound = f"{1000 * bound_m:g} mm"
    lead = (
        f"never further apart than {bound}" if parted is None else f"further apart than {bound} from {parted:.2f} s on"
    )

    def chart(name: str, field: str, factor: float, level: float | None = None) -> str:
        points = [(d.time_s, factor * getattr(d, field)) for d in differences]
        return line_chart(name, [Line(name, points)], "s", level=level)

    charts = [
        chart("End effector, mm", "position_m", 1000.0, None if parted is None else 1000.0 * bound_m),
        chart("End effector, mrad", "rotation_rad", 1000.0),
        chart("Joint furthest off, mrad", "joints_rad", 1000.0),
        chart("Force, N", "force_n", 1.0),
        chart("Torque, Nm", "torque_nm", 1.0),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    sections = [f"<h2>Recording against replay</h2><div class='charts'>{''.join(charts)}</div>"]
    path.write_text(html_page(title, lead, sections), encoding="utf-8")

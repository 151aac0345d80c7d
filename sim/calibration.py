"""Fit the twin to recorded episodes: their accepted targets are carried out again, by a twin with other parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from mujoco import minimize

from hardware.geometry import pose_delta
from hardware.interfaces import ArmState
from hardware.toml_dataclass import nearest
from robot_rl.types import Episode
from sim.parameters import BOUNDS, FITTED, TwinParameters
from sim.replay import carried_out, read_moved, reports_of

SCALES = np.repeat([0.001, 0.005, 0.01, 0.05, 2.0, 0.2], 3)
"""Differences that count alike: 1 mm, 5 mrad, 10 mm/s, 50 mrad/s, 2 N, 0.2 N m."""
POSITION, FORCE = slice(0, 3), slice(12, 15)
LARGE = 5.0
"""Residuals beyond this many scales grow more and more slowly: after another contact everything is different."""
STEPS = (0.02, 0.004)
"""Of finite differences, as a share of each parameter's range: far away contacts make small ones noise."""
START = TwinParameters(joint_friction_nm=0.5, delay_s=0.02)
"""Where the search begins: off the bounds, at which nothing can be told of the other side."""


@dataclass(frozen=True)
class Calibration:
    """What was found, and what it is worth."""

    parameters: TwinParameters
    episodes: int
    steps: int
    position_error_before_m: float
    """Root mean square over all steps, of the end effector."""
    position_error_after_m: float
    force_error_before_n: float
    force_error_after_n: float
    replays: int


def calibrate(
    paths: Sequence[Path],
    free: Sequence[str] = FITTED,
    max_iter: int = 14,
    say: Callable[[str], None] = lambda _: None,
    moved: Mapping[str, str] = MappingProxyType({}),
) -> Calibration:
    """Fit the parameters ``free`` to all steps of the episodes at ``paths``; the others stay as the twin has them.

    Least squares by Gauss-Newton within bounds (MuJoCo's, on which its ``sysid`` rests too: a rollout of ours runs
    guard and driver as well). ``moved``, and the ``ValueError`` (one line) raised, as of :func:`sim.replay.replay`.
    """
    for name in free:
        if name not in FITTED:
            raise ValueError(f"'{name}' cannot be fitted; {nearest(name, FITTED)} (there are {', '.join(FITTED)})")
    episodes = [(path, read_moved(path, moved)) for path in paths]
    if not episodes or not free:
        raise ValueError("nothing to fit: give episodes, and parameters")
    low, high = (np.array([BOUNDS[name][i] for name in free]) for i in (0, 1))
    replays = 0

    def parameters(share: np.ndarray) -> TwinParameters:
        values = low + (high - low) * share.ravel()
        return TwinParameters(**dict(zip(free, map(float, values), strict=True)))

    def differences(twin: TwinParameters) -> np.ndarray:
        nonlocal replays
        replays += len(episodes)
        return np.concatenate([_differences(path, episode, twin) for path, episode in episodes])

    def residual(shares: np.ndarray) -> np.ndarray:
        """(parameters, n), each in 0 … 1 of its range → (residuals, n)."""
        columns = [differences(parameters(column)) / SCALES for column in shares.T]
        return np.stack([LARGE * np.arcsinh(column / LARGE).ravel() for column in columns], axis=1)

    before = differences(TwinParameters())
    say(f"{len(episodes)} episodes, {len(before)} steps: {_in_words(before)}")
    start = np.array([getattr(START, name) for name in free])
    share = ((start - low) / (high - low))[:, None]
    bounds = [np.zeros_like(share), np.ones_like(share)]
    for step in STEPS:
        share, _ = minimize.least_squares(
            share, residual, bounds, eps=step, max_iter=max_iter, xtol=2e-3, x_scale="jac", verbose=0
        )
        after = differences(parameters(share))
        say(f"after {replays} replays: {_in_words(after)}")
    return Calibration(
        parameters=parameters(share),
        episodes=len(episodes),
        steps=len(before),
        position_error_before_m=_rms(before[:, POSITION]),
        position_error_after_m=_rms(after[:, POSITION]),
        force_error_before_n=_rms(before[:, FORCE]),
        force_error_after_n=_rms(after[:, FORCE]),
        replays=replays,
    )


def _differences(path: Path, episode: Episode, parameters: TwinParameters) -> np.ndarray:
    """(steps, 18): pose, twist and wrench of replay against recording."""
    reports, changed = reports_of(path, episode), {"twin": parameters.changes()}
    header = replace(episode.header, environment={**episode.header.environment, **changed})
    twin, states = carried_out(path, header, reports)
    rows = [_difference(report.arm, state) for report, state in zip(reports, states, strict=True)]
    twin.world.close()
    return np.array(rows)


def _difference(recorded: ArmState, replayed: ArmState) -> np.ndarray:
    return np.concatenate(
        [
            pose_delta(recorded.T_base_ee, replayed.T_base_ee),
            np.subtract(replayed.ee_twist, recorded.ee_twist),
            np.subtract(replayed.wrench, recorded.wrench),
        ]
    )


def _rms(part: np.ndarray) -> float:
    return float(np.sqrt((part**2).sum(1).mean()))


def _in_words(differences: np.ndarray) -> str:
    metres, newtons = _rms(differences[:, POSITION]), _rms(differences[:, FORCE])
    return f"{1000 * metres:.2f} mm and {newtons:.2f} N from the recording (root mean square)"

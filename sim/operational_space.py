"""The arm's dynamics as its end effector feels them."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from sim.world import World


class OperationalSpace:
    """Dynamics of the arm seen from a site: ``F = L (a - dJ q' + J M^-1 (c - p))`` (Khatib 1987, eqs. 14 to 16),
    with the apparent inertia ``L = (J M^-1 J')^-1``, bias ``c`` (Coriolis, gravity) and passive forces ``p``. Whoever
    feeds it forward follows starts, stops and turns closely, without ringing."""

    def __init__(self, world: World, site: str) -> None:
        model = world.model
        self._world, self._site, self._body = world, model.site(site).id, int(model.site(site).bodyid[0])
        self._jacobian, self._rate, self._solved = (np.zeros((6, model.nv)) for _ in range(3))
        self._force = np.zeros(6)

    def force(self, acceleration: Sequence[float]) -> list[float]:
        """Force and torque (N, N m; base axes) for a linear and angular acceleration (m/s², rad/s²) of the site now."""
        model, data = self._world.model, self._world.data
        jacobian, rate, solved = self._jacobian, self._rate, self._solved
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self._site)
        mujoco.mj_jacDot(model, data, rate[:3], rate[3:], data.site_xpos[self._site], self._body)
        mujoco.mj_solveM(model, data, solved, jacobian)
        free = acceleration - rate @ data.qvel + solved @ (data.qfrc_bias - data.qfrc_passive)
        factor = jacobian @ solved.T
        mujoco.mju_cholFactor(factor, mujoco.mjMINVAL)
        mujoco.mju_cholSolve(self._force, factor, free)
        return self._force.tolist()

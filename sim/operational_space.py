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
        # Their halves, for translation and rotation, and what MuJoCo writes into: views, made once.
        self._jacobians, self._rates = (np.split(six, 2) for six in (self._jacobian, self._rate))
        self._force = np.zeros(6)
        data = world.data
        self._position, self._velocities = data.site_xpos[self._site], data.qvel
        self._bias, self._passive = data.qfrc_bias, data.qfrc_passive

    def force(self, acceleration: Sequence[float]) -> list[float]:
        """Force and torque (N, N m; base axes) for a linear and angular acceleration (m/s², rad/s²) of the site now."""
        model, data = self._world.model, self._world.data
        jacobian, rate, solved = self._jacobian, self._rate, self._solved
        mujoco.mj_jacSite(model, data, *self._jacobians, self._site)
        mujoco.mj_jacDot(model, data, *self._rates, self._position, self._body)
        mujoco.mj_solveM(model, data, solved, jacobian)
        free = acceleration - rate @ self._velocities + solved @ (self._bias - self._passive)
        factor = jacobian @ solved.T
        mujoco.mju_cholFactor(factor, mujoco.mjMINVAL)
        mujoco.mju_cholSolve(self._force, factor, free)
        return self._force.tolist()

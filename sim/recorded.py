"""A recorded episode on the twin's stage: for the console's browser of episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import mujoco
import numpy as np

from hardware.cell import load_cell
from hardware.interfaces import ArmState
from robot_rl.console.recorded import RecordedFrames
from robot_rl.console.snapshot import Scene
from robot_rl.types import Episode
from sim.live import VIEW_PX, VIEWS
from sim.replay import carried_out, posed, reports_of, scene_at_start
from sim.scene import body_poses, scene_of
from sim.tasks.base import TwinTask
from sim.world import RendererUnavailable

CELL = "twin"
ARM_ALONE = "only the arm moves: where its objects went was not recorded"
BLIND = "no pictures: there is no off-screen renderer here"


class TwinStage:
    """Where everything stood at the end of each step. An episode of the twin is carried out again, which moves its
    objects as it did; of any other, or where that comes out differently, the recorded joints are shown."""

    def __init__(self, path: Path, episode: Episode) -> None:
        """Raises ``ValueError`` (one line) for an episode without a robot, or of a task that the twin lacks."""
        reports = reports_of(path, episode)
        self._recorded = RecordedFrames(episode)
        self.note = ""
        seen = None
        if episode.header.initial_state is not None:
            self._twin, states = carried_out(path, episode.header, reports)
            seen = _positions(self._twin, states, [report.arm for report in reports])
        if seen is None:
            self._twin, self.note = scene_at_start(episode.header), ARM_ALONE
            seen = _positions(self._twin, posed(self._twin, reports), None)
        assert seen is not None
        twin, self._seen = self._twin, seen
        self.scene: Scene | None = scene_of(twin.world.model, load_cell(CELL))
        self._data = mujoco.MjData(twin.world.model)

    def body_poses(self, step: int) -> np.ndarray:
        self._put(step)
        return body_poses(self._data)

    def pictures(self, step: int) -> Mapping[str, np.ndarray]:
        """The recorded frames, or where there are none the twin's."""
        if frames := self._recorded.pictures(step):
            return frames
        self._put(step)
        try:
            return {name: self._twin.world.render(name, *VIEW_PX, self._data) for name in VIEWS}
        except RendererUnavailable:
            self.note = BLIND
            return {}

    def close(self) -> None:
        self._twin.world.close()

    def _put(self, step: int) -> None:
        data, model = self._data, self._twin.world.model
        parts = np.split(self._seen[step], [model.nq, model.nq + 3 * model.nmocap])
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = parts[0], parts[1].reshape(-1, 3), parts[2].reshape(-1, 4)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)


def _positions(
    twin: TwinTask, states: Iterator[ArmState], recorded: Sequence[ArmState] | None
) -> list[np.ndarray] | None:
    """Of everything at each state; None as soon as one is not what was ``recorded``."""
    found: list[np.ndarray] = []
    data = twin.world.data
    for index, state in enumerate(states):
        if recorded is not None and state != recorded[index]:
            twin.world.close()
            return None
        found.append(np.concatenate([data.qpos, data.mocap_pos.ravel(), data.mocap_quat.ravel()]))
    return found

"""Scenes with the calibration board: nothing to learn, but what `robot-rl calibrate-camera --sim` looks at.

The board's picture is the one that is printed (:mod:`hardware.charuco`), as a texture.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from hardware.charuco import Board
from hardware.interfaces import Gripper, Pose, RobotObservation, Vector6
from robot_rl.task import TaskSpec
from sim.tasks.base import Setup, TwinTask, pointing_down

_SQUARE_PX, _MARGIN_PX = 60, 20
_SCENE = """
<mujoco model="{name}">
  {room}
  <default>
    <default class="board">
      <geom contype="0" conaffinity="0" group="2" mass="0"/>
    </default>
  </default>
  <asset>
    <texture name="board" type="2d" file="board.png"/>
    <material name="board" texture="board" specular="0" shininess="0"/>
    <mesh name="board" inertia="shell" vertex="{vertices}" texcoord="0 0 1 0 1 1 0 1" face="0 2 1 0 3 2"/>
  </asset>
  <worldbody>
    <body name="board" pos="{position}" quat="{quat}" gravcomp="1">
      <geom class="board" type="mesh" mesh="board" material="board"/>
      <geom class="board" type="box" pos="{middle}" size="{half}" rgba="0.95 0.95 0.95 1"/>
    </body>
  </worldbody>
</mujoco>
"""
_ROOM = '<include file="table.xml"/>'


def _mjcf(name: str, position: str, quat: str, room: str) -> str:
    """A scene of the board. What is drawn is seen from one side; behind it lies a white sheet of 2 mm."""
    (width, height), margin = Board().size_m, Board().square_m * _MARGIN_PX / _SQUARE_PX
    corners = (
        (-margin, -margin),
        (width + margin, -margin),
        (width + margin, height + margin),
        (-margin, height + margin),
    )
    return _SCENE.format(
        name=name,
        room=room,
        position=position,
        quat=quat,
        vertices=" ".join(f"{x} {y} 0" for x, y in corners),
        middle=f"{0.5 * width} {0.5 * height} 0.0015",
        half=f"{0.5 * width + margin} {0.5 * height + margin} 0.001",
    )


class _BoardScene(TwinTask):
    """An arm that stands where its camera sees the board."""

    start: tuple[float, float, float, float]
    start_width_m = 0.0
    start_gripper = Gripper.HOLD

    def __init__(self, meshes: str | None = None) -> None:
        picture = io.BytesIO()
        Image.fromarray(Board().picture(_SQUARE_PX, _MARGIN_PX)).convert("RGB").save(picture, "png")
        self.files = {"board.png": picture.getvalue()}
        super().__init__(meshes)

    def draw(self, rng: np.random.Generator) -> Setup:
        return {"start": list(self.start)}

    def arrange(self) -> None:
        """The board stays where it is."""

    @property
    def task_frame(self) -> Pose:
        x, y, z, yaw = self.start
        return Pose((x, y, z), pointing_down(yaw))

    def success(self, observation: RobotObservation) -> bool:
        return False

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        return (0.0,) * 6, Gripper.HOLD

    def remaining_m(self) -> float:
        return 0.0

    def in_funnel(self) -> bool:
        return True

    def blind_action(self, observation: RobotObservation) -> np.ndarray:
        return np.zeros(self.spec.action_dim, np.float32)


class BoardOnTable(_BoardScene):
    """For the camera on the hand."""

    spec = TaskSpec("board_on_table", "Look at the board from different sides.", max_steps=50, gripper=False)
    scene = _mjcf("board_on_table", "0.31 -0.12 0.003", "0 0.70710678 0.70710678 0", _ROOM)
    start = (0.5, 0.0, 0.26, 0.0)


class BoardInHand(_BoardScene):
    """For the camera in the room."""

    spec = TaskSpec("board_in_hand", "Show the board from different sides.", max_steps=50, gripper=False)
    scene = f'<mujoco model="board_in_hand">{_ROOM}</mujoco>'
    tool = _mjcf("board", "-0.12 0 0.01", "0.70710678 0.70710678 0 0", "")
    start = (0.46, -0.03, 0.25, 0.8)

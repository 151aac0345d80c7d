"""Bodies and a workspace in the page's 3-D scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.console.snapshot import Scene, Shape

if TYPE_CHECKING:
    import viser

MOVED = 1e-5
"""m, or unit of a quaternion's entry: bodies that moved less stay where they are drawn."""
CAMERA_M, LOOK_AT_M = (1.25, 0.45, 0.7), (0.4, 0.3, 0.2)
"""From the front, the arm left of the panel."""


class SceneView:
    """Draws a scene, and moves its bodies."""

    def __init__(self, server: viser.ViserServer, scene: Scene) -> None:
        self._server, self.scene = server, scene
        self._poses = np.full((len(scene.bodies), 7), np.nan)
        self._bodies = [self._add_body(name, shapes) for name, shapes in scene.bodies.items()]
        self._workspace = self._add_workspace()
        server.initial_camera.position, server.initial_camera.look_at = CAMERA_M, LOOK_AT_M

    def move(self, poses: np.ndarray) -> None:
        """``poses``: float64 (bodies, 7), position (m) and quaternion wxyz in the base frame."""
        for index in np.flatnonzero(~(np.abs(poses - self._poses) < MOVED).all(axis=1)):
            self._bodies[index].position, self._bodies[index].wxyz = poses[index, :3], poses[index, 3:]
        self._poses = poses

    def remove(self) -> None:
        for node in (*self._bodies, self._workspace):
            node.remove()

    def _add_body(self, name: str, shapes: tuple[Shape, ...]) -> Any:
        frame = self._server.scene.add_frame(f"/body/{name}", show_axes=False)
        for index, shape in enumerate(shapes):
            self._server.scene.add_mesh_simple(
                f"/body/{name}/{index}",
                shape.vertices_m,
                shape.faces,
                color=shape.rgb,
                opacity=shape.opacity if shape.opacity < 1.0 else None,
                flat_shading=True,
            )
        return frame

    def _add_workspace(self) -> Any:
        low, high = np.array(self.scene.workspace_min_m), np.array(self.scene.workspace_max_m)
        return self._server.scene.add_box(
            "/workspace",
            color=(37, 99, 184),
            dimensions=tuple(high - low),
            position=0.5 * (low + high),
            wireframe=True,
        )

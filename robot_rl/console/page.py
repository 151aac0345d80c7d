"""The page: a viser server with the scene, the pictures and the meters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware.geometry import wxyz_from_xyzw
from hardware.interfaces import CameraFrame
from robot_rl.console.controls import KEYS_NOTE, Controls
from robot_rl.console.door import Address, Door, guarding
from robot_rl.console.snapshot import Scene, Snapshot
from robot_rl.console.words import action_bars, status, success_curve

if TYPE_CHECKING:
    import viser

MOVED = 1e-5
"""m, or unit of a quaternion's entry: bodies that moved less stay where they are drawn."""
CAMERA_M, LOOK_AT_M = (1.25, 0.45, 0.7), (0.4, 0.3, 0.2)
"""From the front, the arm left of the panel."""
ACCEPTED, PROPOSED = "/target/accepted", "/target/proposed"


def start_server(address: Address) -> viser.ViserServer:
    """A viser server that only those whom the door lets in can reach. Raises ``ValueError`` for an address that others
    reach without a token, and where viser is not installed."""
    try:
        import viser
    except ImportError:
        raise ValueError("the console needs an extra: pip install 'robot-rl[console]'") from None
    with guarding(Door(address.host, address.token)), redirect_stdout(sys.stderr):  # viser prints a banner.
        server = viser.ViserServer(address.host, address.port, label="robot_rl console", verbose=False)
    server.gui.configure_theme(show_share_button=False, control_width="large")
    return server


class Page:
    """Shows snapshots and hands on what the person asks for."""

    def __init__(
        self,
        server: viser.ViserServer,
        scene: Scene,
        ask: Callable[..., None],
        sounds: bool = True,
        episodes: Path | None = None,
    ) -> None:
        """``ask``: told of each wish, its name and arguments (:class:`robot_rl.console.hand.BrowserHand`).
        ``episodes``: the folder of recorded episodes to browse."""
        self.server = server
        self._poses = np.full((len(scene.bodies), 7), np.nan)
        self._bodies = [self._add_body(name, shapes) for name, shapes in scene.bodies.items()]
        self._targets = {
            name: server.scene.add_frame(name, axes_length=length, axes_radius=0.002, visible=False)
            for name, length in ((ACCEPTED, 0.06), (PROPOSED, 0.04))
        }
        self._add_workspace(scene)
        self.tabs = server.gui.add_tab_group()
        with self.tabs.add_tab("Run"):
            self._status = server.gui.add_html("<div id='status'>waiting for the robot</div>")
            self._controls = Controls(server, ask, sounds)
            self._pictures = server.gui.add_folder("Cameras")
            self._images: dict[str, Any] = {}
            with server.gui.add_folder("Action"):
                self._actions = server.gui.add_html("")
            self._curve = self._add_curve()
            server.gui.add_markdown(KEYS_NOTE)
        self._episodes = 0
        server.initial_camera.position, server.initial_camera.look_at = CAMERA_M, LOOK_AT_M

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self.server.get_clients())

    # -- showing -----------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Bring scene and words up to date."""
        with self.server.atomic():
            self._move_bodies(snapshot.body_poses)
            for name, pose in ((ACCEPTED, snapshot.accepted), (PROPOSED, snapshot.proposed)):
                frame = self._targets[name]
                frame.visible = pose is not None
                if pose is not None:
                    frame.position, frame.wxyz = pose.position_m, wxyz_from_xyzw(pose.quat_xyzw)
            self._controls.show(snapshot.hand)
        self._status.content = status(snapshot)
        self._actions.content = action_bars(snapshot)
        if len(snapshot.outcomes) != self._episodes:
            self._episodes = len(snapshot.outcomes)
            self._curve.data = success_curve(snapshot.outcomes)

    def show_frames(self, frames: Mapping[str, CameraFrame], now: float) -> None:
        """Bring pictures up to date; ``now`` by the clock of their stamps."""
        for name, frame in frames.items():
            if name not in self._images:
                with self._pictures:
                    self._images[name] = self.server.gui.add_image(frame.image, label=name)
            self._images[name].image = frame.image
            self._images[name].label = f"{name} · {1000 * (now - frame.stamp_s):.0f} ms old"

    def _move_bodies(self, poses: np.ndarray) -> None:
        for index in np.flatnonzero(~(np.abs(poses - self._poses) < MOVED).all(axis=1)):
            self._bodies[index].position, self._bodies[index].wxyz = poses[index, :3], poses[index, 3:]
        self._poses = poses

    # -- building ----------------------------------------------------------------------------------------------------

    def _add_body(self, name: str, shapes: Any) -> Any:
        frame = self.server.scene.add_frame(f"/body/{name}", show_axes=False)
        for index, shape in enumerate(shapes):
            self.server.scene.add_mesh_simple(
                f"/body/{name}/{index}",
                shape.vertices_m,
                shape.faces,
                color=shape.rgb,
                opacity=shape.opacity if shape.opacity < 1.0 else None,
                flat_shading=True,
            )
        return frame

    def _add_workspace(self, scene: Scene) -> None:
        low, high = np.array(scene.workspace_min_m), np.array(scene.workspace_max_m)
        centre, size = 0.5 * (low + high), high - low
        self.server.scene.add_box(
            "/workspace", color=(37, 99, 184), dimensions=tuple(size), position=centre, wireframe=True
        )

    def _add_curve(self) -> Any:
        import viser.uplot

        series: tuple[Any, ...] = (
            viser.uplot.Series(label="episode"),
            viser.uplot.Series(label="success unaided, last 20", stroke="#2563b8", width=2),
            viser.uplot.Series(label="95 % low", stroke="#93b4e0"),
            viser.uplot.Series(label="high", stroke="#93b4e0"),
        )
        scales = {"x": viser.uplot.Scale(time=False), "y": viser.uplot.Scale(range=(0.0, 1.0))}
        empty = tuple(np.zeros(0) for _ in series)
        with self.server.gui.add_folder("Success"):
            return self.server.gui.add_uplot(empty, series, scales=scales, aspect=2.0)

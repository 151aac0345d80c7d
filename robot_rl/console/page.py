"""The page: a viser server with the scene, the pictures, the meters, the buttons and the keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware.geometry import wxyz_from_xyzw, xyzw_from_wxyz
from hardware.interfaces import CameraFrame
from robot_rl.console.door import Address, Door, guarding
from robot_rl.console.hand import Verdict
from robot_rl.console.snapshot import Scene, Snapshot
from robot_rl.console.words import AXES, action_bars, status, success_curve

if TYPE_CHECKING:
    import viser

MOVED = 1e-5
"""m, or unit of a quaternion's entry: bodies that moved less stay where they are drawn."""
CAMERA_M, LOOK_AT_M = (1.25, 0.45, 0.7), (0.4, 0.3, 0.2)
"""From the front, the arm left of the panel."""
ACCEPTED, PROPOSED = "/target/accepted", "/target/proposed"
JOG_KEYS = {"I": (0, 1.0), "K": (0, -1.0), "J": (1, 1.0), "L": (1, -1.0), "U": (2, 1.0), "O": (2, -1.0)}
"""Key → axis (x, y, z of the base) and direction; with shift they turn about it. W A S D Q E fly viser's camera."""
KEYS_NOTE = (
    "**Keys** I K forward, back · J L left, right · U O up, down · with shift: turn · G gripper. A key jogs for a "
    "moment; hold it to go on. Or drag the arrows at the hand."
)
WISHES = {
    "Take over": "take_over", "Hand back": "hand_back", "Hold": "hold", "Resume": "resume", "Gripper": "gripper",
}  # fmt: skip
BUTTONS = {"Control": ("Take over", "Hand back"), "Robot": ("Hold", "Resume")}
VERDICTS: tuple[Verdict, ...] = ("success", "failure", "discard", "reset")
HOTKEYS = {
    "Take over": "T", "Hand back": "B", "Hold": "space", "Resume": "enter",
    "Success": "Y", "Failure": "N", "Discard": "X", "Reset": "R", "Gripper": "G",
}  # fmt: skip


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
        self, server: viser.ViserServer, scene: Scene, ask: Callable[..., None], episodes: Path | None = None
    ) -> None:
        """``ask``: told of each wish, its name and arguments (:class:`robot_rl.console.hand.BrowserHand`).
        ``episodes``: the folder of recorded episodes to browse."""
        self.server, self.ask = server, ask
        self._driver: int | None = None
        self._dragging = False
        self._poses = np.full((len(scene.bodies), 7), np.nan)
        self._bodies = [self._add_body(name, shapes) for name, shapes in scene.bodies.items()]
        self._targets = {
            name: server.scene.add_frame(name, axes_length=length, axes_radius=0.002, visible=False)
            for name, length in ((ACCEPTED, 0.06), (PROPOSED, 0.04))
        }
        self._add_workspace(scene)
        self._gizmo = server.scene.add_transform_controls("/hand", scale=0.2, depth_test=False)
        self._gizmo.on_update(self._on_gizmo)
        self.tabs = server.gui.add_tab_group()
        with self.tabs.add_tab("Run"):
            self._status = server.gui.add_html("<div id='status'>waiting for the robot</div>")
            self._add_buttons()
            self._pictures = server.gui.add_folder("Cameras")
            self._images: dict[str, Any] = {}
            with server.gui.add_folder("Action"):
                self._actions = server.gui.add_html("")
            self._curve = self._add_curve()
            server.gui.add_markdown(KEYS_NOTE)
        self._episodes = 0
        server.on_client_disconnect(self._on_leave)
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
            if not self._dragging:
                hand = snapshot.hand
                self._gizmo.position, self._gizmo.wxyz = hand.position_m, wxyz_from_xyzw(hand.quat_xyzw)
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

    def _add_buttons(self) -> None:
        ask, gui = self.ask, self.server.gui
        wishes: dict[str, Callable[[], None]] = {
            **{name: partial(ask, wish) for name, wish in WISHES.items()},
            **{verdict.capitalize(): partial(ask, "judge", verdict) for verdict in VERDICTS},
        }
        rows = {**BUTTONS, "Episode": tuple(verdict.capitalize() for verdict in VERDICTS)}
        for label, names in rows.items():
            gui.add_button_group(label, names).on_click(self._asked(lambda event: wishes[event.target.value]()))
        for name, key in HOTKEYS.items():
            self._add_key(name, key, None, wishes[name])
        for key, (axis, direction) in JOG_KEYS.items():
            self._add_key(f"Move {AXES[axis]} {direction:+.0f}", key, None, partial(ask, "jog", axis, direction))
            about = axis + 3
            self._add_key(f"Turn {AXES[about]} {direction:+.0f}", key, "shift", partial(ask, "jog", about, direction))
        speed = self.server.gui.add_slider("Jog speed", 0.1, 1.0, 0.1, 0.5)

        @speed.on_update
        async def _(_: object) -> None:
            ask("set_speed", float(speed.value))

    def _add_key(self, name: str, key: str, modifier: str | None, wish: Callable[[], None]) -> None:
        command = self.server.gui.add_command(name, hotkey=key, modifier=modifier)  # type: ignore[arg-type]
        command.on_trigger(self._asked(lambda _: wish()))

    def _asked(self, wish: Callable[[Any], None]) -> Callable[[Any], Any]:
        """A callback, run in order on the server's loop, that remembers who asked."""

        async def asked(event: Any) -> None:
            self._driver = event.client_id
            wish(event)

        return asked

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

    # -- the person --------------------------------------------------------------------------------------------------

    async def _on_gizmo(self, event: Any) -> None:
        self._driver = event.client_id
        self._dragging = event.phase != "end"
        position, wxyz = event.target.position.tolist(), event.target.wxyz.tolist()
        self.ask("pull", position, xyzw_from_wxyz(tuple(wxyz)))

    def _on_leave(self, client: Any) -> None:
        if client.client_id == self._driver:
            self._dragging = False
            self.ask("gone")

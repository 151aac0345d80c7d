"""The page: a viser server with the scene, the pictures and the meters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware.geometry import wxyz_from_xyzw
from hardware.interfaces import CameraFrame
from robot_rl.command import say
from robot_rl.console.controls import KEYS_NOTE, WATCHING_NOTE, Controls
from robot_rl.console.door import Address, Door, guarding
from robot_rl.console.episodes_tab import EpisodesTab
from robot_rl.console.recorded import Staging
from robot_rl.console.scene_view import SceneView
from robot_rl.console.snapshot import Scene, Snapshot
from robot_rl.console.words import action_bars, status, success_curve

if TYPE_CHECKING:
    import viser

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
        staging: Staging | None = None,
        drives: bool = True,
    ) -> None:
        """``ask``: told of each wish, its name and arguments (:class:`robot_rl.console.hand.BrowserHand`).
        ``episodes``: the folder of recorded episodes to browse; ``staging`` draws those without cameras. ``drives``:
        whether the page may move the arm."""
        self.server = server
        self._scene = SceneView(server, scene)
        self._targets = {
            name: server.scene.add_frame(name, axes_length=length, axes_radius=0.002, visible=False)
            for name, length in ((ACCEPTED, 0.06), (PROPOSED, 0.04))
        }
        tabs = server.gui.add_tab_group()
        with tabs.add_tab("Run"):
            self._status = server.gui.add_html("<div id='status'>waiting for the robot</div>")
            self._controls = Controls(server, ask, sounds, drives)
            self._pictures = server.gui.add_folder("Cameras")
            self._images: dict[str, Any] = {}
            with server.gui.add_folder("Action"):
                self._actions = server.gui.add_html("")
            self._curve = self._add_curve()
            server.gui.add_markdown(KEYS_NOTE if drives else WATCHING_NOTE)
        self._episodes = 0
        if episodes is not None:
            with tabs.add_tab("Episodes"):
                EpisodesTab(server, episodes, staging)

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self.server.get_clients())

    # -- showing -----------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Bring scene and words up to date."""
        with self.server.atomic():
            self._scene.move(snapshot.body_poses)
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


def browse(folder: Path, address: Address, staging: Staging | None) -> None:
    """Serve a page of the episodes in ``folder`` until Ctrl-C."""
    server = start_server(address)
    with server.gui.add_tab_group().add_tab("Episodes"):
        tab = EpisodesTab(server, folder, staging, in_scene=True)
    say(f"episodes: {replace(address, port=server.get_port()).url} (Ctrl-C ends it)")
    with suppress(KeyboardInterrupt):
        server.sleep_forever()
    tab.close()
    server.stop()

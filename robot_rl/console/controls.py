"""The person's side of the page: buttons, keys and the gizmo at the hand, and whose tab it is that drives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hardware.geometry import wxyz_from_xyzw, xyzw_from_wxyz
from hardware.interfaces import Pose
from robot_rl.console.hand import Verdict
from robot_rl.console.words import AXES

if TYPE_CHECKING:
    import viser

JOG_KEYS = {"I": (0, 1.0), "K": (0, -1.0), "J": (1, 1.0), "L": (1, -1.0), "U": (2, 1.0), "O": (2, -1.0)}
"""Key → axis (x, y, z of the base) and direction; with shift they turn about it. W A S D Q E fly viser's camera."""
WISHES = {
    "Take over": "take_over", "Hand back": "hand_back", "Hold": "hold", "Arm": "resume", "Gripper": "gripper",
}  # fmt: skip
BUTTONS = {"Control": ("Take over", "Hand back", "Gripper"), "Robot": ("Hold", "Arm")}
WATCHING = {"Robot": ("Hold",)}
"""The buttons where the page does not drive."""
VERDICTS: tuple[Verdict, ...] = ("success", "failure", "discard", "reset")
HOTKEYS = {
    "Take over": "T", "Hand back": "B", "Hold": "space", "Arm": "enter",
    "Success": "Y", "Failure": "N", "Discard": "X", "Reset": "R", "Gripper": "G",
}  # fmt: skip
KEYS_NOTE = (
    "**Drive** I K forward, back · J L left, right · U O up, down · with shift: turn · G gripper. Hold a key, or drag "
    "the arrows at the hand and hold them.\n\n"
    "**Decide** T take over · B hand back · space hold · enter arm again · Y success · N failure · X discard · R reset"
)
WATCHING_NOTE = (
    "The device beside the arm drives it, begins episodes and clears stops. Here: space hold · Y success · N failure · "
    "X discard · R reset"
)
ALIVE_KEY: Final = "insert"
"""What a tab presses by itself to say that it runs."""
GIZMO_M = 0.2


class Controls:
    """Hands on what the person asks for, and says whether the tab that drives is there."""

    def __init__(
        self, server: viser.ViserServer, ask: Callable[..., None], sounds: bool = True, drives: bool = True
    ) -> None:
        """``ask``: told of each wish, its name and arguments (:class:`robot_rl.console.hand.BrowserHand`).
        ``drives``: whether the page may move the arm."""
        self.server, self.ask = server, ask
        self._driver: int | None = None
        self._held: tuple[Any, ...] | None = None
        self._gizmo: Any = None
        self._add_script(sounds)
        self._add_buttons(BUTTONS if drives else WATCHING)
        if drives:
            self._add_driving()

    def show(self, hand: Pose) -> None:
        """Bring the gizmo to the hand, unless somebody drags it."""
        if self._gizmo is not None and self._held is None:
            self._gizmo.position, self._gizmo.wxyz = hand.position_m, wxyz_from_xyzw(hand.quat_xyzw)

    def _add_script(self, sounds: bool) -> None:
        values = {"ALIVE": ALIVE_KEY, "JOGS": list(JOG_KEYS), "SOUNDS": sounds}
        script = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
        for name, value in values.items():
            script = script.replace(name, json.dumps(value))
        # viser has no way to add a script; an event handler within HTML is one.
        self.server.gui.add_html(f'<img hidden alt="" src="data:," onerror="{escape(script)}">')

    def _add_buttons(self, buttons: Mapping[str, tuple[str, ...]]) -> None:
        wishes: dict[str, Callable[[], None]] = {
            verdict.capitalize(): partial(self.ask, "judge", verdict) for verdict in VERDICTS
        }
        rows = {**buttons, "Episode": tuple(wishes)}
        wishes |= {name: partial(self.ask, wish) for name, wish in WISHES.items()}
        for label, names in rows.items():
            self.server.gui.add_button_group(label, names).on_click(
                self._asked(lambda event: wishes[event.target.value]())
            )
            for name in names:
                self._add_key(name, HOTKEYS[name], None, wishes[name])

    def _add_driving(self) -> None:
        ask, gui = self.ask, self.server.gui
        self._gizmo = self.server.scene.add_transform_controls("/hand", scale=GIZMO_M, depth_test=False)
        self._gizmo.on_update(self._on_gizmo)
        self.server.on_client_disconnect(self._on_leave)
        for key, (axis, direction) in JOG_KEYS.items():
            self._add_key(f"Move {AXES[axis]} {direction:+.0f}", key, None, partial(ask, "jog", axis, direction))
            about = axis + 3
            self._add_key(f"Turn {AXES[about]} {direction:+.0f}", key, "shift", partial(ask, "jog", about, direction))
        gui.add_command("I am here", description="The page says so by itself.", hotkey=ALIVE_KEY).on_trigger(
            self._on_alive
        )
        speed = gui.add_slider("Jog speed", 0.1, 1.0, 0.1, 0.5)

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

    async def _on_alive(self, event: Any) -> None:
        if event.client_id == self._driver:
            self.ask("alive")
            if self._held is not None:
                self.ask("pull", *self._held)

    async def _on_gizmo(self, event: Any) -> None:
        self._driver = event.client_id
        position, wxyz = event.target.position.tolist(), event.target.wxyz.tolist()
        pose = position, xyzw_from_wxyz(tuple(wxyz))
        self._held = None if event.phase == "end" else pose
        self.ask("pull", *pose)

    def _on_leave(self, client: Any) -> None:
        if client.client_id == self._driver:
            self._held = None
            self.ask("gone")

"""The questions of ``robot-rl setup-cell``, in order, and the table that their answers make.

The table begins as a copy of a cell that is like it; what nothing asks for stays as it is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hardware import cell_answers as answers
from hardware import found_devices
from hardware.arm_in_hand import EVERYWHERE, HELP, ArmInHand, arm_in_hand
from hardware.arm_model import load_arm_model
from hardware.cameras.grabbing import cut, first_picture
from hardware.cell import Cell, Workspace
from hardware.crop_page import write_crop_page
from hardware.device_settings import CameraSettings, ControllerSettings
from hardware.devices import Devices, devices_of
from hardware.drivers import ARMS
from hardware.geometry import IDENTITY_POSE
from hardware.interfaces import Vector3
from hardware.kinematics import Joint
from hardware.questions import Questions, say
from hardware.toml_dataclass import from_table

AROUND_M = 0.10
"""Half of the box that is proposed around home."""
_OVER_TABLE_M = 0.01
_TOUCHED_N = 1.0
_CAMERA_NAMES = ("wrist", "front", "side", "top")


class CellWizard:
    """Asks, and holds the table as far as it has come."""

    def __init__(self, questions: Questions, like: Mapping[str, Any], folder: Path, stills: Path) -> None:
        """``like``: table of the cell to begin from. ``folder``: of the twin that runs, where ``like`` is one's.
        ``stills``: what the pictures' paths begin with; its name is proposed for the cell."""
        self.questions, self.ask, self._folder, self._stills = questions, questions.ask, folder, stills
        self.table = dict(like)
        self.pictures: list[str] = []
        """Written so far."""
        self._controller = {key: value for key, value in like.get("controller", {}).items() if key != "wrench_bias"}
        self._twin = "devices" in like
        """A function of its own makes its devices: there is nothing to find."""

    def run(self) -> dict[str, Any]:
        """All questions. Raises ``ValueError`` where nobody can be asked again, ``ConnectionError`` without an arm."""
        table = self.table
        table["name"] = self.ask("name", "name of the cell", answers.cell_name, self._stills.name)
        if not self._twin:
            arm = self.ask("arm", "arm", lambda text: answers.one_of(text, ARMS), table["arm"])
            if arm != table["arm"]:
                table.update(arm=arm, home_joint_positions_rad=[])
            self._controller["address"] = self.ask(
                "address", "address of its controller", str, self._controller.get("address", "")
            )
            question = "mounted beyond the vendor's gripper: kg, and the centre of it from the flange, x y z m"
            self._controller.update(self.ask("payload", question, answers.payload, "0 0 0 0"))
        table["controller"] = self._controller
        self._ask_table()
        self._choose_cameras()
        self._choose_teleop()
        for name, settings in table["cameras"].items():
            self._crop(name, settings)
        self._measure_arm()
        self.questions.finish()
        return table

    def _ask_table(self) -> None:
        planes = dict(self.table.get("planes", {}))
        before = planes.get("table", {}).get("offset_m", 0.0)
        question = "height of the table's top over the arm's base, m"
        self._table_m = self.ask("table-m", question, lambda text: answers.numbers(text, 1)[0], f"{before:g}")
        planes["table"] = {"normal": [0.0, 0.0, 1.0], "offset_m": self._table_m}
        self.table["planes"] = planes

    # -- devices -----------------------------------------------------------------------------------------------------

    def _choose_cameras(self) -> None:
        own = self.table.get("cameras", {})
        if self._twin:
            proposal = " ".join(self._answering(own))
        else:
            found = found_devices.told("camera", *found_devices.cameras())
            proposal = " ".join(f"{name}={device.name}" for name, device in zip(_CAMERA_NAMES, found, strict=False))
        question = "cameras, each as NAME=realsense:SERIAL or NAME=uvc:PATH; or none"
        self.table["cameras"] = self.ask(
            "cameras", question, lambda text: answers.cameras(text, own), proposal or "none"
        )

    def _choose_teleop(self) -> None:
        found = found_devices.told("teleop device", *found_devices.teleops())
        made_for_it = [device.name for device in found if device.driver != "evdev"]  # A pedal is one of those too.
        proposal = "none" if self._twin else made_for_it[0] if made_for_it else "keyboard"
        question = "teleop device: spacemouse, gamepad, evdev, keyboard, none; of several DEVICE:PATH"
        device, path = self.ask("teleop", question, answers.teleop, proposal)
        self.table["teleop"] = {**self.table.get("teleop", {}), "device": device, "path": path}

    def _answering(self, cameras: Mapping[str, Any]) -> Iterator[str]:
        for name, camera in self._devices(cameras).cameras.items():
            try:
                camera.connect()
            except (ConnectionError, RuntimeError) as error:  # The twin may have no renderer.
                say(f"  without camera {name}: {error}")
                continue
            camera.close()
            yield name

    def _crop(self, name: str, settings: dict[str, Any]) -> None:
        before = from_table(CameraSettings, settings, f"cameras.{name}")
        width, height = before.capture_px
        picture = self._still(name, {**settings, "crop_px": [0, 0, width, height]})
        if picture is not None:
            self.pictures.append(page := write_crop_page(f"{self._stills}_{name}.png", before))
            say(f"  to drag a frame on it, in a web browser: {page}")
        question = f"{name}: what to keep of {width} x {height} px: left,top,width,height"
        proposal = ",".join(map(str, before.crop))
        settings["crop_px"] = self.ask(f"crops {name}", question, lambda text: answers.crop(text, settings), proposal)
        if picture is not None:
            kept = from_table(CameraSettings, settings, f"cameras.{name}")
            self._save(cut(picture, kept), f"{name}_kept")

    def _still(self, name: str, settings: dict[str, Any]) -> np.ndarray | None:
        """All that a camera sees, saved; None where it cannot be had, which is no reason to stop."""
        width, height = settings["crop_px"][2:]
        whole = {**settings, "width_px": width, "height_px": height}
        try:
            camera = self._devices({name: whole}).cameras[name]
            picture = first_picture(camera)
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            say(f"  no still of {name}: {error}")
            return None
        say(f"  still of {name}: {self._save(picture, name)}")
        return picture

    def _save(self, picture: np.ndarray, name: str) -> str:
        self.pictures.append(path := f"{self._stills}_{name}.png")
        Image.fromarray(picture).save(path)
        return path

    # -- the arm -----------------------------------------------------------------------------------------------------

    def _measure_arm(self) -> None:
        """Home, the wrench felt there, and the box. The arm is connected only where one of them needs it."""
        with ExitStack() as stack:
            hand = None
            if not all(self.questions.answered(option) for option in ("home", "corners", "wrench-bias")):
                try:
                    cell = replace(self._cell({}), workspace=EVERYWHERE)
                    hand = stack.enter_context(arm_in_hand(cell, self._devices({})))
                except ConnectionError as error:
                    how = "to go on without it give --home, --wrench-bias and --corners"
                    raise ConnectionError(f"{error}; {how}") from None
                say(HELP)
            home = self._home(hand)
            self.table["home_joint_positions_rad"] = home
            question = "let go of the arm; `zero` takes off what it feels then, or give six numbers, N and Nm"
            bias = self.ask("wrench-bias", question, lambda text: self._bias(text, hand), "zero")
            self._controller["wrench_bias"] = bias
            box = self._box(hand, home)
        self.table["workspace"] = {"min_m": list(box.min_m), "max_m": list(box.max_m)}

    def _home(self, hand: ArmInHand | None) -> list[float]:
        joints = load_arm_model(self.table["arm"]).joints
        question = f"home: bring the arm there, then `here`; or {len(joints)} joint angles, rad"
        while (home := self.ask("home", question, lambda text: _home_joints(text, hand, joints), "here")) is None:
            pass
        return [round(angle, 4) + 0.0 for angle in home]  # No -0.0.

    def _bias(self, text: str, hand: ArmInHand | None) -> list[float]:
        if text != "zero":
            bias = answers.numbers(text, 6)
        else:
            wrench, spread_n = _connected(hand).wrench_at_rest()
            if spread_n > _TOUCHED_N:
                raise ValueError(f"the force wanders by {spread_n:.1f} N: something touches the arm; once more")
            bias = [round(value, 3) + 0.0 for value in wrench]
        from_table(ControllerSettings, {"wrench_bias": bias}, "at rest")
        say(f"  taken off from now on: {bias[:3]} N, {bias[3:]} Nm")
        return bias

    def _box(self, hand: ArmInHand | None, home: Sequence[float]) -> Workspace:
        at = load_arm_model(self.table["arm"]).chain(IDENTITY_POSE).frames(home)[-1].origin
        corners: list[Vector3] = []
        box = None
        if not self.questions.answered("corners"):
            say(
                "Workspace, a box: bring the fingertips to a corner, then `here`; again at the corner that faces it; "
                f"then `done`. Or `around`: {100 * AROUND_M:g} cm about home. Or six numbers: least x y z, greatest, m."
            )
        while box is None:
            question = f"workspace ({len(corners)} corners)"
            proposal = "around" if not corners else "done" if len(corners) > 1 else "here"
            box = self.ask("corners", question, lambda text: self._corner(text, hand, at, corners), proposal)
        return box

    def _corner(self, text: str, hand: ArmInHand | None, home: Vector3, corners: list[Vector3]) -> Workspace | None:
        """The box, where ``text`` completes it."""
        if text == "around":
            x, y, z = home
            floor = max(z - AROUND_M, self._table_m + _OVER_TABLE_M)
            low, high = (x - AROUND_M, y - AROUND_M, floor), (x + AROUND_M, y + AROUND_M, z + AROUND_M)
            return answers.spanned([low, high], home)
        if text == "done":
            return answers.spanned(corners, home)
        if text == "here":
            corners.append(_connected(hand).position_m)
        elif text[:1].isalpha():
            _connected(hand).obey(text)
        else:
            values = answers.numbers(text, 6)
            return answers.spanned([values[:3], values[3:]], home)
        return None

    # -- the cell so far ---------------------------------------------------------------------------------------------

    def _cell(self, cameras: Mapping[str, Any]) -> Cell:
        return from_table(Cell, {**self.table, "cameras": cameras}, self.table["name"])

    def _devices(self, cameras: Mapping[str, Any]) -> Devices:
        return devices_of(self._cell(cameras), self._folder)


def _home_joints(text: str, hand: ArmInHand | None, joints: Sequence[Joint]) -> Sequence[float] | None:
    """Joint angles; None where ``text`` moved the arm instead."""
    if text == "here":
        return _connected(hand).joint_positions_rad
    if text[:1].isalpha():
        _connected(hand).obey(text)
        return None
    return answers.joint_angles(text, joints)


def _connected(hand: ArmInHand | None) -> ArmInHand:
    if hand is None:
        raise ValueError("the arm is not connected, since all of it was answered: numbers")
    return hand

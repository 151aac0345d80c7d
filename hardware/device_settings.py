"""What a cell file says of its devices: cameras, the person's device, the arm's controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import hypot

from hardware.camera_geometry import Extrinsics, Intrinsics
from hardware.interfaces import ZERO6, Vector3, Vector6
from hardware.toml_dataclass import nearest, number

AXES = ("x", "y", "z", "roll", "pitch", "yaw")
SIGNED_AXES = frozenset(sign + axis for axis in AXES for sign in ("", "-"))
MAX_BIAS_N, MAX_BIAS_NM = 10.0, 3.0
"""A greater bias would hide from the guard what it must feel (S8)."""
BUTTONS = frozenset({"", "takeover", "gripper", "open", "close", "success", "failure", "enable"})


def _count(default: int, minimum: int = 1, maximum: int = 4096) -> int:
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """One camera of the cell."""

    driver: str = ""
    """``realsense`` or ``uvc``; empty where the cell's ``devices`` function makes the cameras, as in the twin."""
    serial: str = ""
    """RealSense: serial number of the device. The name in the cell file goes with it, whatever the port."""
    path: str = ""
    """UVC: a stable path, ``/dev/v4l/by-id/...`` (or by-path, for two cameras without serial numbers)."""
    width_px: int = _count(128)
    height_px: int = _count(128)
    """What a reader gets, after ``crop_px``."""
    capture_px: tuple[int, int] = (640, 480)
    """Width and height that the device is asked for. More only costs USB bandwidth."""
    crop_px: tuple[int, ...] = ()
    """Left, top, width, height within the captured picture; empty: the largest centred part of the reader's shape."""
    frames_per_s: float = number(30.0, 1.0, 240.0)
    max_age_s: float = number(0.2, 0.01, 5.0)
    """An older newest frame is an error to the reader."""
    exposure_us: float = number(0.0, 0.0, 1e6)
    """Fixed exposure; 0 leaves it automatic, whose brightness follows whatever moves through the picture."""
    depth: bool = False
    """RealSense: depth too, aligned to the colour picture."""
    extrinsics: Extrinsics | None = None
    """Where the camera is; `robot-rl calibrate-camera` finds it. None: not known."""
    intrinsics: Intrinsics | None = None
    """How the captured picture maps, where the driver does not know; None: it does, or nobody does."""

    def __post_init__(self) -> None:
        if self.crop_px and len(self.crop_px) != 4:
            raise ValueError(f"crop_px has {len(self.crop_px)} entries; it must have 4: left, top, width, height")
        if any(size < 1 for size in self.capture_px):
            raise ValueError(f"capture_px is {list(self.capture_px)}; both must be at least 1")
        left, top, width, height = self.crop
        inside = min(left, top) >= 0 and min(width, height) >= 1
        if not inside or left + width > self.capture_px[0] or top + height > self.capture_px[1]:
            raise ValueError(
                f"crop_px {[left, top, width, height]} does not fit into the captured {self.capture_px[0]} x "
                f"{self.capture_px[1]}; it is left, top, width, height"
            )

    def lens(self, own: Intrinsics | None) -> Intrinsics | None:
        """How the picture that a reader gets maps. ``own``: what the driver knows of the captured one; where it knows
        nothing, ``intrinsics`` tell, and where nobody does, None."""
        captured = own or self.intrinsics
        return None if captured is None else captured.cut(self.crop, (self.width_px, self.height_px))

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Left, top, width, height of what is kept of the captured picture."""
        if self.crop_px:
            left, top, width, height = self.crop_px
            return left, top, width, height
        full_width, full_height = self.capture_px
        width = min(full_width, full_height * self.width_px // self.height_px)
        height = min(full_height, full_width * self.height_px // self.width_px)
        return (full_width - width) // 2, (full_height - height) // 2, width, height


@dataclass(frozen=True, slots=True)
class TeleopSettings:
    """How a person takes over."""

    device: str = "none"
    """``none``, ``spacemouse``, ``gamepad``, ``keyboard`` (the terminal's) or ``evdev`` (this computer's)."""
    path: str = ""
    """Which one, where there are several: its device file. Empty: the only one there is."""
    release_s: float = number(0.2, 0.0, 5.0)
    """The person still drives this long after the last takeover sample: a short pause of the hand is no release."""
    enable_switch: bool = False
    """The device has an enable switch, and only while it is pressed may the arm move (S15)."""
    dead_band: float = number(0.08, 0.0, 0.9)
    """Deflections below this share of the full one are none: no SpaceMouse rests at exactly zero."""
    scale: float = number(1.0, 0.05, 1.0)
    """Share of the task's full rate that a full deflection asks for."""
    yaw_rad: float = number(0.0, -3.2, 3.2)
    """Where the device's forward points, about the vertical of the arm's base: 0 is the base's x, away from the arm."""
    axes: tuple[str, ...] = AXES
    """Which axis of the device (x forward, y left, z up) moves the arm's x, y, z, roll, pitch, yaw; ``-y`` reverses."""
    buttons: tuple[str, ...] = ("gripper", "takeover")
    """What each button does, in the device's order: takeover, gripper (toggles), open, close, success, failure, enable.
    An empty string: nothing."""
    jog_s: float = number(0.12, 0.02, 0.5)
    """Keyboard: how long one key stroke moves the arm. A terminal tells of strokes, not of keys held (S13)."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Evdev: what each key does while it is held, an axis or what a button may do, as ``up = "x"``. Empty: as in a
    terminal (:data:`hardware.teleop.evdev_keys.KEYS`)."""
    grab: bool = False
    """Evdev: its keys, and the pedal's, reach nobody else on this computer. Without it what is typed into any window
    moves the arm."""
    pedal: str = ""
    """A foot pedal beside the device: its stable path, ``/dev/input/by-id/...-event-kbd``."""
    pedal_keys: Mapping[str, str] = field(default_factory=dict)
    """What each key of the pedal does, as buttons do: ``b = "takeover"``."""

    def __post_init__(self) -> None:
        if len(self.axes) != len(AXES):
            raise ValueError(f"axes has {len(self.axes)} entries; it must have {len(AXES)}: {', '.join(AXES)}")
        for axis in self.axes:
            if axis not in SIGNED_AXES:
                raise ValueError(f"axes holds {axis!r}; {nearest(axis, SIGNED_AXES)}")
        for button in self.buttons:
            if button not in BUTTONS:
                raise ValueError(f"buttons holds {button!r}; {nearest(button, BUTTONS - {''})}")
        for name, does, allowed in (
            ("keys", self.keys, SIGNED_AXES | BUTTONS),
            ("pedal_keys", self.pedal_keys, BUTTONS),
        ):
            for key, action in does.items():
                if action not in allowed - {""}:
                    raise ValueError(f"{name}.{key} is {action!r}; {nearest(action, allowed - {''})}")
        if self.pedal and not self.pedal_keys:
            raise ValueError("pedal needs pedal_keys that say what its keys do, as pedal_keys = { b = 'takeover' }")
        if self.enable_switch and "enable" not in (*self.buttons, *self.keys.values(), *self.pedal_keys.values()):
            raise ValueError("enable_switch = true needs a button that does 'enable'; add it to buttons or keys")


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """The arm's own controller: where it is, and how it tracks the guard's reference."""

    address: str = ""
    """Network address, or the serial port's path."""
    translational_stiffness_n_m: float = number(2000.0, 50.0, 3000.0)
    rotational_stiffness_nm_rad: float = number(150.0, 5.0, 300.0)
    reflex_force_n: float = number(80.0, 20.0, 150.0)
    """The controller stops the arm by itself above this external force. The guard holds at less (S8)."""
    reflex_torque_nm: float = number(50.0, 10.0, 100.0)
    payload_kg: float = number(0.0, 0.0, 20.0)
    """What is mounted beyond the vendor's own gripper, and its centre of mass in the flange's frame."""
    payload_centre_m: Vector3 = (0.0, 0.0, 0.0)
    wrench_bias: Vector6 = ZERO6
    """What the arm reports with nothing touched (N, N·m, base axes): taken off each reading. Right for a mistaken
    weight of the tool, whose pull does not turn with the hand; so it is small, or the payload is to be corrected."""
    servo_lookahead_s: float = number(0.1, 0.03, 0.2)
    """UR: how far ahead its servo looks; longer is smoother and stops later. SO-101: how far its servos lag behind."""
    servo_gain: float = number(300.0, 100.0, 2000.0)
    """UR: how hard its servo pulls to the target."""
    servo_middles: tuple[int, ...] = (2048,) * 5
    """SO-101: count of each servo with its joint in the middle of its range."""
    jaw_counts: tuple[int, int] = (2030, 3290)
    """SO-101: count of the jaw's servo closed and open."""
    joint_names: tuple[str, ...] = ()
    """ros2_control: the arm's joints in ``joint_states``, from the base on."""
    gripper_joint: str = ""
    """ros2_control: the joint whose position is the distance between the fingers; empty: it is taken for open."""
    realtime: bool = True
    """Franka: refuse a kernel without real-time scheduling. A simulator needs none."""

    def __post_init__(self) -> None:
        if len(self.servo_middles) != 5 or self.jaw_counts[0] == self.jaw_counts[1]:
            raise ValueError("servo_middles must have 5 entries, and the two of jaw_counts must differ")
        force_n, torque_nm = hypot(*self.wrench_bias[:3]), hypot(*self.wrench_bias[3:])
        if force_n > MAX_BIAS_N or torque_nm > MAX_BIAS_NM:
            raise ValueError(
                f"wrench_bias is {force_n:.1f} N and {torque_nm:.1f} Nm, over {MAX_BIAS_N:g} N or {MAX_BIAS_NM:g} Nm: "
                "enter the tool's payload at the arm instead"
            )

    def unbiased(self, wrench: Vector6) -> Vector6:
        """``wrench`` as the arm reports it, less the bias."""
        a, b, c, d, e, f = (felt - bias for felt, bias in zip(wrench, self.wrench_bias, strict=True))
        return a, b, c, d, e, f

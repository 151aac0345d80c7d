"""One MuJoCo world: model, state, stepping, rendering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from math import radians, tan
from pathlib import Path

import mujoco
import numpy as np

from hardware.camera_geometry import Intrinsics
from hardware.geometry import quat_normalize, wxyz_from_xyzw, xyzw_from_wxyz
from hardware.interfaces import Pose
from sim.meshes import dress, menagerie

ASSETS = Path(str(files("sim") / "assets"))
ARM = "fr3.xml"
"""What a scene without an arm of its own has attached."""
WRENCH_CUTOFF_HZ = 20.0
"""Low-pass of the wrist sensor: what real force/torque sensors and the FR3's own estimate pass; stiff contacts of a
simulator ring far above it."""
TOOL = "tool/"
"""Names of a tool's bodies and sites begin with this."""
LARGE_PICTURE_PX = 256 * 256
WRENCH = 6
STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class RendererUnavailable(RuntimeError):
    """No off-screen OpenGL on this machine; the message says what to install."""


class World:
    """A compiled scene and its state, kept ready to read: positions and velocities always belong to the current time.

    ``scene`` is a file in ``sim/assets`` or MJCF text; ``tool``, another, is fixed to the hand, its origin at the
    end-effector point. ``arms``, for a scene that has none of its own, says where bases stand, by name: all that
    belongs to the arm ``left`` is named ``left/...``. ``meshes`` names a robot of ``mujoco-menagerie`` to draw them as.
    ``files``: pictures that MJCF text names.
    """

    def __init__(
        self,
        scene: str,
        tool: str | None = None,
        arms: Mapping[str, Pose] | None = None,
        meshes: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ):
        spec = _parse(scene, files)
        if tool is not None:
            spec.attach(_parse(tool, files), site=spec.site("ee"), prefix=TOOL)
        for name, mount in (arms or {}).items():
            frame = spec.worldbody.add_frame(pos=mount.position_m, quat=wxyz_from_xyzw(mount.quat_xyzw))
            spec.attach(_parse(ARM), frame=frame, prefix=f"{name}/")
        if meshes is not None:
            dress(spec, menagerie(meshes))
        prefixes = [f"{name}/" for name in arms or {}] or [""]
        spec.nuserdata = WRENCH * len(prefixes)  # The filtered wrenches, which so are part of the state.
        self.model: mujoco.MjModel = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.timestep_s: float = self.model.opt.timestep
        self.generation = 0
        """Counts jumps (a reset, a loaded state): what was captured before one does not show the world after it."""
        self._steps = 0
        self._alarms: dict[str, tuple[int, Callable[[], None]]] = {}
        self.wrenches: dict[str, np.ndarray] = {}
        """(6,) for each arm's prefix: what its wrist sensor says, filtered."""
        self._wrists: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for index, prefix in enumerate(prefixes):
            first = int(self.model.sensor(f"{prefix}wrist_force").adr[0])
            filtered = self.wrenches[prefix] = self.data.userdata[WRENCH * index : WRENCH * (index + 1)]
            self._wrists.append((self.data.sensordata[first : first + WRENCH], filtered, np.zeros(WRENCH)))
        self._filter_gain = 1.0 - np.exp(-2.0 * np.pi * WRENCH_CUTOFF_HZ * self.timestep_s)
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self.refresh()

    @property
    def time_s(self) -> float:
        """Simulated seconds; they never go back, except when an earlier state is loaded."""
        return self._steps * self.timestep_s

    @property
    def steps(self) -> int:
        """Physics steps taken."""
        return self._steps

    def step(self, count: int = 1) -> None:
        """Take ``count`` physics steps."""
        while self._alarms:
            name, (due, call) = min(self._alarms.items(), key=lambda alarm: alarm[1][0])
            if due >= self._steps + count:
                break
            del self._alarms[name]
            count -= due - self._steps
            self._advance(due - self._steps)
            call()
        self._advance(count)

    def _advance(self, count: int) -> None:
        model, data, wrists = self.model, self.data, self._wrists
        step1, step2, gain = mujoco.mj_step1, mujoco.mj_step2, self._filter_gain
        # The second half first: this leaves poses and velocities of the new time in data, where mj_step leaves the old.
        for _ in range(count):
            step2(model, data)
            for raw, filtered, change in wrists:
                np.subtract(raw, filtered, out=change)
                change *= gain
                filtered += change
            step1(model, data)
        self._steps += count

    def set_alarm(self, steps: int, call: Callable[[], None], name: str = "") -> None:
        """Call ``call()`` in ``steps`` physics steps, unless another alarm of this name replaces it: a watchdog."""
        self._alarms[name] = (self._steps + steps, call)

    def reset(self) -> None:
        """Put everything where the model has it, at rest; time goes on. Call :meth:`refresh` when the scene is set."""
        mujoco.mj_resetData(self.model, self.data)

    def refresh(self) -> None:
        """Bring derived quantities, the wrist filter and the time up to date after poses were set by hand."""
        self.data.time = self.time_s
        self._alarms.clear()
        mujoco.mj_forward(self.model, self.data)
        for raw, filtered, _ in self._wrists:
            filtered[:] = raw
        self.data.qacc_warmstart[:] = self.data.qacc
        mujoco.mj_step1(self.model, self.data)
        self.generation += 1

    def save_state(self) -> np.ndarray:
        """Everything the future depends on, float64 (n,). Poses that a task wrote into the model are not in it: they
        follow from its setup."""
        mujoco.mj_step1(self.model, self.data)  # A target commanded since the last step has not moved its frame yet.
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, state, STATE)
        return state

    def load_state(self, state: np.ndarray) -> None:
        """Continue from :meth:`save_state`, bit for bit."""
        size = mujoco.mj_stateSize(self.model, STATE)
        if np.shape(state) != (size,):
            raise ValueError(f"state has shape {np.shape(state)}; this scene has ({size},): recorded in another scene?")
        mujoco.mj_setState(self.model, self.data, state, STATE)
        self._steps = round(self.data.time / self.timestep_s)
        mujoco.mj_step1(self.model, self.data)
        self._alarms.clear()
        self.generation += 1

    # -- poses -------------------------------------------------------------------------------------------------------

    def body_pose(self, name: str) -> Pose:
        """``T_base_body``."""
        body = self.data.body(name)
        return Pose(tuple(body.xpos.tolist()), quat_normalize(xyzw_from_wxyz(tuple(body.xquat.tolist()))))

    def site_pose(self, name: str) -> Pose:
        """``T_base_site``."""
        site = self.data.site(name)
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, site.xmat)
        return Pose(tuple(site.xpos.tolist()), quat_normalize(xyzw_from_wxyz(tuple(quat.tolist()))))

    def place(self, name: str, pose: Pose) -> None:
        """Put a mocap body or a free body at rest at ``pose``; call :meth:`refresh` after the last one."""
        body = self.model.body(name)
        mocap = int(body.mocapid[0])
        if mocap >= 0:
            self.data.mocap_pos[mocap] = pose.position_m
            self.data.mocap_quat[mocap] = wxyz_from_xyzw(pose.quat_xyzw)
            return
        joint = int(body.jntadr[0])
        if joint < 0 or self.model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            raise ValueError(f"body {name!r} is fixed: only mocap and free bodies can be placed")
        start, speed = self.model.jnt_qposadr[joint], self.model.jnt_dofadr[joint]
        self.data.qpos[start : start + 7] = (*pose.position_m, *wxyz_from_xyzw(pose.quat_xyzw))
        self.data.qvel[speed : speed + 6] = 0.0

    # -- pictures ----------------------------------------------------------------------------------------------------

    def render(self, camera: str, height: int = 128, width: int = 128, data: mujoco.MjData | None = None) -> np.ndarray:
        """uint8 (height, width, 3) RGB from a named camera, of ``data`` or now; raises :class:`RendererUnavailable`."""
        renderer = self._renderers.get((height, width))
        if renderer is None:
            renderer = self._renderers[height, width] = new_renderer(self.model, height, width)
        renderer.update_scene(data or self.data, camera)
        return renderer.render()

    def lens(self, camera: str, height: int, width: int) -> Intrinsics:
        """How a picture of this size from a named camera maps."""
        focal = 0.5 * height / tan(0.5 * radians(float(self.model.camera(camera).fovy[0])))
        return Intrinsics((focal, focal), (0.5 * (width - 1), 0.5 * (height - 1)))

    def close(self) -> None:
        """Free the renderers."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def _parse(source: str, files: Mapping[str, bytes] | None = None) -> mujoco.MjSpec:
    if source.lstrip().startswith("<"):
        return mujoco.MjSpec.from_string(
            source, include={path.name: path.read_bytes() for path in ASSETS.glob("*.xml")}, assets=dict(files or {})
        )
    return mujoco.MjSpec.from_file(str(ASSETS / source))


def new_renderer(model: mujoco.MjModel, height: int, width: int) -> mujoco.Renderer:
    """Draws on the thread that makes it; raises :class:`RendererUnavailable`."""
    # The context takes its buffer from the model; smoothing edges halves the rate, so only people's pictures get it.
    model.vis.global_.offheight, model.vis.global_.offwidth = height, width
    model.vis.quality.offsamples = 4 if height * width > LARGE_PICTURE_PX else 0
    try:
        renderer = mujoco.Renderer(model, height, width)
    except (
        Exception
    ) as error:  # The GL layer raises what its loader raised: ImportError, AttributeError, RuntimeError, ...
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise RendererUnavailable(
            f"no off-screen OpenGL here ({cause}): `apt install libegl1 libgl1-mesa-dri` and set MUJOCO_GL=egl "
            "(or libosmesa6 and MUJOCO_GL=osmesa)"
        ) from error
    # A shadow map costs 20 times the rest of a 128 px picture on a CPU rasteriser.
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
    return renderer

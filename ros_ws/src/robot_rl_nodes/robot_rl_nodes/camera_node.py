"""One camera of a cell: its frames as images, and beside each its counter and a hash of its pixels (S16, S17)."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import Event
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, JointState

from hardware.cell import load_cell
from hardware.clock import RealClock
from hardware.timekeeping import take_priority
from robot_rl_nodes import topics
from robot_rl_nodes.cell_devices import devices_for, patiently
from robot_rl_nodes.diagnostics import Health
from robot_rl_nodes.frames import transforms
from robot_rl_nodes.parameters import declare, parameter
from robot_rl_nodes.ros import PRIORITY, qos, run_node
from robot_rl_nodes.standard_messages import FrameMark, ImageWriter, camera_transform, to_camera_info, to_mark


@dataclass(frozen=True)
class CameraParameters:
    """What the node is started with."""

    camera: str = parameter("", "name of the camera in the cell file")
    cell: str = parameter("twin", "cell by name, or the path of its .toml file")
    devices: str = parameter("", "module:function instead of the cell's own")
    folder: str = parameter("", "where the processes of the cell meet; the cell's own by default")


def run(node: Any, stop: Event) -> None:
    """Publish every new frame, as soon as it is there."""
    given = declare(node, CameraParameters)
    cell = load_cell(given.cell)
    camera = devices_for(cell, given.devices, Path(given.folder)).camera(given.camera)
    clock = RealClock()
    patiently(camera.connect, clock, stop)
    frames, images, infos = (topic.of(given.camera) for topic in (topics.FRAME, topics.IMAGE, topics.CAMERA_INFO))
    tell = node.create_publisher(JointState, frames.name, qos(frames))
    show = node.create_publisher(Image, images.name, qos(images))
    explain = node.create_publisher(CameraInfo, infos.name, qos(infos))
    place, say_where = cell.cameras[given.camera].extrinsics, transforms(node, topics.TF_STATIC)
    if place is not None:
        say_where(camera_transform(clock.now(), given.camera, place))
    settings, write = cell.cameras[given.camera], ImageWriter(given.camera)
    lens, size_px = settings.lens(getattr(camera, "lens", None)), (settings.width_px, settings.height_px)
    health, sent, look_s = Health(node, clock), -1, clock.now()
    take_priority(PRIORITY)
    while not stop.is_set():
        newest = camera.newest()
        if newest is not None and newest.sequence > sent:
            frame = camera.read_latest(inf)  # How old is too old, who looks at it judges.
            sent, digest = frame.sequence, newest.digest
            if digest is None:
                digest = zlib.crc32(frame.image.tobytes())
            tell.publish(to_mark(FrameMark(frame.stamp_s, sent, digest)))
            show.publish(write(frame.stamp_s, frame.image))
            if lens is not None:
                explain.publish(to_camera_info(frame.stamp_s, given.camera, lens, size_px))
            health.count()
        health.report(f"{settings.frames_per_s:g} frames/s wanted")
        look_s = max(look_s + 0.1 / settings.frames_per_s, clock.now())
        clock.sleep_until(look_s)
    camera.close()


def main() -> int:
    return run_node("camera", run)


if __name__ == "__main__":
    sys.exit(main())

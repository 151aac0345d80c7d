"""``demo.mp4`` and its stills: a few episodes with who drives written over them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hardware.interfaces import Source
from robot_rl.demonstrations import RestingPolicy
from robot_rl.env import RobotEnv
from robot_rl.policy import Policy, load_policy
from robot_rl.rollout import DEMO_SEEDS, EVALUATION_SEEDS, EnvSpec, Rollout
from sim.tasks.base import TwinTask
from sim.video import VideoWriter

FRAMES_PER_S = 20
"""Twice as fast as the robot at 10 Hz."""
LINGER_FRAMES = 12
"""Frames for which the end of an episode stays."""
POLICY_EPISODES = 3
BADGES = {
    Source.POLICY: ("policy", (37, 99, 184)),
    Source.BASE: ("base", (138, 85, 181)),
    Source.HUMAN: ("person", (217, 114, 43)),
    Source.DEMO: ("person", (217, 114, 43)),
    Source.HOLD: ("guard holds", (180, 60, 60)),
}


def film(out: Path, watched: EnvSpec, alone: EnvSpec, seed: int) -> Path:
    """Write ``demo.mp4`` and ``stills/*.png`` into ``out``: a demonstration, the base with the person watching, and the
    trained policy alone. Raises :class:`~sim.world.RendererUnavailable`."""
    base, _ = load_policy(out / "base")
    trained, interface = load_policy(out / "policy")
    person = {**watched.kwargs, "person": watched.kwargs.get("person", "expert")}
    scenes: list[tuple[str, EnvSpec, Policy, int, Source, int]] = [
        (
            "demonstration",
            EnvSpec(alone.id, {**person, "takeover": "always"}),
            RestingPolicy(interface.action_dim),
            DEMO_SEEDS,
            Source.DEMO,
            1,
        ),
        ("behaviour-cloned base", watched, base, EVALUATION_SEEDS, Source.BASE, 2),
        ("trained policy", alone, trained, EVALUATION_SEEDS, Source.POLICY, POLICY_EPISODES),
    ]
    stills = out / "stills"
    shutil.rmtree(stills, ignore_errors=True)
    writer: VideoWriter | None = None
    try:
        for index, (title, spec, policy, stream, label, episodes) in enumerate(scenes):
            for episode, frames in enumerate(_episodes(spec, policy, seed, stream, label, episodes, title)):
                stills.mkdir(exist_ok=True)
                for frame in frames:
                    writer = writer or VideoWriter(out / "demo.mp4", frame.shape, FRAMES_PER_S)
                    writer.add(frame)
                for name, at in (("middle", len(frames) // 3), ("end", -1)):
                    Image.fromarray(frames[at]).save(stills / f"{index}{episode}-{name}.png")
    finally:
        if writer is not None:
            writer.close()
    return out / "demo.mp4"


def _episodes(
    spec: EnvSpec, policy: Policy, seed: int, stream: int, label: Source, count: int, title: str
) -> Iterator[list[np.ndarray]]:
    """The captioned frames of each of ``count`` episodes."""
    env = spec.make()
    assert isinstance(env, RobotEnv)
    rollout = Rollout(env, spec, "film", seed, stream)
    try:
        for _ in range(count):
            frames, episode = [], None
            while episode is None:
                step, episode = rollout.step(policy, deterministic=True, label=label)
                outcome = None if episode is None else episode.success
                frames.append(caption(cast(TwinTask, env.task).views(), title, step.source, outcome))
            yield frames + [frames[-1]] * LINGER_FRAMES
    finally:
        env.close()


def caption(picture: np.ndarray, title: str, source: Source, success: bool | None) -> np.ndarray:
    """``picture`` (uint8 HWC) with the scene's title, a badge of who drives and, at the end, the outcome."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image, "RGBA")
    size = max(12, image.height // 24)
    font, pad = ImageFont.load_default(size), max(12, image.height // 24) // 2
    top = image.height - size - 3 * pad
    draw.rectangle((0, top, image.width, image.height), fill=(16, 20, 26, 190))
    name, colour = BADGES[source]
    width = int(draw.textlength(name, font))
    draw.rounded_rectangle((pad, top + pad // 2, width + 3 * pad, image.height - pad // 2), pad, fill=(*colour, 255))
    draw.text((2 * pad, top + pad), name, (255, 255, 255), font)
    draw.text((width + 5 * pad, top + pad), title, (225, 230, 236), font)
    if success is not None:
        text, ink = ("success", (110, 215, 160)) if success else ("no success", (240, 140, 120))
        draw.text((image.width - pad, top + pad), text, ink, font, anchor="ra")
    return np.asarray(image)

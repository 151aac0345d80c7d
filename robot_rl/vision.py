"""What the learner sees: cameras encoded into features, learned from scratch or by a frozen encoder.

Whatever is learned here is learned from the critic's loss alone; actor heads and gripper read detached features. A
frozen encoder is paid once a frame: the replay keeps what it made of an image in place of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.config import VisionConfig, nearest
from robot_rl.image_encoder import LEARNED, CameraEncoders, random_shift
from robot_rl.types import Observation

if TYPE_CHECKING:
    from robot_rl.frozen_encoder import FrozenEncoder

Layout = Mapping[str, tuple[tuple[int, ...], np.dtype]]
"""Shape and dtype of each entry of an observation."""


class Vision(nn.Module):
    """The cameras of ``config``, each turned into ``config.width`` features; without any it holds nothing.

    A frozen encoder is no submodule: it is neither trained nor saved nor published, its :attr:`frozen_version` is.
    """

    frozen: FrozenEncoder | None

    def __init__(self, config: VisionConfig, device: str | torch.device = "cpu"):
        super().__init__()
        self.config, self.cameras = config, tuple(config.cameras)
        self.size = config.width * len(self.cameras)
        self.__dict__["frozen"] = None
        self._made: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        """Per camera: the last image that the frozen encoder saw, and what it made of it."""
        self.each: nn.Module
        if config.encoder in LEARNED or not self.cameras:
            self.each = CameraEncoders(config.cameras, config.width, config.encoder)
            return
        from robot_rl.frozen_encoder import FrozenEncoder, SpatialEncoders

        self.__dict__["frozen"] = frozen = FrozenEncoder(config.weights, device)
        shapes = {name: frozen.shape(side) for name, side in config.cameras.items()}
        self.each = SpatialEncoders(shapes, config.width, config.embeddings)

    @property
    def frozen_version(self) -> str:
        """Of the frozen encoder's weights; empty without one."""
        return "" if self.frozen is None else self.frozen.version

    def layout(self, offered: Layout) -> Layout:
        """What a replay keeps of observations laid out as ``offered``: the state and our cameras. Raises ValueError
        where a camera is missing or has another size."""
        kept = {"state": offered["state"]}
        others = [name for name in offered if name != "state"]
        for name, side in self.config.cameras.items():
            if name not in others:
                raise ValueError(f"no camera '{name}' in the observations; {nearest(name, others)}")
            if offered[name][0] != (side, side, 3):
                raise ValueError(
                    f"camera '{name}' delivers images of {offered[name][0]}, the learner was set up for "
                    f"({side}, {side}, 3): give --image-size {offered[name][0][0]}"
                )
            frozen = self.frozen
            kept[name] = offered[name] if frozen is None else (frozen.shape(side), np.dtype(np.float16))
        return kept

    def kept(self, observation: Observation) -> Observation:
        """What the replay keeps of one observation: with a frozen encoder what that makes of the images. An image that
        is the last one seen (it was acted on, and is now stored) costs nothing."""
        if self.frozen is None:
            return observation
        made = {name: self._make(name, observation[name]) for name in self.cameras}
        return {"state": observation["state"], **made}

    def shifted(self, seen: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Images moved at random, each camera and each call on its own; features of a frozen encoder as they are."""
        pad = self.config.shift_px
        if self.frozen is not None or pad == 0:
            return dict(seen)
        return {name: random_shift(image, generator, pad) for name, image in seen.items()}

    def forward(self, seen: Mapping[str, Tensor]) -> Tensor:
        """What is kept of ``n`` observations → features (n, size)."""
        return self.each(seen)

    def _make(self, name: str, image: np.ndarray) -> np.ndarray:
        last = self._made.get(name)
        if last is None or last[0] is not image:
            assert self.frozen is not None
            self._made[name] = last = (image, self.frozen.maps(image))
        return last[1]

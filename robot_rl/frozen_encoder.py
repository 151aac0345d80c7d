"""A pretrained encoder that stays as it is, and what is learned of its feature maps.

The weights are timm's, as safetensors from a file or from its place on the hub, and are told apart by their hash:
features of one must not be read by what learned from another. The network is written out here, with timm's names:
timm itself needs a torchvision of the same build as torch, which a machine without a GPU does not get by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.base_policy import weights_version
from robot_rl.image_encoder import compress

ARCH = "resnet18"
HUB = ("timm/resnet18.a1_in1k", "model.safetensors")
STRIDE, CHANNELS = 32, 512
"""Pixels a place of the last feature maps, and how many maps there are."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, with which the weights were trained."""


class Block(nn.Module):
    """Two 3 × 3 convolutions around which the input passes (arXiv 1512.03385, fig. 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class ResNet18(nn.Module):
    """Images (n, 3, side, side), normalised → the last feature maps, (n, 512, side / 32, side / 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class FrozenEncoder:
    """ResNet-18 (arXiv 1512.03385) without its classifier: images → feature maps (512, side / 32, side / 32).

    Not a module on purpose: nothing that walks over modules can train it, save it or publish it. ``weights`` is a
    .safetensors file of timm's ``resnet18``; None fetches timm's from the hub.
    """

    def __init__(self, weights: str | None = None, device: str | torch.device = "cpu"):
        network = ResNet18()
        _load(network, Path(weights) if weights else _from_hub())
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self._scale = [torch.tensor(v, device=device).view(3, 1, 1) * 255.0 for v in (MEAN, STD)]
        self.version = weights_version(self.network)

    @staticmethod
    def shape(side: int) -> tuple[int, int, int]:
        """Of the maps of an image of ``side`` px."""
        if side < 2 * STRIDE or side % STRIDE:
            raise ValueError(f"{ARCH} cannot read images of {side} px: give --image-size 64, 128 or a multiple of 32")
        return CHANNELS, side // STRIDE, side // STRIDE

    @torch.no_grad()
    def maps(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) → float16 (512, H / 32, W / 32). Acting, storing and learning all read what this gives, so
        there is one normalisation (the pretraining's) and no way to do without it."""
        x = torch.from_numpy(image).to(self.device)[None].permute(0, 3, 1, 2).to(torch.float32)
        mean, std = self._scale
        return self.network((x - mean) / std)[0].to(torch.float16).cpu().numpy()


class SpatialEmbeddings(nn.Module):
    """Maps (n, channels, h, w) → (n, channels · count): how much of each map lies under each of ``count`` learned
    patterns of its own (SERL, arXiv 2401.16013, code ``SpatialLearnedEmbeddings``)."""

    def __init__(self, shape: tuple[int, int, int], count: int):
        super().__init__()
        channels, height, width = shape
        self.pattern = nn.Parameter(torch.empty(channels, height * width, count))
        nn.init.normal_(self.pattern, std=(height * width) ** -0.5)

    def forward(self, maps: Tensor) -> Tensor:
        channels_first = maps.flatten(2).transpose(0, 1)
        return torch.bmm(channels_first, self.pattern).transpose(0, 1).flatten(1)


class SpatialEncoders(nn.Module):
    """What is learned of frozen feature maps, each camera on its own. ``shapes`` are those of its maps."""

    def __init__(self, shapes: Mapping[str, tuple[int, int, int]], width: int, embeddings: int):
        super().__init__()
        self.each = nn.ModuleDict(
            {
                name: nn.Sequential(SpatialEmbeddings(shape, embeddings), compress(shape[0] * embeddings, width))
                for name, shape in shapes.items()
            }
        )

    def forward(self, seen: Mapping[str, Tensor]) -> Tensor:
        """Features (n, width · cameras), cameras in the order they were named."""
        return torch.cat([encoder(seen[name].to(torch.float32)) for name, encoder in self.each.items()], dim=-1)


def _from_hub() -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise ValueError(
            f"weights of {ARCH} are fetched by huggingface_hub, which is not installed: "
            "pip install 'robot-rl[vision]', or give --learner.vision.weights FILE.safetensors"
        ) from None
    try:
        return Path(hf_hub_download(*HUB))
    except Exception as error:  # its many exceptions share no class
        cause = str(error).strip().splitlines()[0]
        raise ValueError(
            f"the weights of {ARCH} cannot be fetched from the hub ({cause}): "
            "download them elsewhere and give --learner.vision.weights FILE.safetensors"
        ) from None


def _load(network: nn.Module, path: Path) -> None:
    """Fill ``network`` from a safetensors file, which may hold the classifier as well; raises ValueError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        raise ValueError(f"weights '{path}' are not a .safetensors file: other formats may run code, and are not read")
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise ValueError(f"no weights at '{path}': give a .safetensors file of timm's {ARCH}") from None
    except SafetensorError as error:
        raise ValueError(f"the weights at '{path}' are damaged: {error}") from None
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
    found = network.load_state_dict(kept, strict=False)
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        odd = (missing or found.unexpected_keys)[0]
        raise ValueError(f"the weights at '{path}' are not those of timm's {ARCH} ('{odd}' does not fit)")

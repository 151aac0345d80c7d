"""A policy that LeRobot trained (https://github.com/huggingface/lerobot), as a base.

It was trained on what ``robot-rl episodes export`` wrote, or on any dataset with the same features:
``observation.state`` and ``observation.images.NAME`` are the observation's entries ``state`` and ``NAME``, its action
is ours. Only a local folder is loaded, weights as safetensors; nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robot_rl.named_base import LEROBOT, checked
from robot_rl.types import Observation

WEIGHTS, CONFIG, IMAGES = "model.safetensors", "config.json", "observation.images."
PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")


class LeRobotBase:
    """``folder`` is what LeRobot's ``save_pretrained`` wrote (``…/pretrained_model``), processors included."""

    def __init__(self, folder: str, action_dim: int) -> None:
        """Raises ValueError where that is no such folder, LeRobot is missing, or the policy does not fit."""
        self.name, self.action_dim = f"{LEROBOT}{folder}", action_dim
        path = Path(folder)
        missing = [name for name in (CONFIG, WEIGHTS, *PROCESSORS) if not (path / name).exists()]
        if missing:
            raise ValueError(f"'{folder}' is no policy of LeRobot's: {missing[0]} is missing (give …/pretrained_model)")
        self._require_inputs(path)
        for name in PROCESSORS:
            _require_known_steps(path / name)
        policy = _lerobot("policies.factory")
        config = _lerobot("configs.policies").PreTrainedConfig.from_pretrained(path, local_files_only=True)
        config.device = "cpu"
        self._policy = policy.get_policy_class(config.type).from_pretrained(path, config=config, local_files_only=True)
        on_cpu = {"device_processor": {"device": "cpu"}}
        self._before, self._after = policy.make_pre_post_processors(
            config, pretrained_path=str(path), preprocessor_overrides=on_cpu
        )
        self._policy.eval()
        digest = hashlib.sha256()
        for file in sorted(f for f in path.iterdir() if f.suffix in (".json", ".safetensors")):
            digest.update(file.name.encode() + file.read_bytes())
        self.version = "lerobot-" + digest.hexdigest()[:16]

    def _require_inputs(self, path: Path) -> None:
        about = json.loads((path / CONFIG).read_text())
        inputs, given = about.get("input_features", {}), about.get("output_features", {}).get("action", {})
        self._cameras = [name.removeprefix(IMAGES) for name in inputs if name.startswith(IMAGES)]
        odd = [name for name in inputs if name != "observation.state" and not name.startswith(IMAGES)]
        if odd:
            raise ValueError(f"'{path}' wants {odd[0]}: observation.state and {IMAGES}NAME is what there is")
        if given.get("shape") != [self.action_dim]:
            raise ValueError(f"'{path}' gives actions of shape {given.get('shape')}, [{self.action_dim}] is wanted")

    def reset(self) -> None:
        self._policy.reset()

    def flush(self) -> None:
        self._policy.reset()

    @torch.no_grad()
    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """ValueError for a camera that the environment does not have."""
        batch: dict[str, Any] = {
            "observation.state": torch.from_numpy(np.asarray(observation["state"], np.float32))[None]
        }
        for name in self._cameras:
            if name not in observation:
                raise ValueError(f"base '{self.name}' looks through '{name}': give it in --cameras")
            image = torch.from_numpy(np.ascontiguousarray(observation[name])).permute(2, 0, 1)
            batch[f"{IMAGES}{name}"] = image[None].float() / 255.0
        action = self._after(self._policy.select_action(self._before(batch)))
        return checked(action.squeeze(0).cpu().numpy(), self.name, self.action_dim)


def _require_known_steps(path: Path) -> None:
    """A step that names a class would have LeRobot import whatever module that is in."""
    for step in json.loads(path.read_text()).get("steps", []):
        if "registry_name" not in step:
            raise ValueError(
                f"'{path}' names a class to import ({step.get('class')}): only LeRobot's own steps are run"
            )


def _lerobot(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"lerobot.{module}")
    except ModuleNotFoundError as error:
        raise ValueError(f"a LeRobot policy needs LeRobot ({error}): pip install 'lerobot>=0.4'") from None

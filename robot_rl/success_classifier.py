"""A success classifier: images of the scene → whether the task is done. The reward where nothing else can tell.

Trained on frames labelled as they were recorded; held out by whole episodes, since frames of one are nearly the same.
Its probabilities are calibrated there by a temperature (arXiv 1706.04599), and what it calls a success is one with the
stated precision, frame by frame, and over all held-out frames: a false success teaches the policy to cheat, a missed
one costs only time. One path (``Vision``) turns images into features in training, serving and relabelling alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hardware.recording import to_json
from robot_rl.base_policy import weights_version
from robot_rl.calibration import Reliability, best_temperature, calibration_error, reliability, threshold_for
from robot_rl.classifier_config import ClassifierConfig
from robot_rl.config import from_dict
from robot_rl.fitting import fit
from robot_rl.networks import mlp
from robot_rl.types import Episode, Observation, Step
from robot_rl.vision import Vision


@dataclass(frozen=True)
class Frames:
    """``n`` labelled frames of several episodes, as the classifier keeps them."""

    seen: dict[str, Tensor]
    success: Tensor
    """bool (n,)."""
    episode: np.ndarray
    """Which episode each is of, int (n,)."""

    def rows(self, rows: Tensor) -> Frames:
        picked = {name: values[rows] for name, values in self.seen.items()}
        return Frames(picked, self.success[rows], self.episode[rows.numpy()])


@dataclass(frozen=True)
class Quality:
    """What held-out episodes say of a classifier."""

    episodes: int
    frames: int
    precision: float
    """Share of called successes that were ones, at the threshold."""
    recall: float
    """Share of successes that are called."""
    calibration_error: float
    """Mean distance of probability from frequency over the bins, weighted by their frames (ECE)."""
    calibration_error_before: float
    """The same at temperature 1."""
    reliability: Reliability


class SuccessClassifier(nn.Module):
    """Images of ``config.vision.cameras`` → the probability of success. Called with one observation: yes or no."""

    threshold: Tensor
    temperature: Tensor

    def __init__(self, config: ClassifierConfig, seed: int = 0):
        super().__init__()
        if not config.vision.cameras:
            raise ValueError("a success classifier needs a camera: give --cameras, as front wrist")
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vision = Vision(config.vision)
            self.head = mlp(self.vision.size, config.width, 1, outputs=1)
        self.register_buffer("threshold", torch.tensor(0.5))
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, seen: Mapping[str, Tensor]) -> Tensor:
        """What is kept of ``n`` observations → logits (n,), not yet calibrated."""
        return self.head(self.vision(seen))[:, 0]

    def probability(self, seen: Mapping[str, Tensor]) -> Tensor:
        """Calibrated, (n,)."""
        return torch.sigmoid(self(seen) / self.temperature)

    @torch.no_grad()
    def sees_success(self, observation: Observation) -> bool:
        """Whether one observation shows the task done."""
        kept = self.vision.kept(observation)
        seen = {name: torch.from_numpy(kept[name])[None] for name in self.vision.cameras}
        return bool(self.probability(seen) >= self.threshold)

    @property
    def version(self) -> str:
        """16 hex digits over weights, threshold, temperature and settings: equal exactly where the verdicts are."""
        text = to_json(asdict(self.config)) + weights_version(self) + self.vision.frozen_version
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def frames(self, episodes: Sequence[Episode]) -> Frames:
        """The observations of ``episodes``, with what was said of each: at its start an episode is no success; after a
        step what the operator said, else what was recorded. Those of which it is undecided are left out."""
        seen: dict[str, list[np.ndarray]] = {name: [] for name in self.vision.cameras}
        success, number = [], []
        for i, episode in enumerate(episodes):
            after = [step.observation for step in episode.steps] + [episode.final_observation]
            said = [False, *map(_was_success, episode.steps)]
            soon = round(self.config.undecided_s * episode.header.control_hz)
            for at, observation in enumerate(after):
                if not said[at] and any(said[at : at + soon + 1]):
                    continue
                success.append(said[at])
                number.append(i)
                kept = self.vision.kept(observation)
                for name in seen:
                    seen[name].append(kept[name])
        stacked = {name: torch.from_numpy(np.stack(values)) for name, values in seen.items()}
        return Frames(stacked, torch.tensor(success), np.array(number))


def train_classifier(classifier: SuccessClassifier, episodes: Sequence[Episode], seed: int = 0) -> Quality:
    """Fit in place, calibrate, choose the threshold. Deterministic by ``seed``. Raises ValueError where a part lacks
    successes or failures, or no threshold reaches the precision."""
    config, rng = classifier.config, np.random.default_rng(seed)
    order = rng.permutation(len(episodes))
    held_out = max(2, round(config.validation_fraction * len(episodes)))
    valid = classifier.frames([episodes[i] for i in order[:held_out]])
    train = classifier.frames([episodes[i] for i in order[held_out:]]) if len(order) > held_out else valid
    for part in (train, valid):
        if len(episodes) < 4 or part.success.all() or not part.success.any():
            raise ValueError(
                f"{len(episodes)} episodes are too few: training and validation need successes and failures each, by "
                "whole episodes; record more with `robot-rl record-success`"
            )
    generator = torch.Generator().manual_seed(seed)

    def loss(rows: Tensor) -> Tensor:
        batch = train.rows(rows)
        return _cross_entropy(classifier(classifier.vision.shifted(batch.seen, generator)), batch.success)

    def validation() -> Tensor:
        return _cross_entropy(_logits(classifier, valid), valid.success)

    fit(classifier, loss, validation, len(train.success), config, config.steps, rng)
    logits = _logits(classifier, valid)
    before = torch.sigmoid(logits)
    classifier.temperature.fill_(best_temperature(logits, valid.success))
    probability = torch.sigmoid(logits / classifier.temperature)
    threshold = threshold_for(config.precision, probability, valid.success, config.precision)
    if threshold is None:
        raise ValueError(
            f"no threshold reaches precision {config.precision:g} on held-out episodes: record more, above all "
            "failures that look like successes"
        )
    classifier.threshold.fill_(threshold)
    called = probability >= classifier.threshold
    right = float((called & valid.success).sum())
    table = reliability(probability, valid.success)
    return Quality(
        episodes=held_out,
        frames=len(logits),
        precision=right / float(called.sum()),
        recall=right / float(valid.success.sum()),
        calibration_error=calibration_error(table),
        calibration_error_before=calibration_error(reliability(before, valid.success)),
        reliability=table,
    )


# -- on disk -----------------------------------------------------------------------------------------------------------


def save_classifier(folder: Path, classifier: SuccessClassifier, quality: Quality) -> None:
    """Write ``classifier.json`` and ``classifier.safetensors``; a frozen encoder is named, not saved."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in classifier.state_dict().items()}, folder / "classifier.safetensors")
    about = {"version": classifier.version, "config": asdict(classifier.config), "quality": asdict(quality)}
    (folder / "classifier.json").write_text(json.dumps(about, indent=1))


def load_classifier(folder: Path | str, offered: Mapping[str, int] | None = None) -> SuccessClassifier:
    """Read what :func:`save_classifier` wrote. Raises ValueError, one line, where it cannot be used, also where it
    looks at cameras that are not ``offered`` (name → side, px)."""
    folder = Path(folder)
    if not (folder / "classifier.json").exists():
        raise ValueError(f"no success classifier in '{folder}': train one with `robot-rl train-classifier`")
    try:
        about = json.loads((folder / "classifier.json").read_text())
        classifier = SuccessClassifier(from_dict(ClassifierConfig, about["config"]))
        classifier.load_state_dict(load_file(folder / "classifier.safetensors"))
    except (KeyError, TypeError, RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ValueError(f"the success classifier in '{folder}' cannot be read: {error}") from None
    if classifier.version != about["version"]:
        raise ValueError(f"the success classifier in '{folder}' is not as it was saved: train it again")
    looks = classifier.config.vision.cameras
    if offered is not None and not looks.items() <= offered.items():
        size = next(iter(looks.values()))
        raise ValueError(
            f"the success classifier in '{folder}' looks at {' and '.join(looks)} with {size} px: give --cameras "
            f"{' '.join(looks)} --image-size {size}"
        )
    return classifier.eval()


def _logits(classifier: SuccessClassifier, frames: Frames, size: int = 256) -> Tensor:
    with torch.no_grad():
        parts = torch.arange(len(frames.success)).split(size)
        return torch.cat([classifier(frames.rows(rows).seen) for rows in parts])


def _cross_entropy(logits: Tensor, success: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, success.float())


def _was_success(step: Step) -> bool:
    said = step.reward_inputs.get("key", 0.0)
    return said > 0 if said else step.success

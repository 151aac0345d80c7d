"""Flow matching over action chunks, and its one-step student.

The flow (conditional flow matching along straight paths, arXiv 2210.02747, eq. 23, and arXiv 2209.03003) carries noise
z ~ N(0, I) at time 0 to an action chunk at time 1: dx/dt = v(x, t, o). The student is a consistency model of it
(arXiv 2303.01469, alg. 2): f(x, t, o) says where the flow's path through x at time t ends, so that f(z, 0, o) acts in
one pass. The noise stays an input of both: whoever chooses it steers the policy (DSRL, arXiv 2506.15799).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.chunks import ChunkPolicy
from robot_rl.cloned_policy import Stage
from robot_rl.cloning_config import CloningConfig, FlowConfig
from robot_rl.shown import Shown, masked_mean
from robot_rl.types import Observation

TIME_FREQUENCIES = 8


class ResidualBlock(nn.Module):
    """x + W₂ relu(W₁ LayerNorm(x))."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Velocity(nn.Module):
    """v(x, t, features): the direction in which a chunk moves at time t."""

    def __init__(self, config: FlowConfig, chunk: int, features: int):
        super().__init__()
        self.enter = nn.Linear(chunk + 2 * TIME_FREQUENCIES + features, config.width)
        self.blocks = nn.Sequential(*(ResidualBlock(config.width) for _ in range(config.depth)))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.ReLU(), nn.Linear(config.width, chunk))

    def forward(self, x: Tensor, t: Tensor, features: Tensor) -> Tensor:
        """x (n, chunk), t (n, 1) in [0, 1], features (n, f) → (n, chunk)."""
        angle = t * torch.pi * 2.0 ** torch.arange(TIME_FREQUENCIES, device=t.device) / 2.0
        return self.leave(self.blocks(self.enter(torch.cat([x, angle.sin(), angle.cos(), features], dim=-1))))


class FlowPolicy(ChunkPolicy):
    """Observation (and noise) → action chunks. ``config.flow.one_step`` chooses between student and flow."""

    distilled: bool
    """Whether the student has been taught; until then the flow acts, whatever ``one_step`` says."""

    def __init__(self, config: CloningConfig, state_dim: int, action_dim: int, gripper_index: int | None = None):
        super().__init__(config, state_dim, action_dim, gripper_index)
        self.noise_shape = (self.horizon, self.arm_dim)
        self.noise_dim = self.horizon * self.arm_dim
        self.velocity = Velocity(config.flow, self.noise_dim, self.feature_dim)
        self.student = copy.deepcopy(self.velocity)
        self.distilled = False
        self.grip = nn.Sequential(
            nn.Linear(self.feature_dim, config.flow.width),
            nn.LayerNorm(config.flow.width),
            nn.ReLU(),
            nn.Linear(config.flow.width, 3 * self.horizon),
        )

    def act(self, observation: Observation, deterministic: bool = True) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]. Chunks begin from noise 0 if ``deterministic``, else from
        noise drawn from ``rng``."""
        if deterministic or not self.player.starts_chunk:
            return self.play(observation)
        noise = self.rng.standard_normal((1, *self.noise_shape), np.float32)
        return self.play(observation, torch.from_numpy(noise))

    def parts(self, observation: Mapping[str, Tensor], noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """From noise (n, horizon, arm_dim), or from 0; differentiable in it."""
        features = self.features(observation)
        z = features.new_zeros(len(features), self.noise_dim) if noise is None else noise.flatten(1)
        if self.config.flow.one_step and self.distilled:
            end = self._end(z, features.new_zeros(len(features), 1), features)
        else:
            end = self._integrate(z, features)
        return end.unflatten(1, self.noise_shape), self._logits(features)

    def decode(self, observation: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Observations (n, ...) and noise (n, noise_dim) → the first action of each chunk, (n, action_dim): what
        :meth:`act` does with that noise. Differentiable in the noise."""
        return self.predict(observation, noise.unflatten(1, self.noise_shape))[:, 0]

    def get_extra_state(self) -> Tensor:
        """Saved with the weights, but never moved to a GPU, where to read it would wait for all the work there."""
        return torch.tensor(self.distilled)

    def set_extra_state(self, state: Tensor) -> None:
        self.distilled = bool(state)

    # -- learning ------------------------------------------------------------------------------------------------------

    def loss(self, seen: Mapping[str, Tensor], shown: Shown, generator: torch.Generator) -> Tensor:
        """Conditional flow matching: E ‖v((1−t) z + t x, t, o) − (x − z)‖², and the gripper's cross-entropy."""
        features, (x, valid) = self.features(seen), self._targets(shown)
        z = torch.randn(x.shape, generator=generator)
        t = torch.rand(len(x), 1, generator=generator)
        error = (self.velocity((1.0 - t) * z + t * x, t, features) - (x - z)) ** 2
        return masked_mean(error, valid) + self.gripper_loss(self._logits(features), shown)

    def distillation_loss(self, seen: Mapping[str, Tensor], shown: Shown, generator: torch.Generator) -> Tensor:
        """Consistency: f(x_n, t_n) against f(x_{n+1}, t_{n+1}), one Euler step of the flow further on. At time 1 f is
        the identity by construction, which is what anchors the chain."""
        features, (x, valid) = self.features(seen), self._targets(shown)
        steps = self.config.flow.integration_steps
        z = torch.randn(x.shape, generator=generator)
        n = torch.randint(0, steps, (len(x), 1), generator=generator)
        n[: len(x) // 4] = 0  # where the student will be asked
        t = n / steps
        at = (1.0 - t) * z + t * x
        with torch.no_grad():
            following = at + self.velocity(at, t, features) / steps
            wanted = self._end(following, t + 1.0 / steps, features)
        return masked_mean((self._end(at, t, features) - wanted) ** 2, valid)

    def distillation_error(self, shown: Shown) -> Tensor:
        """Squared distance between what student and flow make of the same noise (a fixed draw of it)."""
        features, (x, _) = self.features(shown.observation), self._targets(shown)
        z = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        return ((self._end(z, z.new_zeros(len(z), 1), features) - self._integrate(z, features)) ** 2).mean()

    def stages(self) -> Iterator[Stage]:
        """The flow, then its student, which begins as the flow itself (f is then one Euler step)."""
        self.distilled = False
        yield from super().stages()
        if steps := self.config.flow.distill_steps:
            self.student.load_state_dict(self.velocity.state_dict())
            self.distilled = True
            student = list(self.student.parameters())
            yield Stage(self.distillation_loss, self.distillation_error, steps, student, "distillation_")

    def _targets(self, shown: Shown) -> tuple[Tensor, Tensor]:
        """Normalised chunks (n, horizon · arm_dim), and which of their entries are valid."""
        x = self.normalize_action(shown.action[..., : self.arm_dim]).flatten(1)
        return x, shown.valid.repeat_interleave(self.arm_dim, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        return self.grip(features).unflatten(1, (self.horizon, 3))

    def _end(self, x: Tensor, t: Tensor, features: Tensor) -> Tensor:
        """f(x, t) = x + (1 − t) F(x, t)."""
        return x + (1.0 - t) * self.student(x, t, features)

    def _integrate(self, x: Tensor, features: Tensor) -> Tensor:
        steps = self.config.flow.integration_steps
        for i in range(steps):
            x = x + self.velocity(x, x.new_full((len(x), 1), i / steps), features) / steps
        return x

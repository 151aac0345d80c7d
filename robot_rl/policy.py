"""Policies on disk and in memory: what acts, and how it is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from robot_rl.base_policy import BasePolicy, ZeroBase
from robot_rl.bc import make_cloned_policy
from robot_rl.checkpoint import disk_errors
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.config import CloningConfig, LearnerConfig, from_dict
from robot_rl.named_base import NamedBase, find_base
from robot_rl.observation import COMMANDED_GRIPPER
from robot_rl.rlpd import RLPD

ACTING = ("actor.", "average_actor.", "gripper.online.", "vision.", "state_")
"""Prefixes of the tensors that a policy learned by reinforcement acts with."""


class Policy(Protocol):
    """What acts. One that works over a base policy has it as its attribute ``base``; whoever steps the environment asks
    the base once a step and hands its action to ``act`` as a third argument. One that keeps a plan has ``reset`` and
    ``flush`` as a :class:`~robot_rl.base_policy.BasePolicy` does."""

    def act(self, observation: Mapping[str, np.ndarray], deterministic: bool = False) -> np.ndarray:
        """One observation → float32 (action_dim,) in [-1, 1]."""
        ...


@dataclass(frozen=True)
class Interface:
    """What a policy must fit: sizes of observation and action, and which entry tells the gripper's command."""

    task: str
    state_dim: int
    action_dim: int
    gripper_index: int | None = None

    @property
    def sizes(self) -> tuple[int, int, int | None]:
        """``state_dim, action_dim, gripper_index``, as policies take them."""
        return self.state_dim, self.action_dim, self.gripper_index

    @staticmethod
    def of(env: Any) -> Interface:
        """The interface of a RobotEnv, or of a :class:`~robot_rl.foreign.ForeignEnv`."""
        names: tuple[str, ...] = env.state_names
        state, action = env.observation_space["state"].shape[0], env.action_space.shape[0]
        return Interface(
            env.task.spec.name, state, action, names.index(COMMANDED_GRIPPER) if COMMANDED_GRIPPER in names else None
        )


def save_policy(folder: Path, policy: RLPD | ClonedPolicy, interface: Interface, step: int = 0) -> None:
    """Write ``policy.json`` and ``policy.safetensors``: all that acting needs, nothing that only learning does. A base
    policy that the actor works over goes into ``base/``: a clone's weights, or the name that others are found by."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = "rl" if isinstance(policy, RLPD) else "cloning"
    keep = (*ACTING, "critic.") if kind == "rl" else ("",)
    tensors = {name: t.contiguous() for name, t in policy.state_dict().items() if name.startswith(keep)}
    fresh = folder / "policy.safetensors.new"
    with disk_errors():
        save_file(tensors, fresh)
    fresh.replace(folder / "policy.safetensors")  # whole at every instant
    about = {"kind": kind, "interface": asdict(interface), "config": asdict(policy.config), "step": step}
    if isinstance(policy, RLPD):
        about["frozen_encoder"] = policy.vision.frozen_version
    fresh = folder / "policy.json.new"
    fresh.write_text(json.dumps(about, indent=1))
    fresh.replace(folder / "policy.json")
    base = policy.base if isinstance(policy, RLPD) else None
    if isinstance(base, ClonedPolicy):
        save_policy(folder / "base", base, interface)
    elif base is not None and not (folder / "base" / "policy.json").exists():
        (folder / "base").mkdir(exist_ok=True)
        about = {"kind": "named", "name": cast(NamedBase, base).name, "version": base.version}
        (folder / "base" / "policy.json").write_text(json.dumps(about, indent=1))


def load_policy(folder: Path, base: str = "") -> tuple[RLPD | ClonedPolicy, Interface]:
    """Read what :func:`save_policy` wrote; ``base`` as :func:`load_base`. Raises FileNotFoundError or ValueError, one
    line, saying what is wrong."""
    folder = Path(folder)
    if not (folder / "policy.json").exists() and (folder / "policy" / "policy.json").exists():
        folder = folder / "policy"
    if not (folder / "policy.json").exists():
        raise FileNotFoundError(f"no policy in '{folder}': give a run folder that `robot-rl train` or `train-bc` wrote")
    try:
        about = json.loads((folder / "policy.json").read_text())
        interface = Interface(**about["interface"])
        kind: Literal["rl", "cloning"] = about["kind"]
        policy: RLPD | ClonedPolicy
        if kind == "rl":
            config = from_dict(LearnerConfig, about["config"])
            over = load_base(folder / "base", interface, base) if config.actor != "gaussian" else None
            policy = RLPD(config, *interface.sizes, base=over)
        else:
            policy = make_cloned_policy(from_dict(CloningConfig, about["config"]), *interface.sizes)
        tensors = load_file(folder / "policy.safetensors")
        found = policy.load_state_dict(tensors, strict=False)
    except (KeyError, TypeError, RuntimeError, ValueError, OSError) as error:
        raise ValueError(f"the policy in '{folder}' cannot be read: {error}") from None
    except Exception as error:  # safetensors raises its own class for a damaged file
        raise ValueError(f"the policy in '{folder}' is damaged: {error}") from None
    if isinstance(policy, RLPD):
        _require_encoder(about.get("frozen_encoder", ""), policy.vision.frozen_version)
    # A policy that was learned by reinforcement is saved without what only learning needs.
    wrong = found.unexpected_keys or (kind == "cloning" and found.missing_keys)
    if wrong or not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
        raise ValueError(f"the policy in '{folder}' lacks tensors, has unknown ones or values that are not finite")
    return policy, interface


def load_base(folder: Path, interface: Interface, trusted: str = "") -> BasePolicy:
    """The base that a policy works over. One that is found by name is code of this machine, and a folder may come from
    anybody: it is run only where the user names it too, as ``trusted``. Raises FileNotFoundError or ValueError."""
    path = folder / "policy.json"
    about = json.loads(path.read_text()) if path.exists() else {}
    if about.get("kind") != "named":
        return cast(BasePolicy, load_policy(folder)[0])
    name = str(about["name"])
    if name not in (ZeroBase.name, trusted):
        raise ValueError(
            f"it works over '{name}', which would be run: if you trust that, `robot-rl eval --base {name}`"
        )
    base = find_base(name, interface.action_dim)
    if base.version != about["version"]:
        raise ValueError(f"its base '{base.name}' is not what it learned over: {base.version}, then {about['version']}")
    return base


def _require_encoder(wanted: str, found: str) -> None:
    """The frozen encoder is not saved with a policy: it must be the one that the policy learned with."""
    if wanted != found:
        raise ValueError(
            f"the policy learned with the frozen encoder '{wanted}', the weights here are '{found}': "
            "put the same file where policy.json says"
        )

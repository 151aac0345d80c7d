"""Replay: a ring that stores each observation once, explicit links between steps, mixed and n-step sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hardware.interfaces import Source
from robot_rl.batch import Batch, Rows, Stored
from robot_rl.reward import Returns
from robot_rl.ring_file import EMPTY, Entries, RingFile, is_frame
from robot_rl.types import REWARD_INPUTS, Episode, Observation, Step, StepId, moves

FLAGS = ("intervention_start", "terminated", "truncated", "success")


class ReplayBuffer:
    """A ring of steps. Episodes of several actors may be written in turn; nothing is assumed of neighbouring slots. A
    step's observation is stored once; its successor is found by ``next_slot``, checked against the writing number of
    that slot, so that a link can never reach into another episode or over the ring's head. The observation after an
    episode's last step takes a slot of its own that is never sampled. Steps are idempotent by id.
    """

    def __init__(
        self,
        capacity: int,
        observation: Entries,
        action_dim: int,
        kept: Callable[[Observation], Observation] = lambda observation: observation,
        folder: Path | None = None,
    ):
        """``observation`` gives shape and dtype per entry; memory, as it is filled, is ``capacity`` times their size;
        images go to files in ``folder`` if there is one. ``kept`` makes what is stored of what was observed."""
        self.capacity, self.action_dim, self._kept = capacity, action_dim, kept
        self._files: dict[str, RingFile] = {}
        if folder is not None:
            frames = {name: shape for name, (shape, dtype) in observation.items() if is_frame(shape, dtype)}
            self._files = {name: RingFile(folder, name, capacity, shape) for name, shape in frames.items()}
        self.observation: dict[str, np.ndarray] = {
            name: self._files[name].array if name in self._files else np.zeros((capacity, *shape), dtype)
            for name, (shape, dtype) in observation.items()
        }
        self.action = np.zeros((capacity, action_dim), np.float32)
        self.proposed_action = np.zeros_like(self.action)
        self.base_action = np.zeros_like(self.action)
        self.reward = np.zeros(capacity, np.float32)
        self.source = np.full(capacity, Source.HOLD, np.int8)
        self.flags = {name: np.zeros(capacity, bool) for name in FLAGS}
        self.inputs = {name: np.zeros(capacity, np.float32) for name in REWARD_INPUTS}
        self.serial = np.full(capacity, -1, np.int64)
        """Writing number of each slot; -1 when empty."""
        self.next_serial = np.full(capacity, -1, np.int64)
        """Writing number of the successor; its slot is that modulo ``capacity``. -1 while unknown."""
        self.first_serial = np.full(capacity, -1, np.int64)
        """Writing number of the first step of the same episode."""
        self.written = self.steps = self.missing = 0
        """``missing``: slots whose image was gone, or not whole, when a state was loaded."""
        self._open: dict[tuple[str, int], tuple[int, int, int, int]] = {}
        """Per (run, actor): of its open episode number and last step, and writing numbers of last and first step."""

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    # -- writing -----------------------------------------------------------------------------------------------------

    def add(self, step: Step) -> bool:
        """Store a step; False when it was stored before (delivered twice)."""
        key, here = step.id[:2], (step.id.episode, step.id.step)
        previous = self._open.get(key)
        if previous is not None and here <= previous[:2]:
            return False
        serial = self._write_observation(step.observation)
        slot = serial % self.capacity
        self.action[slot], self.proposed_action[slot] = step.executed_action, step.proposed_action
        self.base_action[slot], self.reward[slot], self.source[slot] = step.base_action, step.reward, step.source
        for name in FLAGS:
            self.flags[name][slot] = getattr(step, name)
        for name, array in self.inputs.items():
            array[slot] = step.reward_inputs.get(name, 0.0)
        if previous is not None and here == (previous[0], previous[1] + 1):
            self._link(previous[2], serial)
        first = serial if previous is None or previous[0] != here[0] else previous[3]
        self.first_serial[slot] = first
        self._open[key] = (*here, serial, first)
        self.steps += 1
        return True

    def finish(self, step: StepId, final_observation: Observation, base_action: np.ndarray | None = None) -> None:
        """Store the observation after the episode's last step ``step``, with the base action there."""
        last = self._open.get(step[:2])
        if last is None or last[:2] != (step.episode, step.step) or self._next_known(last[2]):
            return
        serial = self._write_observation(final_observation)
        self.base_action[serial % self.capacity] = 0.0 if base_action is None else base_action
        self._link(last[2], serial)

    def forget(self, step: StepId) -> None:
        """Never sample the episode again of which ``step`` is the newest; its slots stay used until written over."""
        last = self._open.get(step[:2])
        if last is not None and last[0] == step.episode:
            self.next_serial[self.first_serial == last[3]] = -1

    def add_episode(self, episode: Episode) -> None:
        for step in episode.steps:
            self.add(step)
        self.finish(episode.steps[-1].id, episode.final_observation, episode.final_base_action)

    def _write_observation(self, observation: Observation) -> int:
        serial, slot, kept = self.written, self.written % self.capacity, self._kept(observation)
        for name, array in self.observation.items():
            if name in self._files:
                self._files[name].write(slot, serial, kept[name])
            else:
                array[slot] = kept[name]
        self.action[slot] = self.proposed_action[slot] = self.base_action[slot] = 0.0
        self.reward[slot], self.source[slot] = 0.0, Source.HOLD
        for values in (*self.flags.values(), *self.inputs.values()):
            values[slot] = 0
        self.serial[slot], self.next_serial[slot], self.first_serial[slot] = serial, -1, -1
        self.written += 1
        return serial

    def _link(self, serial: int, successor: int) -> None:
        if self.serial[serial % self.capacity] == serial:
            self.next_serial[serial % self.capacity] = successor

    def _next_known(self, serial: int) -> bool:
        return self.serial[serial % self.capacity] != serial or self.next_serial[serial % self.capacity] >= 0

    def clear(self) -> None:
        """Forget everything."""
        for file in self._files.values():
            file.stamps[:] = EMPTY
        self.serial[:] = self.next_serial[:] = self.first_serial[:] = -1
        self.written = self.steps = self.missing = 0
        self._open.clear()

    # -- reading -----------------------------------------------------------------------------------------------------

    def sampleable(self, slots: np.ndarray) -> np.ndarray:
        """bool (n,): the slot holds a step whose successor is still in the ring."""
        successor = self.next_serial[slots]
        return (successor >= 0) & (self.serial[successor % self.capacity] == successor)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``count`` slots, uniform over the sampleable ones. Raises ValueError when there are none."""
        found: list[np.ndarray] = []
        missing = count
        for _ in range(64):
            slots = rng.integers(0, max(len(self), 1), missing)
            slots = slots[self.sampleable(slots)]
            found.append(slots)
            missing -= len(slots)
            if missing <= 0:
                return np.concatenate(found)
        candidates = np.flatnonzero(self.sampleable(np.arange(len(self))))
        if len(candidates) == 0:
            raise ValueError("the replay buffer holds no complete step yet: collect before updating")
        return np.concatenate([*found, rng.choice(candidates, missing)])

    def gather(self, slots: np.ndarray, returns: Returns) -> Batch[Stored]:
        """The n-step transitions that begin in ``slots``.

        A chain ends at termination (no bootstrap), at truncation and at the ring's head (bootstrap from the last
        observation), and where control passes to the person.
        """
        gamma, ends = returns.gamma, self.flags["terminated"] & (self.flags["success"] | returns.failure_ends)
        total, discount = np.zeros(len(slots), np.float32), np.ones(len(slots), np.float32)
        at, running = slots.copy(), np.ones(len(slots), bool)
        for _ in range(returns.n_step):
            after = self.next_serial[at] % self.capacity
            rewards = returns.reward(self, at, after, gamma, ends[at])
            total += np.where(running, discount * rewards, 0.0).astype(np.float32)
            discount = np.where(running, discount * gamma, discount).astype(np.float32)
            discount[running & ends[at]] = 0.0
            takeover = (self.source[after] == Source.HUMAN) & (self.source[at] != Source.HUMAN)
            if returns.cut_at_takeover:
                discount[running & takeover] = 0.0
            at = np.where(running, after, at)
            running &= ~takeover & self.sampleable(at)
            # The slot of a final observation has no successor, so `sampleable` also ends chains at episode ends.
        action, source = self.action[slots], self.source[slots]
        return Batch(
            observation={name: _rows(array, slots) for name, array in self.observation.items()},
            action=action,
            base_action=self.base_action[slots],
            reward=total,
            discount=discount,
            next_observation={name: _rows(array, at) for name, array in self.observation.items()},
            next_base_action=self.base_action[at],
            shown=(source == Source.DEMO) | (source == Source.HUMAN) & moves(action),
        )

    # -- persistence -------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The filled part of every array, and the counters (JSON-able): enough to go on exactly. Images that are in
        files stay there, and are brought to disk."""
        n = len(self)
        for file in self._files.values():
            file.flush()
        arrays = {name: array[:n] for name, array in self._arrays().items()}
        opened = [[*key, *value] for key, value in self._open.items()]
        return arrays, {"written": self.written, "steps": self.steps, "capacity": self.capacity, "open": opened}

    def load_state(self, arrays: Mapping[str, np.ndarray], counters: Mapping[str, Any]) -> None:
        """Inverse of :meth:`state`. Raises ValueError when the ring has another capacity or other entries. A slot whose
        image was written over since is left out: it comes again with the steps since."""
        mine = self._arrays()
        # Replays were once saved without the numbers of episodes' first steps: what was under way then is kept.
        if counters["capacity"] != self.capacity or {*arrays, "first_serial"} != set(mine):
            raise ValueError(
                f"stored replay holds {counters['capacity']} slots of {sorted(arrays)}; "
                f"this run has {self.capacity} of {sorted(mine)}: resume with the configuration it was saved with"
            )
        for name, array in arrays.items():
            mine[name][: len(array)] = array
        self.written, self.steps = counters["written"], counters["steps"]
        opened = ([*entry, -2][:6] for entry in counters["open"])
        self._open = {(run, actor): (episode, step, *serials) for run, actor, episode, step, *serials in opened}
        written = self.serial.copy()
        for file in self._files.values():
            self.serial[stale := file.stamps != written] = -1
            self.next_serial[stale] = -1
        self.missing = sum(int((file.stamps < written).sum()) for file in self._files.values())

    def _arrays(self) -> dict[str, np.ndarray]:
        in_memory = {name: array for name, array in self.observation.items() if name not in self._files}
        named = {f"observation.{name}": array for name, array in in_memory.items()}
        named |= {f"flag.{name}": array for name, array in self.flags.items()}
        named |= {f"input.{name}": array for name, array in self.inputs.items()}
        plain = (
            "action",
            "proposed_action",
            "base_action",
            "reward",
            "source",
            "serial",
            "next_serial",
            "first_serial",
        )
        return named | {name: getattr(self, name) for name in plain}


def _rows(array: np.ndarray, at: np.ndarray) -> Stored:
    return Rows((array, at)) if is_frame(array.shape[1:], array.dtype) else array[at]

"""The learner's half of a run: records of steps go in, updates happen, everything is reported and can be resumed.

It knows no environment. In one process :mod:`robot_rl.train` steps one beside it; as a process of its own it is fed
over the link (:mod:`robot_rl.serve`).
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hardware.interfaces import Source
from robot_rl.base_policy import BasePolicy
from robot_rl.checkpoint import Tensors, has_checkpoint, load_checkpoint, save_checkpoint
from robot_rl.cloned_policy import ClonedPolicy
from robot_rl.config import TrainConfig, from_dict, to_dict
from robot_rl.description import Description
from robot_rl.metrics import MetricsLog
from robot_rl.policy import Policy, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.tally import Tally
from robot_rl.types import Episode, Step
from robot_rl.wire import Final, Record, decode_record, encode_record

CHECKPOINTS = "checkpoints"
Progress = Callable[[Mapping[str, float]], None]


class Learner:
    """One run in the folder ``out``: ``config.json``, ``metrics.jsonl``, checkpoints, and the policy.

    Goes on from the newest whole checkpoint of the folder, where there is one. ValueError where that is of another
    configuration.
    """

    def __init__(
        self,
        out: Path,
        actor: Description,
        config: TrainConfig,
        demos: Sequence[Episode] = (),
        base: BasePolicy | None = None,
        seed: int = 0,
        progress: Progress = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ):
        self.out, self.actor, self.config, self.seed = out, actor, config, seed
        self.progress, self.say = progress, say
        self.demos, self.base = list(demos), base
        self.tally = Tally()
        self.resumed: Mapping[str, Any] = {}
        """What was saved beside the learner with the checkpoint that it goes on from; empty where it began anew."""
        self._open: dict[tuple[str, int], list[Step]] = {}
        """Per (run, actor): the steps of the episode under way."""
        self._newest: dict[tuple[str, int], tuple[int, int]] = {}
        """Per (run, actor): the newest step taken; older ones were delivered twice."""
        self._saved_steps, self._ended, self._began_s = 0, False, time.monotonic()
        out.mkdir(parents=True, exist_ok=True)
        resolved = {"env": dataclasses.asdict(actor.spec), "seed": seed, "train": to_dict(config)}
        (out / "config.json").write_text(json.dumps(resolved, indent=1))
        self.metrics = MetricsLog(out)

    # -- records and updates -----------------------------------------------------------------------------------------

    @property
    def enough(self) -> bool:
        """Whether the run has all of its steps, or has succeeded often enough in a row."""
        until = self.config.until_in_a_row
        return self.tally.env_steps >= self.config.env_steps or 0 < until <= self.tally.most_in_a_row

    @property
    def watched(self) -> bool:
        """Whether a person is to watch an episode that begins now."""
        until = self.config.watched_steps
        return until is None or self.tally.env_steps < until

    def start(self) -> None:
        """The run's time runs from here."""
        self._began_s = time.monotonic() - self.tally.wall_s

    def take(self, record: Record) -> None:
        """One step, or the end of an episode. A step that was taken before changes nothing."""
        key, here = record.id[:2], record.id[2:]
        steps = self._open.setdefault(key, [])
        if isinstance(record, Final):
            if steps and steps[-1].id == record.id:
                del self._open[key]
                if record.discarded:
                    self.forget_episode(record)
                else:
                    self.learn_episode(steps, record)
                    self.tally.add(steps)
                    if self.tally.in_a_row == self.config.until_in_a_row > 0:
                        self.say(f"{self.tally.in_a_row} successes in a row with nobody's help: that is enough")
                self._ended = True
            return
        if here <= self._newest.get(key, (-1, -1)):
            return
        self._newest[key] = here
        if steps and steps[-1].id.episode != record.id.episode:  # its actor gave that one up
            steps.clear()
        steps.append(record)
        self.tally.env_steps += 1
        if self.config.person and self.tally.env_steps == self.config.watched_steps:
            self.say("no more corrections are asked for: the policy goes on by itself; stay by the emergency stop")
        self.learn_step(record)

    def rebuild(self, recorded: Iterable[Episode]) -> int:
        """Fill the replay again with ``recorded`` episodes, in order of their numbers: what this run had taken is put
        back, and not learned from twice; what it had not is taken now. How many steps there were."""
        self.empty_replay()
        count = 0
        for episode in recorded:
            count += len(episode.steps)
            for step in episode.steps:
                known = step.id[2:] <= self._newest.get(step.id[:2], (-1, -1))
                (self.put_back if known else self.take)(step)
            final = Final(episode.steps[-1].id, episode.final_observation, episode.final_base_action)
            under_way = self._open.get(final.id[:2])
            (self.take if under_way and under_way[-1].id == final.id else self.put_back)(final)
        return count

    def abandon(self) -> None:
        """The episodes under way will not go on."""
        self._open.clear()

    def report(self) -> bool:
        """Log a row of metrics, if an episode ended since the last; whether one did."""
        ended, self._ended = self._ended, False
        if ended:
            tally = self.tally
            tally.wall_s = time.monotonic() - self._began_s
            counts = {"env_steps": tally.env_steps, "updates": tally.updates, "wall_s": tally.wall_s}
            row = {**counts, "person_s": tally.person_s, **tally.recent(), **self.values()}
            self.metrics.log(tally.env_steps, row)
            self.progress(row)
        return ended

    # -- persistence -------------------------------------------------------------------------------------------------

    @property
    def checkpoint_due(self) -> bool:
        every = self.config.checkpoint_every
        return self.tally.env_steps // every > self._saved_steps // every

    def save(self, **beside: Any) -> None:
        """The policy, and a checkpoint of everything that going on needs, ``beside`` (JSON-able) included."""
        self._saved_steps = self.tally.env_steps
        self.tally.wall_s = time.monotonic() - self._began_s
        save_policy(self.out / "policy", self.policy, self.actor.interface, self.tally.env_steps)
        tensors, metadata = self.state()
        under_way = [np.frombuffer(encode_record(step), np.uint8) for steps in self._open.values() for step in steps]
        tensors["open"] = {str(number): record for number, record in enumerate(under_way)}
        metadata |= {
            "env_steps": self.tally.env_steps,
            "tally": dataclasses.asdict(self.tally),
            "newest": [[*key, *here] for key, here in self._newest.items()],
            "config": to_dict(self.config),
            "beside": beside,
        }
        save_checkpoint(self.out / CHECKPOINTS, tensors, metadata, keep=self.config.checkpoints_kept)

    def close(self) -> None:
        """Safe to call twice."""
        self.metrics.close()

    def _resume(self) -> bool:
        """Go on from the newest whole checkpoint of this run; False when there is none. What the log says of later
        steps is dropped, since they will be taken again."""
        found = has_checkpoint(self.out / CHECKPOINTS)
        if found:
            tensors, metadata = load_checkpoint(self.out / CHECKPOINTS)
            saved = to_dict(from_dict(TrainConfig, metadata["config"]))  # with defaults for what is newer than it
            free: dict[str, Any] = {"env_steps": 0, "until_in_a_row": 0, "compute": {}}
            mine, theirs = (json.loads(json.dumps({**c, **free})) for c in (to_dict(self.config), saved))
            if mine != theirs:
                raise ValueError(
                    f"'{self.out}' holds a run with another configuration: give another --out, or the same options"
                )
            self.load_state(tensors, metadata)
            self.tally = Tally(**metadata["tally"])
            self._saved_steps = self.tally.env_steps
            # Checkpoints of one process were once taken without what only several actors need.
            newest = metadata.get("newest", [])
            self._newest = {(run, actor): (episode, step) for run, actor, episode, step in newest}
            for _, record in sorted(tensors.get("open", {}).items(), key=lambda item: int(item[0])):
                step = decode_record(record.data)
                assert isinstance(step, Step)
                self._open.setdefault(step.id[:2], []).append(step)
            self.resumed = metadata["beside"] if "beside" in metadata else {"episode": metadata["episode"]}
        self.metrics.rewind(self.tally.env_steps, len(self.tally.successes))
        return found

    # What a learner has to say; the two below do.

    @property
    def policy(self) -> RLPD | ClonedPolicy:
        """What is saved."""
        raise NotImplementedError

    def acting_policy(self) -> tuple[Policy, Source]:
        """Who acts next, and who its steps count for."""
        raise NotImplementedError

    def learn_step(self, step: Step) -> None:
        """Take a step that was never taken before."""
        raise NotImplementedError

    def learn_episode(self, steps: list[Step], final: Final) -> None:
        """An episode ended, all of whose steps were taken."""
        raise NotImplementedError

    def forget_episode(self, final: Final) -> None:
        """An episode ended that the person threw away: nothing more is learned from its steps."""

    def empty_replay(self) -> None:
        """Forget what was taken, but not what was learned from it."""

    def put_back(self, record: Record) -> None:
        """Have a record that was taken before in the replay again."""

    def update(self) -> None:
        """One round of the updates that are due, if any is."""
        raise NotImplementedError

    @property
    def owed(self) -> int:
        """Rounds of updates that are due."""
        raise NotImplementedError

    @property
    def learned(self) -> int:
        """Grows with whatever an actor should have: updates, and fits of a base."""
        return self.tally.updates

    def values(self) -> Mapping[str, float]:
        """Figures of the last update."""
        raise NotImplementedError

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        raise NotImplementedError

    def load_state(self, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
        raise NotImplementedError

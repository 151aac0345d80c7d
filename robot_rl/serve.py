"""The learner as a process of its own: it takes what actors deliver, keeps pace with it, and hands weights out.

It knows no environment, robot or twin. What it has confirmed to an actor is in its journal, what it has learned is in
its checkpoints, and a checkpoint says where in the journal it stands: killed at any instant, it takes the rest again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from robot_rl.description import Description
from robot_rl.episodes import EpisodeStore
from robot_rl.journal import Journal
from robot_rl.keys import LearnerKeys
from robot_rl.learner import Learner
from robot_rl.link_learner import ZmqLearnerEnd
from robot_rl.policy_weights import pack_weights
from robot_rl.stopping import Stopping

JOURNAL, ACTOR = "journal", "actor.json"
BATCH = 64
"""Records taken at a time, between rounds of updates."""
IDLE_S = 0.2
PUBLISH_S = 1.0
"""Between weights; sooner where who acts changes."""
FAREWELL_S = 10.0
"""How long the finished learner waits for its actors to hear of it."""
Say = Callable[[str], None]


def first_actor(out: Path, endpoint: str, keys: LearnerKeys | None, stopping: Stopping, say: Say) -> Description:
    """What is learned for: what the first actor that comes says of itself, or said when this run began."""
    path = out / ACTOR
    if path.exists():
        return Description.from_json(path.read_text())
    out.mkdir(parents=True, exist_ok=True)
    heard: deque[Description] = deque()

    def meet(about: str) -> str:
        try:
            heard.append(Description.from_json(about))
        except ValueError as error:
            return str(error)
        return "the learner is getting ready"

    journal = Journal(out / JOURNAL)
    end = ZmqLearnerEnd(endpoint, journal, meet, keys)
    try:
        say(f"waiting for an actor at {end.endpoint}")
        while not heard:
            if stopping.asked:
                raise KeyboardInterrupt
            time.sleep(IDLE_S)
    finally:
        end.close()
        journal.close()
    fresh = path.with_suffix(".new")
    fresh.write_text(heard[0].to_json())
    fresh.rename(path)
    return heard[0]


class Serving:
    """Serves ``learner`` at ``endpoint``. ValueError for an address that needs keys and has none, or is taken."""

    def __init__(
        self, learner: Learner, endpoint: str, keys: LearnerKeys | None = None, say: Say = lambda text: None
    ) -> None:
        self.learner, self._say = learner, say
        self.journal = Journal(learner.out / JOURNAL, learner.resumed.get("journal"))
        self.end = ZmqLearnerEnd(endpoint, self.journal, self._admit, keys)
        self._positions: deque[dict[str, int]] = deque(maxlen=learner.config.checkpoints_kept)
        self._version, self._published_s = 0, 0.0
        self._published: tuple[int, str, bool, bool] | None = None
        say(f"learning; actors come to {self.end.endpoint}")

    def run(self, stopping: Stopping) -> None:
        """Learn until the run has all of its steps and updates, or until asked to stop (KeyboardInterrupt). Either way
        the last state is on disk. Actors are told to end as soon as no more steps are needed: a robot does not move for
        updates that are still owed."""
        learner = self.learner
        learner.start()
        try:
            while not (learner.enough and learner.owed <= 0) and not stopping.asked:
                self._round()
            self._save()
            if stopping.asked:
                raise KeyboardInterrupt
            self._publish()  # also where there was nothing left to do
            until = time.monotonic() + FAREWELL_S
            while not self.end.delivered and time.monotonic() < until and not stopping.asked:
                time.sleep(0.05)
        finally:
            self.end.close()
            self.journal.close()
            learner.close()

    def rebuild(self, folders: Sequence[Path]) -> None:
        """Fill the replay again from recorded episodes, and save that."""
        stores = [EpisodeStore(folder) for folder in folders]
        recorded = (s.read(row) for s in stores for row in s.list() if row.label != "discard")
        self._say(f"{self.learner.rebuild(recorded)} recorded steps are in the replay again")
        for store in stores:
            store.close()
        self._save()

    def _round(self) -> None:
        learner = self.learner
        room = min(BATCH, learner.config.env_steps - learner.tally.env_steps)
        if room > 0:
            for record in self.end.take(room, 0.0 if learner.owed > 0 else IDLE_S):
                learner.take(record)
        learner.update()
        self.end.owe(max(0, learner.owed))
        if learner.report() and learner.checkpoint_due:
            self._save()
        self._publish()
        for line in self.end.refusals():
            self._say(line)

    def _publish(self) -> None:
        """Hand out weights where there are new ones; at once where other hands act by them, or none any more, or
        where nobody needs to watch any more."""
        learner, now = self.learner, time.monotonic()
        acting, _ = learner.acting_policy()
        state = (learner.learned, type(acting).__name__, learner.enough, learner.watched)
        same_hand = self._published is not None and self._published[1:] == state[1:]
        if state == self._published or (same_hand and now - self._published_s < PUBLISH_S):
            return
        self._version, self._published, self._published_s = self._version + 1, state, now
        interface = learner.actor.interface
        self.end.publish(pack_weights(self._version, learner.policy, acting, interface, *state[2:]))

    def _save(self) -> None:
        """A checkpoint; the journal keeps what the oldest one kept does not have. A full disk costs only the
        checkpoint: the one before stays, and the next is tried in time."""
        position = self.journal.position()
        try:
            self.learner.save(journal=position)
        except OSError as error:
            self._say(f"no checkpoint could be saved, the last one stays: {error.strerror or error}")
            return
        if len(self._positions) == self._positions.maxlen:
            self.journal.forget(self._positions[0])
        self._positions.append(position)

    def _admit(self, about: str) -> str:
        try:
            return Description.from_json(about).differs_from(self.learner.actor)
        except ValueError as error:
            return str(error)

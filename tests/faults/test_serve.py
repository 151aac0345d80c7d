"""A learner that is served and an actor, in threads of one process: the whole way of a step and of weights."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from robot_rl.actor import Actor
from robot_rl.checkpoint import load_checkpoint
from robot_rl.config import LearnerConfig, TrainConfig
from robot_rl.description import Description
from robot_rl.episodes import EpisodeStore
from robot_rl.learners import make_learner
from robot_rl.link_actor import ZmqActorEnd
from robot_rl.rollout import EnvSpec
from robot_rl.serve import Serving, first_actor
from robot_rl.spool import Spool
from robot_rl.stopping import Stopping

PATIENCE_S = 300.0
MAX_BEHIND = 8
POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")
CONFIG = TrainConfig(
    env_steps=160,
    warmup="random",
    warmup_steps=40,
    critic_only_updates=0,
    checkpoint_every=50,
    learner=LearnerConfig(width=8, batch_size=8, utd_ratio=1, replay_capacity=2_000),
)


class ActorThread:
    """An actor of ``folder`` at ``endpoint``, begun once ``after`` is true; :meth:`join` gives what it did."""

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        number: int = 0,
        after: Callable[[], bool] = lambda: True,
        max_steps: int | None = None,
        max_behind: int = MAX_BEHIND,
    ):
        self.folder, self.endpoint, self.number = folder, endpoint, number
        self.after, self.max_steps, self.max_behind = after, max_steps, max_behind
        self.stopping, self.done = Stopping(), {}
        self.delivered: Callable[[], bool] = lambda: False
        """Whether the learner has steps, and all there are."""
        self.said: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self.after():
            time.sleep(0.01)
        env, spool = POINT.make(), Spool(self.folder / "spool")
        link = ZmqActorEnd(self.endpoint, spool, Description.of(env, POINT).to_json(), self.number)
        run = f"actor-{spool.id[:8]}"
        options: dict[str, Any] = {"max_behind": self.max_behind, "min_free_bytes": 0, "say": self.said.append}
        actor = Actor(self.folder, env, POINT, link, run, seed=1, actor=self.number, **options)
        self.delivered = lambda: actor.steps > 0 and link.state().backlog == 0
        self.done = actor.run(self.stopping, self.max_steps)
        link.close()
        spool.close()

    def join(self) -> dict[str, Any]:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.done

    def stop(self) -> dict[str, Any]:
        self.stopping.asked = True
        return self.join()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    yield f"ipc://{tmp_path / 'link'}"


def learn(out: Path, endpoint: str, config: TrainConfig = CONFIG) -> Any:
    """A served learner, to its end."""
    learner = make_learner(out, first_actor(out, endpoint, None, Stopping(), lambda _: None), config)
    Serving(learner, endpoint).run(Stopping())
    return learner


def test_a_run_from_the_first_hello_to_the_last_weights(tmp_path: Path, endpoint: str) -> None:
    actor = ActorThread(tmp_path / "actor", endpoint)
    learner = learn(tmp_path / "learner", endpoint)
    done = actor.join()
    assert learner.tally.env_steps == 160 and learner.off_policy.actor_updates == 121
    assert 160 <= done["steps"] <= 160 + MAX_BEHIND + 1, "a twin's time stands still for the learner"
    store = EpisodeStore(tmp_path / "actor" / "episodes")
    rows = store.list()
    store.close()
    # The last step of what is given up has no observation after it; where it is the first too, no file is left.
    assert sum(row.steps for row in rows) + done["aborted"] == done["steps"]
    assert sum(not row.complete for row in rows) <= done["aborted"] <= 1
    assert (tmp_path / "learner" / "policy" / "policy.json").exists()


def test_an_actor_ends_when_no_more_steps_are_needed_though_updates_are_owed(tmp_path: Path, endpoint: str) -> None:
    actor = ActorThread(tmp_path / "actor", endpoint, max_behind=1_000)
    out = tmp_path / "learner"
    learner = make_learner(out, first_actor(out, endpoint, None, Stopping(), lambda _: None), CONFIG)
    updates, owed = learner.update, []

    def update_last() -> None:
        """No update before the actor has ended."""
        if actor.done:
            owed.append(learner.owed)
            updates()

    learner.update = update_last  # type: ignore[method-assign]
    Serving(learner, endpoint).run(Stopping())
    assert actor.join()["steps"] >= 160
    assert owed[0] == 121 and learner.off_policy.actor_updates == 121


def test_an_actor_that_comes_to_a_finished_learner_is_told_so(tmp_path: Path, endpoint: str) -> None:
    actor = ActorThread(tmp_path / "actor", endpoint)
    learn(tmp_path / "learner", endpoint)
    actor.join()
    out = tmp_path / "learner"
    serving = Serving(make_learner(out, first_actor(out, endpoint, None, Stopping(), lambda _: None), CONFIG), endpoint)
    late = ActorThread(tmp_path / "late", endpoint, 1)
    deadline = time.monotonic() + PATIENCE_S
    while not any(peer.wants for peer in list(serving.end._peers.values())) and time.monotonic() < deadline:
        time.sleep(0.01)
    serving.run(Stopping())
    assert late.join()["steps"] == 0


def test_two_actors_feed_one_learner_with_other_episodes(tmp_path: Path, endpoint: str) -> None:
    first = ActorThread(tmp_path / "first", endpoint, 0, max_steps=60)  # the learner needs the second for the rest
    second = ActorThread(tmp_path / "second", endpoint, 1, after=lambda: first.delivered())
    learner = learn(tmp_path / "learner", endpoint)
    first.join()
    second.join()
    assert learner.tally.env_steps == 160
    assert len({run for run, _ in learner._newest}) == 2
    assert {number for _, number in learner._newest} == {0, 1}


def test_a_learner_that_comes_again_goes_on_from_its_checkpoint_and_its_journal(tmp_path: Path, endpoint: str) -> None:
    """Everything that was confirmed after the checkpoint is taken again, and its rows of metrics are not doubled."""
    out, actor = tmp_path / "learner", ActorThread(tmp_path / "actor", endpoint)
    learn(out, endpoint)
    actor.join()
    at = load_checkpoint(out / "checkpoints")[1]["env_steps"]
    longer = dataclasses.replace(CONFIG, env_steps=220)
    actor = ActorThread(tmp_path / "actor", endpoint)
    learner = learn(out, endpoint, longer)
    actor.join()
    assert at == 160 and learner.tally.env_steps == 220
    ended = [json.loads(row)["episodes"] for row in (out / "metrics.jsonl").read_text().splitlines()]
    assert ended == sorted(set(ended))


def test_a_learner_that_lost_everything_begins_again_from_what_was_recorded(tmp_path: Path, endpoint: str) -> None:
    actor = ActorThread(tmp_path / "actor", endpoint)
    about = learn(tmp_path / "lost", endpoint).actor
    actor.join()
    shutil.rmtree(tmp_path / "lost")
    other = ActorThread(tmp_path / "other", endpoint, 1)
    learner = make_learner(tmp_path / "learner", about, dataclasses.replace(CONFIG, env_steps=220))
    serving = Serving(learner, endpoint)
    serving.rebuild([tmp_path / "actor" / "episodes"])
    assert 100 < learner.tally.env_steps <= 169 and learner.owed == learner.tally.env_steps - 39
    serving.run(Stopping())
    other.join()
    assert learner.tally.env_steps == 220 and {number for _, number in learner._newest} == {0, 1}


def test_an_actor_of_another_learners_run_keeps_its_steps_to_itself(tmp_path: Path, endpoint: str) -> None:
    actor = ActorThread(tmp_path / "actor", endpoint)
    learn(tmp_path / "first", endpoint)
    actor.join()
    stranger = ActorThread(tmp_path / "actor", endpoint)
    refused = lambda: any("another learner's run" in line for line in stranger.said)  # noqa: E731
    other = ActorThread(tmp_path / "other", endpoint, 1, after=refused)  # the learner ends with it
    learner = learn(tmp_path / "second", endpoint)
    other.join()
    stranger.stop()
    assert refused()
    assert {number for _, number in learner._newest} == {1}


def test_an_actor_that_observes_something_else_is_told_so(tmp_path: Path) -> None:
    env = POINT.make()
    about = Description.of(env, POINT)
    env.close()
    assert Description.from_json(about.to_json()) == about
    other = dataclasses.replace(about, interface=dataclasses.replace(about.interface, task="reach"))
    assert "'reach'" in other.differs_from(about) and not about.differs_from(about)
    wider = dataclasses.replace(about, layout={**about.layout, "wrist": ((4, 4, 3), about.layout["state"][1])})
    assert "wrist 4×4×3" in wider.differs_from(about)
    for damaged in ("", "{}", "[]", about.to_json()[:-4]):
        with pytest.raises(ValueError, match="not the description of an actor"):
            Description.from_json(damaged)

"""``robot-rl demo``: from nothing to a tested policy in the twin, and a report of it.

demonstrations → cloned base → reinforcement with the scripted person → test declared in advance → video, report.
Base and blind script are tested beside the training, on whatever it leaves of the machine.
Every stage leaves its result in the run's folder and is skipped where that result exists: an interrupted demo goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from robot_rl.base_policy import BasePolicy
from robot_rl.cli import jsonable
from robot_rl.command import say
from robot_rl.commands import evaluation_summary
from robot_rl.config import seeing
from robot_rl.demonstrations import clone_base, collect_demos
from robot_rl.episodes import EpisodeStore
from robot_rl.evaluate import EvaluationProcesses
from robot_rl.metrics import TrainingProgress
from robot_rl.report import FAILURES, write_report
from robot_rl.rollout import EnvSpec
from robot_rl.run_folder import declare_test
from robot_rl.tally import Tally
from robot_rl.train import train
from robot_rl.types import Episode
from sim.console import train_watched
from sim.demo_video import film
from sim.meshes import MeshesUnavailable
from sim.world import RendererUnavailable

if TYPE_CHECKING:
    from sim.commands import Demo

T = TypeVar("T")
Begun: TypeAlias = "dict[str, EvaluationProcesses | None]"
"""Tests under way, by name."""
WINDOW = 20
"""Episodes at either end of training over which interventions are averaged."""


@dataclass(frozen=True)
class Interventions:
    """What the person did in a stretch of training."""

    takeovers_per_episode: float
    share_of_steps: float


class DemoRun:
    """One demo in the folder ``out``."""

    def __init__(self, options: Demo, out: Path):
        self.options, self.out = options, out
        self.config, self.seed = options.config, options.seed
        if options.cameras:
            self.config = seeing(self.config, options.views)
        self.alone = options.env_spec()
        self.watched = (
            options.env_spec(person=options.skill, takeover=options.takeover) if self.config.person else self.alone
        )
        self.control_hz = 0.0
        self._stages = out / "stages.json"
        out.mkdir(parents=True, exist_ok=True)

    def run(self) -> dict[str, Any]:
        """All stages; returns the summary."""
        options = self.options
        declare_test(self.out, self.options.test_episodes, self.seed)
        shown = self._timed("demonstrations", self._demonstrations)
        base = self._timed(
            "base", lambda: clone_base(self.out / "base", self.alone, self.config.cloning, shown, self.seed)
        )
        tally, evaluations = self._train_and_test(shown, base)
        say(f"trained policy, {options.test_episodes} new episodes: {_in_words(evaluations['policy'])}")
        if options.video:
            self._timed("video", self._film)
        summary = self.summary(shown, tally, evaluations)
        (self.out / "summary.json").write_text(json.dumps(jsonable(summary), indent=1), encoding="utf-8")
        say(f"report: {write_report(self.out)}")
        return summary

    def _train_and_test(self, shown: list[Episode], base: BasePolicy) -> tuple[Tally, dict[str, dict[str, Any]]]:
        """Training, and the declared test: of base and blind script beside it, of the policy when it is done."""
        with self._tests({"base": self.out / "base", "blind": "blind"}, niceness=19) as floors:
            tally = self._train(shown, base)
            evaluations = self._outcomes(floors)
        for name, label in (("base", "behaviour-cloned base"), ("blind", "blind script")):
            say(f"{label}: {_in_words(evaluations[name])}")
        names = ("policy", "policy_stochastic") if self.config.method == "rl" else ("policy",)
        with self._tests(dict.fromkeys(names, self.out / "policy")) as tests:
            return tally, evaluations | self._outcomes(tests)

    def summary(self, shown: list[Episode], tally: Tally, evaluations: Mapping[str, Any]) -> dict[str, Any]:
        """The figures of the run."""
        policy, stages = evaluations["policy"], self._durations()
        first, last = self._interventions()
        return {
            "task": self.options.task,
            "preset": self.options.preset,
            "seed": self.seed,
            **tally.figures(shown),
            "wall_s": sum(stages.values()) + tally.wall_s,
            "base_success": evaluations["base"]["success"],
            "blind_success": evaluations["blind"]["success"],
            "success": policy["success"],
            "success_low": policy["success_low"],
            "success_stochastic": evaluations.get("policy_stochastic", policy)["success"],
            "cycle_s": policy["cycle_s"],
            "interventions_first_20": first.takeovers_per_episode,
            "interventions_last_20": last.takeovers_per_episode,
            "intervention_steps_first_20": first.share_of_steps,
            "intervention_steps_last_20": last.share_of_steps,
            "training_s": tally.wall_s,
            "stages_s": stages,
            "evaluations": dict(evaluations),
        }

    def _demonstrations(self) -> list[Episode]:
        spec = self.options.env_spec(person=self.options.skill, takeover="always")
        return collect_demos(self.out / "demos", spec, self.options.demos, self.seed, progress=_say_demos)

    def _train(self, shown: list[Episode], base: BasePolicy) -> Tally:
        options = self.options
        with TrainingProgress(self.config.env_steps) as progress:
            given: dict[str, Any] = {"demos": shown, "base": base, "seed": self.seed, "progress": progress}
            if options.interactive:
                return train_watched(
                    self.out, self.alone, self.config, options.address, options.speed, options.sounds, **given
                )
            return train(self.out, self.watched, self.config, **given)

    @contextmanager
    def _tests(self, policies: Mapping[str, Path | str], niceness: int = 0) -> Iterator[Begun]:
        """The declared tests of policies, by name, begun together; what was tested before is None. They end with the
        block."""
        workers = max(1, self.options.workers // len(policies))
        begun: Begun = {}
        try:
            for name, policy in policies.items():
                begun[name] = self._begin_test(name, policy, workers, niceness)
            yield begun
        finally:
            for test in begun.values():
                if test is not None:
                    test.stop()

    def _begin_test(self, name: str, policy: Path | str, workers: int, niceness: int) -> EvaluationProcesses | None:
        if self._tested(name).exists():
            return None
        run = (policy, self.alone, self.options.test_episodes, self.seed, name != "policy_stochastic")
        pictures = self.out / FAILURES if name == "policy" else None
        return EvaluationProcesses(*run, workers, pictures=pictures, niceness=niceness)

    def _outcomes(self, begun: Begun) -> dict[str, dict[str, Any]]:
        """What came of the tests; waits for them."""
        for name, test in begun.items():
            if test is not None:
                result = self._timed(f"test of {name}", test.result)
                self._tested(name).parent.mkdir(exist_ok=True)
                self._tested(name).write_text(json.dumps(jsonable(evaluation_summary(result))), encoding="utf-8")
        return {name: json.loads(self._tested(name).read_text()) for name in begun}

    def _tested(self, name: str) -> Path:
        return self.out / "evaluations" / f"{name}.json"

    def _film(self) -> None:
        try:
            film(self.out, self._dressed(self.watched), self._dressed(self.alone), self.seed)
        except (RendererUnavailable, MeshesUnavailable) as error:
            say(f"no video: {error}")

    def _dressed(self, spec: EnvSpec) -> EnvSpec:
        return EnvSpec(spec.id, {**spec.kwargs, "meshes": self.options.meshes})

    def _interventions(self) -> tuple[Interventions, Interventions]:
        """Of the first and of the last episodes of training."""
        store = EpisodeStore(self.out / "episodes")
        by_number = {row.episode: row for row in store.list() if row.kind == "online" and row.complete}
        store.close()
        rows = [by_number[number] for number in sorted(by_number)]

        def mean(part: list[Any]) -> Interventions:
            driven = sum(end - start for row in part for start, end in row.intervention_spans)
            takeovers = sum(len(row.intervention_spans) for row in part)
            return Interventions(takeovers / max(len(part), 1), driven / max(sum(row.steps for row in part), 1))

        return mean(rows[:WINDOW]), mean(rows[-WINDOW:])

    def _timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do a stage and add its wall time to ``stages.json``."""
        started = time.monotonic()
        try:
            return work()
        finally:
            spent = self._durations()
            spent[stage] = spent.get(stage, 0.0) + time.monotonic() - started
            self._stages.write_text(json.dumps(spent), encoding="utf-8")

    def _durations(self) -> dict[str, float]:
        return json.loads(self._stages.read_text()) if self._stages.exists() else {}


def run_demo(options: Demo, out: Path) -> dict[str, Any]:
    """Run the demo in ``out`` and return its summary."""
    run = DemoRun(options, out)
    say(f"demo of {options.task} with {options.preset}, seed {options.seed}, in {out}")
    return run.run()


def _say_demos(done: int, wanted: int) -> None:
    if done == wanted or done % 5 == 0:
        say(f"demonstrations: {done}/{wanted}")


def _in_words(evaluation: Mapping[str, Any]) -> str:
    low, high = evaluation["success_low"], evaluation["success_high"]
    return f"{evaluation['successes']}/{evaluation['episodes']} succeed ({low:.0%}–{high:.0%})"

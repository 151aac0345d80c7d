"""HIL-Bench: what a run cost, when success was reached for good, and the statistics, each against numbers by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks import page as results_page
from benchmarks.hil_bench import methods, page, robustness, statistics
from benchmarks.hil_bench.command import HilBench
from benchmarks.hil_bench.outside import Meter, OutOfSteps
from benchmarks.hil_bench.run import Run, ends, lay_out_demos, rows_of
from benchmarks.hil_bench.score import WINDOW, History, attention, pareto, sustained
from benchmarks.hil_bench.tasks import FITTED, LEVELS, TASKS, BenchTask, people_name, person_of
from benchmarks.runs import SHARED, share
from hardware.interfaces import ResetPlan
from robot_rl.cli import parse
from robot_rl.config import CloningConfig, to_dict
from robot_rl.demonstrations import collect_demos
from robot_rl.episodes import EpisodeStore, load_demos
from robot_rl.manifest import EpisodeRow
from robot_rl.policy import load_policy
from robot_rl.presets import PRESETS, preset
from robot_rl.rollout import EVALUATION_SEEDS, EnvSpec, Rollout
from sim.skill import SKILLS, Skill
from sim.tasks.base import TwinTask
from tests.reaching import REACH, save_clone
from tests.robot_rl.point_env import PointReach

TASK = BenchTask("toy", 100, person_reset_s=2.0, robot_reset_s=3.0, label_s=1.0)
DEMOS = History((30, 50), (0, 0), (True, True), hz=10.0, watched=True)


def training(outcomes: str, watched: bool = True, wall_s: tuple[float, ...] = ()) -> History:
    """Ten steps an episode: ``+`` success alone, ``h`` success with four steps of help, ``-`` failure."""
    return History(
        steps=(10,) * len(outcomes),
        driven=tuple(4 if outcome == "h" else 0 for outcome in outcomes),
        success=tuple(outcome != "-" for outcome in outcomes),
        hz=10.0,
        watched=watched,
        wall_s=wall_s,
    )


def test_attention_is_showing_driving_resets_labels_and_watching() -> None:
    spent = attention(TASK, training("h-+"), DEMOS)
    assert (spent.showing_s, spent.driving_s, spent.resets_s, spent.labels_s) == (8.0, 0.4, 10.0, 5.0)
    assert spent.watching_s == pytest.approx(2.6)
    assert spent.total_s == pytest.approx(spent.hands_s + 2.6) == pytest.approx(26.0)


def test_nobody_watches_a_method_without_a_person() -> None:
    spent = attention(TASK, training("--", watched=False), DEMOS)
    assert (spent.watching_s, spent.driving_s) == (0.0, 0.0)
    assert spent.resets_s == 8.0, "but the scene is put back all the same"


def test_who_leaves_watches_no_more_from_the_next_episode_on() -> None:
    """Ten steps an episode: the third begins after 20 steps, when they had not left yet."""
    left = replace(training("h-++"), watched_steps=21)
    assert attention(TASK, left, DEMOS).watching_s == pytest.approx(3.0 - 0.4)
    assert attention(TASK, left, DEMOS, 2).watching_s == pytest.approx(2.0 - 0.4)
    assert attention(TASK, replace(left, watched_steps=20), DEMOS).watching_s == pytest.approx(2.0 - 0.4)


def test_success_with_help_is_no_success() -> None:
    assert training("h" * 40).rates() == [0.0] * 40
    assert sustained(TASK, training("h" * 40), DEMOS, 0.9) is None


def test_sustained_success_counts_from_where_it_never_falls_again() -> None:
    early = "-" * 5 + "+" * 30  # above 90 % with the third failure out of the window
    relapsed = early + "-" * 4 + "+" * 30
    wall_s = tuple(float(n) for n in range(1, 70))
    reached = sustained(TASK, training(early, wall_s=wall_s[:35]), DEMOS, 0.9)
    assert reached is not None
    assert (reached.env_steps, reached.wall_s) == (230, 23.0)
    assert reached.robot_s == pytest.approx((80 + 230) / 10.0 + 3.0 * (2 + 23))
    assert reached.attention == attention(TASK, training(early), DEMOS, episodes=23)
    later = sustained(TASK, training(relapsed, wall_s=wall_s), DEMOS, 0.9)
    assert later is not None and later.env_steps == 10 * (35 + 4 + 18)
    assert sustained(TASK, training(early + "---"), DEMOS, 0.9) is None, "lost again at the end"


def test_too_few_episodes_say_nothing() -> None:
    assert sustained(TASK, training("+" * (WINDOW - 1)), DEMOS, 0.9) is None
    reached = sustained(TASK, training("+" * WINDOW), DEMOS, 0.9)
    assert reached is not None and reached.env_steps == 10 * WINDOW
    assert reached.wall_s is None


def test_histories_survive_json() -> None:
    import json

    whole = training("h-+", wall_s=(1.0, 2.0, 3.0))
    assert History.of(json.loads(json.dumps(whole.saved()))) == whole


def test_the_front_is_what_none_beats_in_both() -> None:
    assert pareto([(5.0, 0.9), (1.0, 0.2), (2.0, 0.1), (1.0, 0.3), (9.0, 0.9), (7.0, 1.0)]) == [3, 0, 5]


def test_the_interquartile_mean_leaves_out_both_ends() -> None:
    assert statistics.iqm(np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0])) == 3.5
    assert statistics.iqm(np.array([0.25])) == 0.25
    rng = np.random.default_rng(0)
    scores = rng.random(37)
    trim_mean = pytest.importorskip("scipy.stats").trim_mean
    assert statistics.iqm(scores) == pytest.approx(trim_mean(scores, 0.25))


def test_the_interval_draws_within_tasks_and_agrees_with_scipys() -> None:
    always = {"easy": [1.0] * 5, "hard": [0.0] * 5}
    assert statistics.interval(always, lambda x: float(x.mean())) == (0.5, 0.5), "no task is drawn more than another"
    runs = np.random.default_rng(1).normal(0.5, 0.1, 60)
    low, high = statistics.interval({"": runs}, lambda x: float(x.mean()))
    bootstrap = pytest.importorskip("scipy.stats").bootstrap
    theirs = bootstrap((runs,), np.mean, method="percentile", rng=np.random.default_rng(2)).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_the_probability_of_improvement_counts_ties_half() -> None:
    mine, theirs = {"a": [1.0, 0.5], "b": [0.0]}, {"a": [0.5, 0.5], "b": [1.0], "c": [0.0]}
    assert statistics.probability_of_improvement(mine, theirs) == pytest.approx((0.75 + 0.0) / 2)
    with pytest.raises(ValueError, match="common task"):
        statistics.probability_of_improvement({"a": [1.0]}, {"b": [1.0]})


def test_every_method_meets_the_same_person_and_people_differ() -> None:
    assert person_of(3) == person_of(3)
    drawn = [person_of(seed).level for seed in range(400)]
    for level, share_of in LEVELS.items():
        assert drawn.count(level) / 400 == pytest.approx(share_of, abs=0.08)
    assert {person_of(seed, "novice").level for seed in range(9)} == {"novice"}
    with pytest.raises(ValueError, match="drawn, expert, intermediate, novice"):
        person_of(0, "surgeon")


def test_real_people_come_with_a_hand_and_perhaps_with_demonstrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, seen = tmp_path / "ada", tmp_path / "reach-bc-3" / "demos"
    ada.mkdir()
    with pytest.raises(ValueError, match=r"cannot read .*person\.toml"):
        person_of(3, str(ada))
    SKILLS["novice"].save(ada / FITTED)
    assert people_name(str(ada)) == "ada"
    person = person_of(3, str(ada))
    assert person.seed == 3 and Skill.named(person.level, 3) == SKILLS["novice"]
    run = Run("reach", "bc", 3, str(ada), 10, 10, seen.parent)
    described = run.described()
    assert (described["people"], described["person"]) == ("ada", {"level": str(ada / FITTED), "seed": 3})
    lay_out_demos(run)
    assert not seen.exists(), "the scripted person shows, with her hand"
    with pytest.raises(ValueError, match="of another name"):
        person_of(3, str(ada.rename(tmp_path / "expert")))
    (tmp_path / "expert").rename(ada)

    monkeypatch.setattr("benchmarks.hil_bench.run.DEMOS", 2)
    shown = collect_demos(ada / "reach", EnvSpec(REACH.id, {"person": "expert", "takeover": "always"}), 3, seed=0)
    store = EpisodeStore(ada / "reach")
    first, *_ = [row.path for row in store.list()]
    store.label(first, "discard")
    lay_out_demos(run)
    assert [e.header.seed for e in load_demos(seen, "reach", 6)] == [e.header.seed for e in shown[1:]]
    assert collect_demos(seen, REACH, 2, seed=3)[0].header.seed == shown[1].header.seed, "nothing new is recorded"

    store.label(store.list()[1].path, "failure")
    store.close()
    lay_out_demos(run)  # A run that has begun keeps what it has.
    another = replace(run, out=tmp_path / "reach-bc-4")
    with pytest.raises(ValueError, match=r"1 successful demonstrations in .*reach.*: a run begins with 2"):
        lay_out_demos(another)
    (ada / "reach").rename(tmp_path / "episodes")
    (ada / "reach").mkdir()
    (tmp_path / "episodes").rename(ada / "reach" / "episodes")  # As the console has it.
    with pytest.raises(ValueError, match="1 successful"):
        lay_out_demos(another)
    assert len(list(seen.glob("*.mcap"))) == 2


def test_methods_are_presets_whose_options_the_demo_takes() -> None:
    from importlib.metadata import entry_points

    (demo,) = entry_points(group="robot_rl.commands", name="demo")
    for name, method in methods.METHODS.items():
        command: Any = parse("demo", demo, method.arguments)
        assert method.preset in PRESETS
        assert command.config.learner.width == 64, name
        if method.options:
            assert to_dict(command.config) != to_dict(PRESETS[method.preset])


def test_an_episode_that_the_end_broke_off_costs_no_wall_time() -> None:
    def row(steps: int, complete: bool = True) -> EpisodeRow:
        return EpisodeRow("", "", 0, 0, "toy", 0, "", steps, False, (), 0.0, "online", complete, "")

    whole, known = [row(10), row(30)], [(10, 2.5), (40, 9.0)]
    assert ends(whole, known) == (2.5, 9.0)
    assert ends([*whole, row(7, complete=False)], known) == (2.5, 9.0, 9.0)
    assert ends([row(5), *whole, row(7, complete=False)], [*known, (52, 9.5)]) == ()
    assert ends([*whole, row(7)], known) == ends([row(5), *whole], known) == ends(whole, []) == ends([], []) == ()


class Driven(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A person drives every third step."""

    def step(self, action: Any) -> Any:
        from hardware.interfaces import Source

        self.count = getattr(self, "count", 0) + 1
        seen, reward, terminated, truncated, info = self.env.step(action)
        source = Source.HUMAN if self.count % 3 == 0 else Source.POLICY
        return seen, reward, terminated, truncated, {**info, "source": source}


def test_a_meter_keeps_the_history_and_ends_the_run() -> None:
    env = Meter(Driven(PointReach()), env_steps=35, seed=0)
    with pytest.raises(OutOfSteps):
        while True:
            seen, _ = env.reset(seed=7)
            over = False
            while not over:
                seen, _, over, _, _ = env.step(np.clip(seen["goal"] - seen["position"], -0.2, 0.2))
    history = env.history(10.0)
    assert sum(history.steps) == 35 and sum(history.driven) == 11
    assert all(history.success[:-1])
    assert len(history.steps) == len(history.wall_s) > 5


def test_a_meters_episodes_are_those_of_the_run_whatever_seed_is_asked_for() -> None:
    first, second = (Meter(PointReach(), env_steps=9, seed=4) for _ in range(2))
    same = [env.reset(seed=asked)[0] for env, asked in ((first, 1), (second, 2))]
    assert all(np.array_equal(same[0][name], same[1][name]) for name in same[0])


def result(method: str, seed: int, success: float, task: str = "reach") -> dict[str, Any]:
    tested = {"success": success, "cycle_s": 2.0 if success else None}
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "people": "drawn",
        "env_steps": 400,
        "tests": {"policy": tested, "blind": {"success": 0.5}},
        "demos": DEMOS.saved(),
        "training": training("-" + "+" * 25 if success > 0.5 else "-" * 26).saved(),
    }


RESULTS = [result("ours", 1, 0.9), result("ours", 0, 0.7), result("theirs", 0, 0.1), result("theirs", 1, 0.0)]


def test_the_table_shows_every_seed_the_better_method_first() -> None:
    text = page.table([*RESULTS, result("ours", 0, 0.4, "pick_cube")])
    rows = text.splitlines()
    ours = next(row for row in rows if row.startswith("| `ours` | 80.0%"))
    assert "70.0% 90.0% | 80.0% (–) |" in ours and "| 200 | 200 |" in ours
    assert rows.index(ours) < next(n for n, row in enumerate(rows) if row.startswith("| `theirs`"))
    assert "– (0 of 2)" in text and "blind script 50%" in text
    together = text[text.index("**Together** (pick_cube, reach)") :]
    assert "`ours`" in together and "`theirs`" not in together, "theirs was not run on all of them"


def test_wall_time_is_the_median_of_the_runs_that_kept_it() -> None:
    def lasting(seed: int, pace_s: float) -> dict[str, Any]:
        kept = training("-" + "+" * 25, wall_s=tuple(pace_s * n for n in range(1, 27)))
        return {**result("ours", seed, 0.9), "training": kept.saved()}

    column = page.COLUMNS.index("wall to 90 %")

    def shown(*runs: dict[str, Any]) -> str:
        row = next(line for line in page.table(runs).splitlines() if line.startswith("| `ours` |"))
        return row.split(" | ")[column].strip("| ")

    fast, slow, unkept, never = lasting(0, 30.0), lasting(1, 90.0), result("ours", 2, 0.9), result("ours", 3, 0.1)
    assert shown(fast) == "10 min", "with the twentieth of the last twenty"
    assert shown(fast, slow, never) == "30 min (2 of 3)" and shown(fast, never, never) == "– (1 of 3)", "never: longest"
    assert shown(fast, unkept, never) == "10 min (1 of 2), 1 not kept" and shown(unkept) == "–, 1 not kept"


def test_together_a_task_with_many_runs_counts_no_more_than_one_with_few() -> None:
    many = [result("hil_serl", seed, 1.0) for seed in range(5)]
    text = page.table([*many, result("hil_serl", 0, 0.6, "pick_cube")])
    assert "| `hil_serl` | 80.0% | – | – |" in text


def test_three_runs_have_an_interval() -> None:
    text = page.table([*RESULTS[:2], result("ours", 2, 0.8)])
    assert "70.0% 90.0% 80.0% | 80.0% (70.0% – 90.0%) |" in text and "| `ours` | 80.0% | 70.0% – 90.0% |" in text


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = [tmp_path / "a" / "picture.svg", tmp_path / "b" / "picture.svg"]
    for file in drawn:
        file.parent.mkdir()
        page.picture([*RESULTS, result("ours", 0, 0.4, "pick_cube")], file)
    assert "<svg" in drawn[0].read_text() and drawn[0].read_bytes() == drawn[1].read_bytes()


def test_all_tasks_together_say_who_beats_the_yardstick() -> None:
    runs = [
        *(result("hil_serl", seed, success) for seed, success in enumerate((0.5, 0.6, 0.7))),
        *(result("res_hil", seed, success) for seed, success in enumerate((0.6, 0.7, 0.8))),
    ]
    text = page.table(runs)
    assert "| `res_hil` | 70.0% | 60.0% – 80.0% | 78% |" in text  # 6 of 9 pairs are wins, 2 are ties
    assert "| `hil_serl` | 60.0% | 50.0% – 70.0% | – |" in text
    two_each = [run for run in runs if run["seed"] < 2]
    assert "| `res_hil` | 65.0% | – | – |" in page.table(two_each), "too few to say who is better"
    assert page.table([*runs, result("bc", 0, 0.4, "pick_cube")]).endswith(text[text.index("**Together** (reach)") :])


@pytest.mark.parametrize("name", ["hil-bench", "hil-bench-robustness"])
def test_the_results_page_has_places_for_the_tables(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "RESULTS.md"
    copy.write_text(results_page.PAGE.read_text())
    results_page.put(name, "here", copy)
    assert "here" in copy.read_text()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tasks": ("peg_insert",)}, "did you mean 'peg_insertion'"),
        ({"methods": ("hil_sarl",)}, "did you mean 'hil_serl'"),
        ({"people": "surgeon"}, "no people 'surgeon'"),
        ({"learner": "a:b"}, "one method"),
        ({"first_seed": 98}, "not both at once"),
        ({"jobs": 0}, "at least 1"),
    ],
)
def test_a_bad_option_is_one_line(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        HilBench(results=tmp_path, **changes).run()


def test_results_that_are_there_are_not_made_again_and_tuning_seeds_are_kept_apart(tmp_path: Path) -> None:
    import json

    for made in (*RESULTS, result("ours", 100, 0.2)):
        (tmp_path / f"reach-{made['method']}-{made['seed']}.json").write_text(json.dumps(made))
    where: dict[str, Any] = {"methods": ("ours",), "learner": "no.such:thing", "tasks": ("reach",), "results": tmp_path}
    assert HilBench(seeds=2, **where).run()["runs"] == 4
    assert HilBench(seeds=1, first_seed=100, **where).run()["runs"] == 1
    with pytest.raises(ValueError, match=r"no\.such"):
        HilBench(seeds=3, **where).run()


def test_every_changed_twin_can_be_made() -> None:
    assert set(robustness.changes_of("peg_insertion")) - set(robustness.changes_of("reach")) == {"0.2 mm less play"}
    for task, env_id in (("reach", "sim:Reach-v0"), ("peg_insertion", "sim:PegInsertion-v0")):
        for changes in robustness.changes_of(task).values():
            EnvSpec(env_id, changes).make().close()


def test_an_hour_later_is_what_comes_after_the_hour_in_one_and_the_same_series(tmp_path: Path) -> None:
    save_clone(tmp_path)
    spec = EnvSpec(REACH.id, {"reset": "scripted"})
    rollout = Rollout(spec.make(), spec, "whole", seed=3, stream=EVALUATION_SEEDS)
    steps, worked_s, won = 0, [], []
    for episode in rollout.episodes(load_policy(tmp_path)[0], 9, deterministic=True):
        steps += len(episode.steps)
        worked_s.append(rollout.reset_s + steps / episode.header.control_hz)
        won.append(episode.success)
    for before in (2, 5):
        later = robustness.success_later(tmp_path, "reach", 3, 4, worked_s[before - 1] - 0.01)
        assert later == np.mean(won[before : before + 4])


def test_a_policy_that_does_not_come_to_its_next_start_has_not_lasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_clone(tmp_path)
    assert robustness.success_later(tmp_path, "reach", 3, 2, worked_s=0.0) > 0.0
    drive = TwinTask.reset

    def hurried(self: TwinTask, rng: np.random.Generator, teleport: bool) -> ResetPlan:
        return replace(drive(self, rng, teleport), timeout_s=0.2)

    monkeypatch.setattr(TwinTask, "reset", hurried)
    assert robustness.success_later(tmp_path, "reach", 3, 2, worked_s=0.0) == 0.0


def test_the_tasks_are_the_twins() -> None:
    from robot_rl.command import task_ids

    assert {name for name, task in TASKS.items() if not task.env} <= set(task_ids())


def test_a_run_shares_what_a_finished_one_of_the_same_seed_has(tmp_path: Path) -> None:
    done = tmp_path / "reach-rlpd-0"
    for name in SHARED:
        path = done / name / "file" if "." not in name else done / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    share(tmp_path, "reach-*-0", tmp_path / "reach-hil_serl-0", CloningConfig())
    assert not (tmp_path / "reach-hil_serl-0").exists(), "it has not finished"
    (done / "summary.json").write_text("{}")
    (done / "config.json").write_text(json.dumps({"train": to_dict(preset("rlpd"))}))
    share(tmp_path, "reach-*-0", tmp_path / "reach-leaving-0", methods.METHODS["res_hil_leaving"].config.cloning)
    assert not (tmp_path / "reach-leaving-0").exists(), "its base is another one"
    share(tmp_path, "reach-*-0", tmp_path / "reach-hil_serl-0", methods.METHODS["hil_serl"].config.cloning)
    assert (tmp_path / "reach-hil_serl-0" / "demos" / "file").read_text() == "demos"
    assert not (tmp_path / "reach-hil_serl-0" / "summary.json").exists()


def test_a_run_without_training_has_no_episodes(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "episodes") == []

"""A scripted hand whose skill is known, fitted: the same numbers must come out; and a recorded one, tick by tick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hardware.interfaces import Gripper, TeleopSample, Vector6
from hardware.local_robot import LocalRobot
from robot_rl.demonstrations import RestingPolicy
from robot_rl.episodes import EpisodeStore
from robot_rl.rollout import DEMO_SEEDS, EnvSpec, Rollout
from sim.fitted_person import Trace, fit_skill, trace_of
from sim.scripted_human import ScriptedHuman
from sim.skill import SKILLS, Skill, require_free
from sim.takeover import Always

PERIOD_S = 0.01


class Wandering:
    """A task whose goal goes its own way, whatever the hand does."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._pace, self._phase = rng.uniform(0.2, 0.7, 6), rng.uniform(0.0, 6.3, 6)

    def guide(self, now: float) -> tuple[Vector6, Gripper]:
        return tuple((0.8 * np.sin(6.28 * self._pace * now + self._phase)).tolist()), Gripper.HOLD

    def progress(self) -> float:
        return 0.0

    def in_funnel(self) -> bool:
        return True


def traces_of(skill: Skill, episodes: int = 6, seconds: float = 15.0) -> list[Trace]:
    traces = []
    for seed in range(episodes):
        task = Wandering(seed)
        person = ScriptedHuman(task, skill, Always(), seed=7)
        person.new_episode(seed)
        times = PERIOD_S * np.arange(round(seconds / PERIOD_S))
        guide = np.array([task.guide(now)[0] for now in times])
        traces.append(Trace(guide, np.array([person.read(now).twist for now in times]), PERIOD_S))
    return traces


@pytest.mark.parametrize("level", SKILLS)
def test_the_numbers_of_a_known_hand_come_out(level: str) -> None:
    true = SKILLS[level]
    found = fit_skill(traces_of(true), reaction_delay_s=true.reaction_delay_s)
    assert found.reaction_delay_s == true.reaction_delay_s
    assert found.hand_delay_s == pytest.approx(true.hand_delay_s, abs=0.03)
    assert found.speed == pytest.approx(true.speed, abs=0.05)
    assert found.noise == pytest.approx(true.noise, rel=0.15)
    assert found.bias == pytest.approx(true.bias, abs=0.015)
    assert found.lapses_per_min <= true.lapses_per_min + 0.7  # not every lapse can be told from a wander


def test_lapses_are_found_where_they_stand_out() -> None:
    steady = Skill(0.2, 0.05, 0.9, 0.02, 0.0, 0.0)
    absent = Skill(0.2, 0.05, 0.9, 0.02, 0.0, 10.0)
    assert fit_skill(traces_of(steady)).lapses_per_min == 0.0
    assert fit_skill(traces_of(absent)).lapses_per_min == pytest.approx(10.0, rel=0.4)


def test_moments_in_which_nobody_drove_say_nothing() -> None:
    whole = traces_of(SKILLS["intermediate"])
    parts = [Trace(t.guide, np.where(np.arange(len(t.hand))[:, None] < 900, t.hand, np.nan), PERIOD_S) for t in whole]
    assert parts[0].driven_s == pytest.approx(9.0)
    assert fit_skill(parts).speed == pytest.approx(SKILLS["intermediate"].speed, abs=0.05)
    with pytest.raises(ValueError, match="drives for 9 s in these episodes; 20 s"):
        fit_skill(parts[:1])


def test_a_hand_that_goes_elsewhere_is_refused() -> None:
    away = [Trace(t.guide, -t.hand, PERIOD_S) for t in traces_of(SKILLS["expert"])]
    with pytest.raises(ValueError, match="does not go where the task's guide would"):
        fit_skill(away)


def test_a_recorded_hand_is_what_was_at_the_device(tmp_path: Path) -> None:
    spec = EnvSpec("sim:Reach-v0", {"person": "novice", "takeover": "always", "person_seed": 4})
    env, store = spec.make(), EpisodeStore(tmp_path)
    robot = env.robot
    assert isinstance(robot, LocalRobot)
    device, samples = robot.teleop, list[TeleopSample]()

    class Watched:
        """The person, overheard."""

        def __getattr__(self, name: str) -> object:
            return getattr(device, name)

        def read(self, now: float) -> TeleopSample:
            samples.append(device.read(now))
            return samples[-1]

    robot.teleop = Watched()  # type: ignore[assignment]
    rollout = Rollout(env, spec, "demo", 0, DEMO_SEEDS, store)
    episode = next(iter(rollout.episodes(RestingPolicy(int(env.action_space.shape[0])), 1)))
    store.close()
    trace = trace_of(next(tmp_path.glob("*.mcap")))
    start = episode.header.initial_robot
    assert start is not None
    ticks = {round(sample.heartbeat_s / PERIOD_S): sample for sample in samples}
    first = round(start.arm.stamp_s / PERIOD_S)
    driven = np.flatnonzero(np.isfinite(trace.hand[:, 0]))
    assert len(driven) > 0.8 * len(trace.hand)
    hand = np.array([ticks[first + int(tick)].twist for tick in driven])
    np.testing.assert_allclose(trace.hand[driven], hand, atol=1e-6)
    assert np.abs(hand).max() > 0.3
    assert np.abs(trace.guide[driven]).max() == 1.0
    env.close()


def test_a_persons_file(tmp_path: Path) -> None:
    file = tmp_path / "ada.toml"
    skill = Skill(0.31, 0.12, 0.64, 0.17, 0.02, 2.5)
    skill.save(file)
    assert Skill.named(str(file), seed=3) == skill == Skill.named(str(file), seed=4)
    file.write_text(file.read_text().replace("noise", "nois"))
    with pytest.raises(ValueError, match=r"ada.toml: unknown key 'nois'; did you mean 'noise'\?"):
        Skill.named(str(file), 0)
    file.write_text("reaction_delay_s = -1.0\n")
    with pytest.raises(ValueError, match=r"reaction_delay_s is -1; it must be at least 0"):
        Skill.named(str(file), 0)
    with pytest.raises(ValueError, match=r"cannot read .*bea\.toml"):
        Skill.named(str(tmp_path / "bea.toml"), 0)


def test_only_a_persons_file_is_written_over(tmp_path: Path) -> None:
    cell = tmp_path / "cell.toml"
    cell.write_text('name = "fr3"\n')
    with pytest.raises(ValueError, match=r"cell\.toml' is there and is no person's file"):
        require_free(cell)
    with pytest.raises(ValueError, match=r"ends with \.toml"):
        require_free(tmp_path / "ada.txt")
    SKILLS["expert"].save(tmp_path / "ada.toml")
    require_free(tmp_path / "ada.toml")
    require_free(tmp_path / "new.toml")

"""Whole runs in small: every preset goes on after a kill as if nothing had happened, and what a run refuses."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robot_rl.bc import make_cloned_policy, train_cloned_policy
from robot_rl.checkpoint import load_checkpoint
from robot_rl.cloning_config import ChunkConfig, CloningConfig, FlowConfig
from robot_rl.config import ComputeConfig, LearnerConfig, TrainConfig, seeing
from robot_rl.demonstrations import collect_demos
from robot_rl.episodes import EpisodeStore
from robot_rl.policy import Interface, load_policy
from robot_rl.presets import PRESETS, preset
from robot_rl.rollout import EnvSpec
from robot_rl.train import Trainer, train
from robot_rl.types import Episode

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")
SEEN = EnvSpec("tests.robot_rl.point_env:SeenPoint-v0")
HELPED = EnvSpec("sim:PickCube-v0", {"person": "expert", "takeover": "no_progress", "max_steps": 60})
STEPS, KILLED_AFTER, CHECKPOINTS = 120, 90, 60
CLONING = CloningConfig(
    width=16, depth=2, batch_size=16, steps=30, chunk=ChunkConfig(4, 2), flow=FlowConfig(16, 1, 2, distill_steps=10)
)
NOT_COMPARED = ("wall_s", "learner_wait_s", "actor_wait_s", "waited_s", "reset_s")
"""Wall times; and the second for which, in a new process, everything streams before the first reset (S10)."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Episode]]:
    """Demonstrations of both environments."""
    folder = tmp_path_factory.mktemp("demos")
    demonstrator = f"{POINT.id.partition(':')[0]}:demonstrate"
    driven = EnvSpec(HELPED.id, {"person": "expert", "takeover": "always"})
    return {
        POINT.id: collect_demos(folder / "point", POINT, 4, 0, demonstrator),
        SEEN.id: collect_demos(folder / "seen", SEEN, 4, 0, demonstrator),
        HELPED.id: collect_demos(folder / "cube", driven, 3, 0),
    }


def small(name: str) -> TrainConfig:
    """The preset with small networks and short phases; its parts and its rules are untouched."""
    config = preset(name)
    learner = dataclasses.replace(
        config.learner, width=16, batch_size=16, utd_ratio=min(2, config.learner.utd_ratio), replay_capacity=2_000
    )
    return dataclasses.replace(
        config,
        learner=learner,
        cloning=CLONING,
        env_steps=STEPS,
        warmup_steps=40,
        critic_only_updates=min(10, config.critic_only_updates),
        dagger_every=60,
        checkpoint_every=CHECKPOINTS,
    )


def run(out: Path, spec: EnvSpec, config: TrainConfig, shown: list[Episode], seen: Path | None = None):
    """A run; with ``seen``, what a kill after ``KILLED_AFTER`` steps would have left is put there."""
    base = None
    if config.method == "rl":
        env = spec.make()
        face = Interface.of(env)
        env.close()
        cloning = dataclasses.replace(config.cloning, arch="flow" if config.learner.actor == "latent_noise" else "mlp")
        base = make_cloned_policy(cloning, face.state_dim, face.action_dim, face.gripper_index)
        train_cloned_policy(base, base.shown_in(shown), seed=0)

    def watch(row: Mapping[str, float]) -> None:
        if seen is not None and not seen.exists() and row["env_steps"] >= KILLED_AFTER:
            shutil.copytree(out, seen, copy_function=copy_as_it_is)

    return train(out, spec, config, demos=shown, base=base, seed=3, progress=watch)


def copy_as_it_is(source: str, target: str) -> str:
    """A file; by its new name, if its writer has finished it since the folder was listed."""
    try:
        return shutil.copy2(source, target)
    except FileNotFoundError:
        return shutil.copy2(source.removesuffix(".part"), target.removesuffix(".part"))


def end(out: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    tensors, metadata = load_checkpoint(out / "checkpoints")
    arrays = {f"{g}/{k}": torch.as_tensor(v).numpy() for g, group in tensors.items() for k, v in group.items()}
    for place in (metadata["tally"], metadata.get("governor", {})):
        for name in NOT_COMPARED:
            place.pop(name, None)
    return arrays, metadata


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "bc"])
def test_a_killed_run_ends_bit_for_bit_as_one_that_was_not(name, tmp_path, shown):
    """n + kill + m updates equal n + m, and so do the episodes: policy, critics, moments, replay, generators."""
    spec = HELPED if name in ("hg_dagger", "res_hil", "hil_serl") else POINT
    about = kill_and_compare(tmp_path, spec, small(name), shown[spec.id])
    if name != "hg_dagger":
        assert about["updates"][1] == STEPS - 40 + 1, "and it did learn"


def test_a_killed_run_finds_its_own_successes_again(tmp_path, shown):
    config = small("residual")
    config = dataclasses.replace(config, learner=dataclasses.replace(config.learner, own_successes=True))
    kill_and_compare(tmp_path, POINT, config, shown[POINT.id])
    arrays, _ = end(tmp_path / "whole" / "run")
    assert arrays["online/flag.success"][:CHECKPOINTS].any(), "there were some before it was killed"


SEEING = [("res_hil", "vit_small"), ("latent_noise", "conv")]


@pytest.mark.parametrize(("name", "encoder"), SEEING)
def test_a_killed_run_that_sees_ends_bit_for_bit_as_one_that_was_not(name, encoder, tmp_path, shown):
    config = seeing(small(name), {"view": 16})
    vision = dataclasses.replace(config.learner.vision, encoder=encoder, width=8)
    config = dataclasses.replace(config, learner=dataclasses.replace(config.learner, vision=vision))
    about = kill_and_compare(tmp_path, SEEN, config, shown[SEEN.id])
    assert about["updates"][1] == STEPS - 40 + 1


def test_a_killed_run_of_a_policy_that_draws_goes_on_with_its_draws(tmp_path, shown):
    config = small("hg_dagger")
    config = dataclasses.replace(config, cloning=dataclasses.replace(CLONING, arch="flow"))
    kill_and_compare(tmp_path, HELPED, config, shown[HELPED.id])


def kill_and_compare(tmp_path: Path, spec: EnvSpec, config: TrainConfig, demos: list[Episode]) -> dict[str, Any]:
    """A run, and one that was killed and went on, must end with the same checkpoint; its metadata."""
    whole, resumed = tmp_path / "whole" / "run", tmp_path / "resumed" / "run"
    run(whole, spec, config, demos, seen=resumed)
    killed = load_checkpoint(resumed / "checkpoints")[1]
    assert CHECKPOINTS <= killed["env_steps"] < KILLED_AFTER, "the kill must cost something"
    run(resumed, spec, config, demos)
    (ours, about), (theirs, about_them) = end(whole), end(resumed)
    assert ours.keys() == theirs.keys()
    different = [key for key in ours if not np.array_equal(ours[key], theirs[key])]
    assert different == [] and about == about_them
    return about


def test_a_correction_is_kept_without_its_episode(tmp_path, shown):
    """Episodes may be moved away or relabelled: what the policy learned from goes with the checkpoint."""
    config, out = dataclasses.replace(small("hg_dagger"), env_steps=130), tmp_path / "run"
    first = Trainer(out, HELPED, config, demos=shown[HELPED.id], seed=3)
    first.run()
    assert first.learner.dagger.corrections, "nobody helped: this test would show nothing"
    shutil.rmtree(out / "episodes")
    again = Trainer(out, HELPED, config, demos=shown[HELPED.id], seed=3)
    assert [len(part) for part in again.learner.dagger.corrections] == [
        len(part) for part in first.learner.dagger.corrections
    ]
    assert again.tally.person_s == first.tally.person_s > 0
    assert again.attention.driving_s == first.attention.driving_s


@pytest.mark.parametrize("name", ["rlpd", "hg_dagger"])
def test_nothing_more_is_learned_from_an_episode_that_was_thrown_away(tmp_path, shown, name):
    spec = EnvSpec("tests.robot_rl.point_env:ThrownAwayPoint-v0")
    trainer = Trainer(tmp_path, spec, small(name), demos=shown[POINT.id], seed=3)
    trainer.run()
    store = EpisodeStore(tmp_path / "episodes")
    thrown = [row for row in store.list() if row.label == "discard"]
    kept = [row for row in store.list() if row.label is None and row.complete]
    assert len(thrown) >= 2 and len(thrown) <= len(kept) <= len(thrown) + 1
    assert trainer.tally.lengths == [row.steps for row in kept] and trainer.tally.env_steps == STEPS
    if name == "rlpd":
        online = trainer.learner.off_policy.online
        left = online.sampleable(np.arange(len(online))).sum()
        assert left + sum(row.steps for row in thrown) in (STEPS - 1, STEPS), "the last step may be without its next"


def test_a_fit_that_is_interrupted_is_done_again(tmp_path, shown, monkeypatch):
    """Ctrl-C while the policy is fitted anew: the checkpoint says so, and whoever goes on fits it first."""
    config, out = dataclasses.replace(small("hg_dagger"), env_steps=70), tmp_path / "run"
    trainer = Trainer(out, HELPED, config, demos=shown[HELPED.id], seed=3)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("robot_rl.dagger.train_cloned_policy", interrupted)
        trainer.run()
    again = Trainer(out, HELPED, config, demos=shown[HELPED.id], seed=3)
    assert (again.tally.env_steps, again.learner.dagger.fits) == (60, 0)
    again.run()
    assert again.learner.dagger.fits == 1


def test_who_is_needed_no_longer_is_away_from_the_next_episode_on_also_after_a_kill(tmp_path, shown):
    driven = EnvSpec(HELPED.id, {"person": "expert", "takeover": "always", "max_steps": 25})
    config, said = dataclasses.replace(small("hg_dagger"), watched_steps=30), []
    options = {"demos": shown[HELPED.id], "seed": 3, "say": said.append}
    train(tmp_path, driven, dataclasses.replace(config, env_steps=60), **options)
    tally = train(tmp_path, driven, config, **options)
    begun = np.cumsum(tally.lengths) - tally.lengths
    assert [steps > 0 for steps in tally.human_steps] == (begun < 30).tolist() and begun[-1] > 60
    assert tally.person_s == pytest.approx(sum(tally.human_steps) / 10.0, abs=1.0)
    assert len(said) == 1 and "emergency stop" in said[0]


def test_a_run_ends_when_the_policy_has_succeeded_often_enough_in_a_row(tmp_path, shown):
    """And goes on from there where more is asked for."""
    cloning, said = dataclasses.replace(CLONING, steps=400), []
    config = dataclasses.replace(small("hg_dagger"), cloning=cloning, env_steps=600, dagger_every=5_000)
    for wanted in (1, 2):
        until = dataclasses.replace(config, until_in_a_row=wanted)
        tally = train(tmp_path / "run", POINT, until, demos=shown[POINT.id], seed=3, say=said.append)
        assert tally.env_steps < 600 and tally.successes[-wanted:] == [True] * wanted == [True] * tally.in_a_row
        assert said[-1] == f"{wanted} successes in a row with nobody's help: that is enough"


def test_what_the_base_succeeds_in_does_not_end_a_run(tmp_path, shown):
    config = dataclasses.replace(small("rlpd"), env_steps=100, warmup_steps=100, until_in_a_row=1)
    cloning = dataclasses.replace(CLONING, steps=400)
    tally = run(tmp_path / "run", POINT, dataclasses.replace(config, cloning=cloning), shown[POINT.id])
    assert any(tally.successes) and tally.env_steps == 100


def test_a_run_with_other_settings_is_refused(tmp_path, shown):
    config = dataclasses.replace(small("rlpd"), env_steps=30)
    run(tmp_path / "run", POINT, config, shown[POINT.id])
    computed = ComputeConfig("cpu", bfloat16=True)  # a run may go on with more steps, and on another machine
    longer = dataclasses.replace(config, env_steps=50, compute=computed)
    assert run(tmp_path / "run", POINT, longer, shown[POINT.id]).env_steps == 50
    other = dataclasses.replace(longer, learner=dataclasses.replace(longer.learner, gamma=0.5))
    with pytest.raises(ValueError, match="another configuration"):
        run(tmp_path / "run", POINT, other, shown[POINT.id])


def test_a_run_over_another_base_is_refused(tmp_path, shown):
    config = dataclasses.replace(small("residual"), env_steps=30)
    run(tmp_path / "run", POINT, config, shown[POINT.id])
    env = POINT.make()
    face = Interface.of(env)
    other = make_cloned_policy(CLONING, face.state_dim, face.action_dim, seed=1)
    with pytest.raises(ValueError, match="trained over base"):
        Trainer(tmp_path / "run", POINT, config, demos=shown[POINT.id], base=other, seed=3)


def test_an_actor_over_a_base_needs_one(tmp_path):
    with pytest.raises(ValueError, match="actor 'residual' works over a base policy"):
        Trainer(tmp_path / "run", POINT, small("residual"))


def test_the_base_collects_the_first_steps_and_its_actions_are_stored_throughout(tmp_path, shown):
    config = dataclasses.replace(small("residual"), env_steps=90, warmup_noise=0.1)
    run(tmp_path / "run", POINT, config, shown[POINT.id])
    tensors, _ = load_checkpoint(tmp_path / "run" / "checkpoints")
    online = tensors["online"]
    steps = online["next_serial"] >= 0
    base, executed, source = (online[k][steps] for k in ("base_action", "action", "source"))
    assert (base != 0).all(), "the base is asked at every step"
    collected = source == 2
    assert 35 <= collected.sum() <= 40
    off = np.abs(executed - base)[collected]
    assert off.mean() > 0.01 and off.max() <= 0.1 + 1e-6
    assert (tensors["prior"]["base_action"][tensors["prior"]["next_serial"] >= 0] != 0).all(), "demos are relabelled"


@pytest.mark.parametrize("arch", ["mlp", "ensemble"])
def test_a_base_is_fitted_to_corrections_while_it_collects_and_frozen_then(tmp_path, shown, arch):
    """Warm-up by HG-DAgger: what is stored is over the last fit, whenever it was stored; a killed run goes on alike."""
    warm = dataclasses.replace(small("res_hil"), warmup="dagger", warmup_steps=90, dagger_every=40, env_steps=130)
    warm = dataclasses.replace(warm, cloning=dataclasses.replace(warm.cloning, arch=arch))
    kill_and_compare(tmp_path, HELPED, warm, shown[HELPED.id])
    base, _ = load_policy(tmp_path / "whole" / "run" / "policy" / "base")
    tensors, metadata = load_checkpoint(tmp_path / "whole" / "run" / "checkpoints")
    assert metadata["dagger"]["fits"] == 3 and tensors["dagger.corrections"], "nobody helped: this shows nothing"
    for name in ("online", "prior"):
        stored = tensors[name]
        again = [base.act({"state": state}) for state in stored["observation.state"]]
        assert np.array_equal(stored["base_action"], np.stack(again))


def test_a_base_that_is_no_plain_clone_cannot_be_corrected(tmp_path, shown):
    config = dataclasses.replace(small("latent_noise"), warmup="dagger")
    with pytest.raises(ValueError, match=r"it must be a clone of --cloning\.arch mlp"):
        run(tmp_path / "run", POINT, config, shown[POINT.id])


def test_a_saved_residual_acts_with_its_base(tmp_path, shown):
    """What is evaluated is the whole: the folder holds the base too, and a new residual does as the base does."""
    config = dataclasses.replace(small("residual"), env_steps=20)
    run(tmp_path / "run", POINT, config, shown[POINT.id])
    policy, _ = load_policy(tmp_path / "run")
    base, _ = load_policy(tmp_path / "run" / "policy" / "base")
    observation = shown[POINT.id][0].steps[0].observation
    action = base.act(observation)
    assert policy.base.version == base.version  # type: ignore[union-attr]
    assert np.array_equal(policy.act(observation, True, action), action)  # type: ignore[call-arg, arg-type]
    with pytest.raises(ValueError, match="needs the base policy's action"):
        policy.act(observation, True)


def test_waits_and_the_ratio_of_updates_are_logged(tmp_path, shown):
    rows: list[Mapping[str, float]] = []
    config = dataclasses.replace(small("rlpd"), env_steps=80)
    trainer = Trainer(tmp_path / "run", POINT, config, demos=shown[POINT.id], progress=rows.append)
    trainer.run()
    assert rows[-1]["learner_wait_s"] > 0 and rows[-1]["actor_wait_s"] > rows[-1]["learner_wait_s"] / 100
    assert rows[-1]["utd"] == pytest.approx(2 * (rows[-1]["env_steps"] - 39) / rows[-1]["env_steps"])
    assert LearnerConfig().utd_ratio and {"effective_rank", "dead_units"} <= rows[-1].keys()

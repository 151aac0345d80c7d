"""Bases by name: scripts, nothing at all, policies of LeRobot's; found again where a policy over them is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.cli import main
from robot_rl.config import LearnerConfig
from robot_rl.named_base import find_base
from robot_rl.policy import Interface, load_policy, save_policy
from robot_rl.rlpd import RLPD
from robot_rl.rollout import EnvSpec
from robot_rl.run_folder import spec_of_run, write_config
from tests.robot_rl import scripted_base

HALFWAY = "tests.robot_rl.scripted_base:halfway"
SEEN = {"state": np.array([0.5, 0.0], np.float32)}  # goal, position
POINT = ("--env", "tests.robot_rl.point_env:PointReach-v0")
SHORT = ("--preset", "residual", "--env-steps", "60", "--warmup-steps", "20", "--critic-only-updates", "5")
SMALL = ("--learner.width", "8", "--learner.batch-size", "8", "--learner.utd-ratio", "1")


def result(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main([*map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_script_is_made_anew_at_each_episode_and_after_a_person_drove() -> None:
    base, before = find_base(HALFWAY, 1), len(scripted_base.calls)
    for begin in (base.reset, base.flush, lambda: None):
        begin()
        assert base.act(SEEN) == pytest.approx(0.5)
    assert len(scripted_base.calls) - before == 2


def test_a_scripts_version_is_that_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    versions = []
    for number, gain in enumerate((0.5, 0.5, 0.6)):
        source = f"import numpy as np\ndef act():\n    return lambda seen: np.full(1, {gain})\n"
        (tmp_path / f"script_{number}.py").write_text(source)
        versions.append(find_base(f"script_{number}:act", 1).version)
    assert find_base("script_0:act", 1).version == versions[0]
    assert versions[2] not in versions[:2]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tests.robot_rl.scripted_base:wrong", r"action of shape \(3,\): \(1,\), finite, is wanted"),
        ("tests.robot_rl.scripted_base:lost", "not finite"),
        ("tests.robot_rl.scripted_base:none", "not a function"),
        ("nothing", "clone, zero, module:function"),
        ("lerobot:no/such/folder", "config.json is missing"),
    ],
)
def test_a_base_that_is_none_is_one_line(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        find_base(name, 1).act(SEEN)


@pytest.mark.parametrize("name", ["zero", HALFWAY])
def test_a_policy_finds_its_base_again(name: str, tmp_path: Path) -> None:
    agent = RLPD(LearnerConfig(actor="residual", width=8), 2, 1, base=find_base(name, 1))
    save_policy(tmp_path, agent, Interface("point", 2, 1))
    loaded, _ = load_policy(tmp_path, name)
    assert isinstance(loaded, RLPD) and loaded.base is not None and agent.base is not None
    assert loaded.base.version == agent.base.version
    assert loaded.base.act(SEEN) == agent.base.act(SEEN)


def test_a_base_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    agent = RLPD(LearnerConfig(actor="residual", width=8), 2, 1, base=find_base(HALFWAY, 1))
    save_policy(tmp_path, agent, Interface("point", 2, 1))
    about = json.loads((tmp_path / "base" / "policy.json").read_text())
    (tmp_path / "base" / "policy.json").write_text(json.dumps({**about, "version": "scripted-0123"}))
    with pytest.raises(ValueError, match="not what it learned over"):
        load_policy(tmp_path, HALFWAY)


@pytest.mark.parametrize("name", ["os:abort", "lerobot:somewhere", HALFWAY])
def test_a_folder_does_not_choose_what_code_is_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = RLPD(LearnerConfig(actor="residual", width=8), 2, 1, base=find_base("zero", 1))
    save_policy(tmp_path, agent, Interface("point", 2, 1))
    (tmp_path / "base" / "policy.json").write_text(json.dumps({"kind": "named", "name": name, "version": "any"}))
    monkeypatch.setattr("robot_rl.policy.find_base", lambda *_: pytest.fail("it was looked for"))
    for trusted in ("", "zero", "another:one"):
        with pytest.raises(ValueError, match="if you trust that"):
            load_policy(tmp_path, trusted)


def test_a_runs_folder_does_not_choose_the_module_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange, ours = EnvSpec("stranger:Env-v0", {"n": 1}), EnvSpec("sim:Reach-v0")
    for spec in (strange, EnvSpec("stranger/Env-v0")):
        write_config(tmp_path, spec, seed=0)
        with pytest.raises(ValueError, match=f"runs code: if you trust it, --env {spec.id}"):
            spec_of_run(tmp_path / "policy")
        assert spec_of_run(tmp_path, spec.id) == spec
        assert spec_of_run(tmp_path, ours.id) is None
    for spec in (ours, EnvSpec("Pendulum-v1")):
        write_config(tmp_path, spec, seed=0)
        assert spec_of_run(tmp_path) == spec


def test_a_lerobot_folder_does_not_choose_what_is_imported(tmp_path: Path) -> None:
    features = {"input_features": {"observation.state": {}}, "output_features": {"action": {"shape": [1]}}}
    (tmp_path / "config.json").write_text(json.dumps(features))
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "policy_postprocessor.json").write_text('{"steps": [{"registry_name": "device_processor"}]}')
    (tmp_path / "policy_preprocessor.json").write_text('{"steps": [{"class": "subprocess.Popen"}]}')
    with pytest.raises(ValueError, match=r"names a class to import \(subprocess.Popen\)"):
        find_base(f"lerobot:{tmp_path}", 1)


def test_training_over_a_script_needs_no_demonstrations_and_begins_as_good_as_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    trained = result(capsys, "train", *POINT, *SHORT, *SMALL, "--base", HALFWAY, "--out", out)
    assert trained["env_steps"] == 60
    first = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    assert first["success"] == 1.0
    assert json.loads((out / "policy" / "base" / "policy.json").read_text())["name"] == HALFWAY
    test = ("eval", out, *POINT, "--episodes", 5, "--workers", 1)
    assert result(capsys, *test, "--base", HALFWAY)["success"] == 1.0
    assert main([str(word) for word in test]) == 2
    assert f"robot-rl eval --base {HALFWAY}" in capsys.readouterr().err


def test_training_over_what_train_bc_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = ("--demo-policy", "tests.robot_rl.point_env:demonstrate", "--episodes", 4)
    cloned = result(capsys, "train-bc", *POINT, *shown, "--cloning.steps", 30, "--out", tmp_path / "bc")
    over = ("--demos", tmp_path / "bc" / "demos", "--base", cloned["out"], "--out", tmp_path / "run")
    assert result(capsys, "train", *POINT, *SHORT, *SMALL, *over)["env_steps"] == 60
    again = ("--demos", tmp_path / "bc" / "demos", "--base", tmp_path / "run", "--out", tmp_path / "again")
    assert main([*map(str, ("train", *POINT, *SHORT, *SMALL, *again))]) == 2
    assert "learned by reinforcement" in capsys.readouterr().err


def test_a_policy_of_lerobots_is_a_base(tmp_path: Path) -> None:
    """With LeRobot installed: a small ACT, saved as LeRobot saves it, answers as LeRobot would."""
    factory = pytest.importorskip("lerobot.policies.factory", reason="LeRobot is not installed")
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig

    state, action = PolicyFeature(FeatureType.STATE, (2,)), PolicyFeature(FeatureType.ACTION, (1,))
    image = PolicyFeature(FeatureType.VISUAL, (3, 32, 32))
    sizes = {
        "chunk_size": 4,
        "n_action_steps": 4,
        "dim_model": 16,
        "n_heads": 2,
        "dim_feedforward": 16,
        "device": "cpu",
    }
    inputs = {"observation.state": state, "observation.images.front": image}
    config = ACTConfig(
        input_features=inputs, output_features={"action": action}, pretrained_backbone_weights=None, **sizes
    )
    torch.manual_seed(0)
    policy = factory.get_policy_class("act")(config)
    stats = {
        "observation.state": {"mean": torch.tensor([0.1, 0.2]), "std": torch.tensor([0.5, 0.5])},
        "observation.images.front": {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.25)},
        "action": {"mean": torch.tensor([0.3]), "std": torch.tensor([0.1])},
    }
    before, after = factory.make_pre_post_processors(config, dataset_stats=stats)
    for part in (policy, before, after):
        part.save_pretrained(tmp_path / "act")
    base = find_base(f"lerobot:{tmp_path / 'act'}", 1)
    seen = {**SEEN, "front": np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)}
    base.reset()
    ours = [base.act(seen) for _ in range(4)]
    picture = torch.from_numpy(seen["front"]).permute(2, 0, 1)[None].float() / 255.0
    policy.reset()
    with torch.no_grad():
        given = {"observation.state": torch.tensor([[0.5, 0.0]]), "observation.images.front": picture}
        theirs = [after(policy.select_action(before(dict(given)))).numpy()[0] for _ in range(4)]
    assert np.allclose(ours, np.clip(theirs, -1.0, 1.0), atol=1e-6)
    assert np.ptp(ours) > 0.0, "the chunk is followed"
    assert base.version == find_base(f"lerobot:{tmp_path / 'act'}", 1).version
    with pytest.raises(ValueError, match="give it in --cameras"):
        base.act(SEEN)
    with pytest.raises(ValueError, match=r"\[7\] is wanted"):
        find_base(f"lerobot:{tmp_path / 'act'}", 7)

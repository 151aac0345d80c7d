"""Checkpoints: every bit back, and whatever a kill leaves behind, the previous one still loads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from robot_rl import checkpoint
from robot_rl.checkpoint import (
    LATEST,
    SUMS,
    CheckpointError,
    find_checkpoint,
    load_checkpoint,
    restore_rng,
    rng_state,
    save_checkpoint,
)


def make_tensors(seed: int = 0) -> dict[str, dict[str, torch.Tensor | np.ndarray]]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 3, generator=generator)
    return {
        "agent": {"weight": weight, "tied": weight, "view": weight.t()[1:], "half": weight.bfloat16()},
        "optimizer.actor": {"0.step": torch.tensor(3.0), "0.mean": torch.randn(3, generator=generator)},
        "optimizer.empty": {},
        "online": {
            "frames": np.random.default_rng(seed).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8),
            "count": np.array(7),
            "flags": np.array([True, False]),
            "transposed": np.arange(6.0).reshape(2, 3).T,
        },
    }


def test_tensors_come_back_bit_for_bit(tmp_path):
    tensors = make_tensors()
    tensors["agent"]["nan"] = torch.tensor([float("nan"), -0.0])
    metadata = {"env_steps": 12, "losses": np.array([1.5, 2.5]), "name": "a"}
    path = save_checkpoint(tmp_path, tensors, metadata)
    for source in (tmp_path, path):
        loaded, found = load_checkpoint(source)
        assert found == {"env_steps": 12, "losses": [1.5, 2.5], "name": "a"}
        assert list(loaded) == list(tensors)
        for group, values in tensors.items():
            assert loaded[group].keys() == values.keys()
            for name, value in values.items():
                other = loaded[group][name]
                assert type(other) is type(value) and other.dtype == value.dtype and other.shape == value.shape
                if isinstance(value, torch.Tensor):
                    bits = value.contiguous().view(torch.uint8 if value.ndim else torch.int32)
                    assert torch.equal(other.view(bits.dtype), bits)
                else:
                    np.testing.assert_array_equal(other, value)


def test_sha256sum_agrees(tmp_path):
    path = save_checkpoint(tmp_path, make_tensors(), {})
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", SUMS], cwd=path, check=True)


def test_the_newest_are_kept_and_numbers_go_on(tmp_path):
    for step in range(5):
        save_checkpoint(tmp_path, {}, {"step": step}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LATEST, "checkpoint-000004", "checkpoint-000005"]
    assert load_checkpoint(tmp_path)[1] == {"step": 4}
    with pytest.raises(ValueError, match="at least 1"):
        save_checkpoint(tmp_path, {}, {}, keep=0)


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test catches it."""


def test_a_kill_between_any_two_operations_leaves_the_previous_or_the_new_one(tmp_path, monkeypatch):
    """Every write, sync, rename and removal is a stage; the process dies before it."""
    stage = 0
    while True:
        folder = tmp_path / str(stage)
        save_checkpoint(folder, make_tensors(1), {"step": 1}, keep=1)
        remaining = stage

        def mortal(call):
            def counted(*args, **kwargs):
                nonlocal remaining
                if remaining == 0:
                    raise Killed
                remaining -= 1
                return call(*args, **kwargs)

            return counted

        with monkeypatch.context() as patch:
            for name in ("_write", "_write_group", "sync_folder"):
                patch.setattr(checkpoint, name, mortal(getattr(checkpoint, name)))
            patch.setattr("pathlib.Path.rename", mortal(checkpoint.Path.rename))
            patch.setattr("pathlib.Path.mkdir", mortal(checkpoint.Path.mkdir))
            patch.setattr("shutil.rmtree", mortal(shutil.rmtree))
            try:
                save_checkpoint(folder, make_tensors(2), {"step": 2}, keep=1)
                break
            except Killed:
                pass
        step = load_checkpoint(folder)[1]["step"]
        assert step in (1, 2)
        save_checkpoint(folder, make_tensors(3), {"step": 3}, keep=1)
        assert load_checkpoint(folder)[1]["step"] == 3
        assert len(list(folder.iterdir())) == 2  # LATEST and what it names: nothing half-written is left
        stage += 1
    assert stage > 12
    assert load_checkpoint(folder)[1]["step"] == 2


@pytest.mark.parametrize("victim", ["agent.safetensors", "online.safetensors", "metadata.json", SUMS])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped"])
def test_a_damaged_latest_falls_back_with_a_warning(tmp_path, victim, damage):
    save_checkpoint(tmp_path, make_tensors(1), {"step": 1})
    path = save_checkpoint(tmp_path, make_tensors(2), {"step": 2})
    file = path / victim
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    with pytest.warns(UserWarning, match=r"checkpoint-000002' is damaged: .*going on from checkpoint-000001") as caught:
        tensors, metadata = load_checkpoint(tmp_path)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert metadata == {"step": 1}
    assert torch.equal(tensors["agent"]["weight"], make_tensors(1)["agent"]["weight"])
    with pytest.raises(CheckpointError, match="is damaged") as refused:
        load_checkpoint(path)
    assert "\n" not in str(refused.value)


def test_latest_counts_before_a_newer_number_and_may_be_damaged_itself(tmp_path):
    first = save_checkpoint(tmp_path, {}, {"step": 1})
    save_checkpoint(tmp_path, {}, {"step": 2})
    (tmp_path / LATEST).write_text(first.name)
    assert load_checkpoint(tmp_path)[1] == {"step": 1}
    (tmp_path / LATEST).write_bytes(b"\xff\x00")
    assert load_checkpoint(tmp_path)[1] == {"step": 2}
    (tmp_path / LATEST).unlink()
    assert find_checkpoint(tmp_path).name == "checkpoint-000002"


def test_no_checkpoint_and_none_whole_get_one_line(tmp_path):
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match="no checkpoint in"):
            load_checkpoint(missing)
    (save_checkpoint(tmp_path, {}, {}) / SUMS).unlink()
    with pytest.raises(CheckpointError, match=rf"no whole checkpoint .*it has no {SUMS}") as caught:
        load_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_group_name_that_leaves_the_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a file name"):
        save_checkpoint(tmp_path, {"../agent": {}}, {})


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_generators_go_on_where_they_were(bits):
    numpy_rng = np.random.Generator(bits(5))
    torch_rng = torch.Generator().manual_seed(5)
    numpy_rng.normal(size=3)
    torch.rand(3, generator=torch_rng)
    state = json.loads(json.dumps(rng_state({"numpy": numpy_rng, "torch": torch_rng})))
    expected = numpy_rng.normal(size=5), torch.rand(5, generator=torch_rng)
    others = {"numpy": np.random.Generator(bits(9)), "torch": torch.Generator().manual_seed(9)}
    restore_rng(state, others)
    np.testing.assert_array_equal(others["numpy"].normal(size=5), expected[0])
    assert torch.equal(torch.rand(5, generator=others["torch"]), expected[1])
    with pytest.raises(ValueError, match="'actor': saved were numpy, torch"):
        restore_rng(state, {"actor": numpy_rng})


def test_importing_does_not_import_torch():
    code = "import sys, robot_rl.checkpoint, robot_rl.episodes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

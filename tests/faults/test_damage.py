"""Episode files that were cut off or damaged: the longest valid beginning is read, and never a wrong step."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcap.opcode import Opcode
from mcap.writer import MCAP0_MAGIC

from robot_rl.demonstrations import collect_demos
from robot_rl.episode_reader import read_episode
from robot_rl.episode_repair import problems, repair
from robot_rl.episodes import EpisodeStore
from robot_rl.rollout import EnvSpec
from tests.faults.damage import flipped, positions, record_pictures, recovered, saved_by_position, wrong_steps

POINT = EnvSpec("tests.robot_rl.point_env:PointReach-v0")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    collect_demos(folder, POINT, 4, 0, "tests.robot_rl.point_env:demonstrate")
    return max(folder.glob("*.mcap"), key=lambda path: path.stat().st_size)


def test_a_file_cut_or_bent_anywhere_gives_its_longest_valid_beginning(tmp_path: Path) -> None:
    """At some positions; `make faults` takes every one."""
    path = record_pictures(tmp_path / "demos")
    whole = read_episode(path)
    seen = list(saved_by_position(path, 997, tmp_path / "one"))
    saved = [steps for steps, _, _ in seen]
    assert len(seen) == 66
    assert sum(after_cut + after_flip for _, after_cut, after_flip in seen) == 0
    assert saved == sorted(saved), "a longer file never gives less"
    assert saved[0] < 4 and saved[-1] >= len(whole.steps) - 1


def test_no_record_passes_for_one_of_another_kind(recorded: Path, tmp_path: Path) -> None:
    """Its kind is a byte without a checksum."""
    whole, data, at, ends = read_episode(recorded), recorded.read_bytes(), len(MCAP0_MAGIC), []
    while data[at] != Opcode.DATA_END:
        for bit in range(8):
            bent = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            found = recovered(bent, tmp_path / "one")
            assert wrong_steps(whole, found) == 0
            ends.append(0 if found is None else len(found.steps))
        at += 9 + int.from_bytes(data[at + 1 : at + 9], "little")
    assert max(ends) == len(whole.steps)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_damaged_episode_is_found_and_mended_and_keeps_its_label(recorded: Path, tmp_path: Path, share: float):
    path = tmp_path / recorded.name
    path.write_bytes(recorded.read_bytes())
    store = EpisodeStore(tmp_path)
    store.label(path.name, "failure")
    whole = read_episode(path)
    path.write_bytes(flipped(path, round(share * path.stat().st_size)))
    assert list(problems(store)) == [path.name]
    (said,) = repair(store).values()
    assert "saved; the original is in damaged" in said or "nothing of it can be read" in said
    assert not problems(store) and (tmp_path / "damaged" / path.name).exists()
    for row in store.list():
        assert row.label == "failure" and row.steps <= len(whole.steps)
        assert [s.stamp_s for s in read_episode(tmp_path / row.path).steps] == [s.stamp_s for s in whole.steps][
            : row.steps
        ]
    store.close()


def test_what_is_gone_is_no_longer_listed(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / recorded.name).write_bytes(recorded.read_bytes())
    store = EpisodeStore(tmp_path)
    (tmp_path / recorded.name).unlink()
    assert problems(store) == {recorded.name: "its file is gone"}
    repair(store)
    assert store.list() == []
    store.close()


def test_positions_are_those_of_the_last_64_kib(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(100_000))
    assert positions(tmp_path / "x") == range(100_000 - 65_536, 100_000)

"""Damage to an episode's file, byte by byte, and what is read of it afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hardware.recording import PART, RecordingError, recover_recording
from robot_rl.collectors import RandomPolicy
from robot_rl.episode_reader import read_episode
from robot_rl.episodes import EpisodeStore
from robot_rl.rollout import EnvSpec, Rollout
from robot_rl.types import Episode

TAIL_BYTES = 64 << 10


def record_pictures(folder: Path) -> Path:
    """An episode's file that is longer than what is damaged of it."""
    spec = EnvSpec("tests.robot_rl.point_env:NoisyPoint-v0")
    env, store = spec.make(), EpisodeStore(folder)
    rollout = Rollout(env, spec, "damage", 0, store=store)
    next(rollout.episodes(RandomPolicy(np.random.default_rng(0), 1), 1))
    (row,) = store.list()
    store.close()
    assert (folder / row.path).stat().st_size > TAIL_BYTES
    return folder / row.path


def positions(path: Path, every: int = 1) -> range:
    """Byte positions in the last 64 KiB of ``path``."""
    size = path.stat().st_size
    return range(max(0, size - TAIL_BYTES), size, every)


def cut(path: Path, at: int) -> bytes:
    return path.read_bytes()[:at]


def flipped(path: Path, at: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << at % 8
    return bytes(data)


def recovered(content: bytes, folder: Path) -> Episode | None:
    """What is saved of a recording with ``content`` that its writer left open."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    part = folder / f"episode.mcap{PART}"
    part.write_bytes(content)
    try:
        path = recover_recording(part)
        return None if path is None else read_episode(path)
    except RecordingError:
        return None


def wrong_steps(whole: Episode, found: Episode | None) -> int:
    """Steps of ``found`` that are not those of ``whole``, from its first on."""
    if found is None:
        return 0
    return sum(not _same(a, b) for a, b in zip(whole.steps, found.steps, strict=False)) + max(
        0, len(found.steps) - len(whole.steps)
    )


def _same(a: object, b: object) -> bool:
    mine, theirs = vars(a), vars(b)
    plain = ("id", "source", "reward", "success", "stamp_s", "intervention_start")
    actions = ("executed_action", "proposed_action", "base_action")
    return (
        all(mine[name] == theirs[name] for name in plain)
        and all(np.array_equal(mine[name], theirs[name]) for name in actions)
        and all(np.array_equal(value, theirs["observation"][name]) for name, value in mine["observation"].items())
    )


def saved_by_position(path: Path, every: int, folder: Path) -> Iterator[tuple[int, int, int]]:
    """Of each position: steps that a file cut there still gives, and wrong steps after a cut and after a flip there."""
    whole = read_episode(path)
    for at in positions(path, every):
        short = recovered(cut(path, at), folder)
        bent = recovered(flipped(path, at), folder)
        yield 0 if short is None else len(short.steps), wrong_steps(whole, short), wrong_steps(whole, bent)

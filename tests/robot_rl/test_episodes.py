"""Episodes on disk: bitwise round trips, kills at any byte, the manifest, and demonstrations of the wrong kind."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from hardware.interfaces import (
    ZERO6,
    ArmReference,
    ArmState,
    CameraFrame,
    ExecutedCommand,
    Gripper,
    GuardMode,
    Pose,
    RobotObservation,
    Source,
)
from robot_rl.episodes import EpisodeStore, RecordingError, load_demos, read_episode
from robot_rl.manifest import MANIFEST
from robot_rl.types import Episode, EpisodeHeader, Step, StepId

HOME = Pose((0.4, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))


def make_header(**changes) -> EpisodeHeader:
    header = EpisodeHeader(
        run="run-1",
        actor=2,
        episode=7,
        task="peg_insertion",
        seed=123,
        control_hz=10.0,
        action_dim=6,
        action_scale=(0.008,) * 3 + (0.06,) * 3,
        setup={"hole": [0.1, 1 / 3], "yaw": 0.2},
        initial_state=np.random.default_rng(3).normal(size=40),
        environment={"id": "sim:PegInsertion-v0", "cameras": ["wrist"]},
    )
    return dataclasses.replace(header, **changes)


def make_robot(rng: np.random.Generator, at: float) -> RobotObservation:
    joints = tuple(rng.normal(size=7).tolist())
    arm = ArmState(at, HOME, ZERO6, joints, joints, ZERO6, 0.04)
    reference = ArmReference(HOME, ZERO6, 0.04)
    executed = ExecutedCommand(at, HOME, Gripper.CLOSE, Source.POLICY, GuardMode.RUNNING, reference)
    frames = {"wrist": CameraFrame(at - 0.03, 5, rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))}
    return RobotObservation(at, arm, frames, executed, (executed,))


def make_episode(steps: int = 5, robot: bool = True, **changes) -> Episode:
    """An episode of random numbers; steps 1 and 2 are the person's, the last is a success."""
    rng = np.random.default_rng(4)
    reports = [make_robot(rng, 1 / 3 + 0.1 * k) if robot else None for k in range(steps + 1)]
    header = make_header(initial_robot=reports[0], **changes)

    def observation(k: int) -> dict[str, np.ndarray]:
        report = reports[k]
        own = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)  # the policy's crop: not the camera's frame
        seen = {} if report is None else {"wrist": report.frames["wrist"].image}
        return {"state": rng.normal(size=9).astype(np.float32), **seen, "crop": own}

    def action() -> np.ndarray:
        return rng.uniform(-1, 1, header.action_dim).astype(np.float32)

    observations = [observation(k) for k in range(steps + 1)]
    records = [
        Step(
            id=StepId(header.run, header.actor, header.episode, k),
            observation=observations[k],
            executed_action=action(),
            proposed_action=action(),
            base_action=action(),
            source=Source.HUMAN if k in (1, 2) else Source.POLICY,
            intervention_start=k == 1,
            reward=float(rng.normal()),
            terminated=k == steps - 1,
            truncated=False,
            success=k == steps - 1,
            stamp_s=1 / 3 + 0.1 * k,
            raw=reports[k + 1],
        )
        for k in range(steps)
    ]
    return Episode(header, records, observations[steps])


def save(store: EpisodeStore, episode: Episode, kind=None) -> Path:
    writer = store.writer(episode.header, kind)
    for step in episode.steps:
        writer.add(step)
    return writer.close(episode.final_observation)


def same(a, b) -> bool:
    """Equality that looks into arrays (dtype and bits), records and containers."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("robot", [True, False])
def test_an_episode_comes_back_bit_for_bit(tmp_path, robot):
    episode = make_episode(robot=robot)
    path = save(EpisodeStore(tmp_path), episode)
    assert same(read_episode(path), episode)


def test_a_camera_frame_that_is_the_observation_is_stored_once(tmp_path):
    from mcap.reader import make_reader

    path = save(EpisodeStore(tmp_path), make_episode())
    with path.open("rb") as file:
        topics = [channel.topic for _, channel, _ in make_reader(file).iter_messages()]
    assert topics.count("/camera/wrist/image_raw") == 6
    assert topics.count("/observation/crop") == 6
    assert "/observation/wrist" not in topics


def test_equal_episodes_give_equal_files(tmp_path):
    first, second = (save(EpisodeStore(tmp_path / name), make_episode()) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_a_file_cut_anywhere_gives_its_longest_valid_prefix(tmp_path):
    episode = make_episode()
    data = save(EpisodeStore(tmp_path), episode).read_bytes()
    cut = tmp_path / "cut.mcap"
    lengths = []
    for size in [*range(0, len(data), 211), *range(len(data) - 700, len(data))]:
        cut.write_bytes(data[:size])
        try:
            found = read_episode(cut)
        except RecordingError as error:
            assert not lengths and "\n" not in str(error)  # only before the first whole step
            continue
        count = len(found.steps)
        lengths.append(count)
        if count == len(episode.steps):
            assert same(found, episode)
            continue
        assert same(found.steps[:-1], episode.steps[: count - 1])
        assert same(found.steps[-1], dataclasses.replace(episode.steps[count - 1], truncated=True))
        assert same(found.final_observation, episode.steps[count].observation)
    assert lengths == sorted(lengths)
    assert set(lengths) == {1, 2, 3, 4, 5}


def test_closing_twice_changes_nothing(tmp_path):
    store, episode = EpisodeStore(tmp_path), make_episode()
    writer = store.writer(episode.header)
    for step in episode.steps:
        writer.add(step)
    path = writer.close(episode.final_observation)
    content = path.read_bytes()
    assert writer.close(episode.final_observation) == path
    assert writer.abort() == path
    assert path.read_bytes() == content
    assert len(store.list()) == 1
    with pytest.raises(ValueError, match="closed"):
        writer.add(episode.steps[0])


def test_the_manifest_says_what_is_in_the_folder(tmp_path):
    store, episode = EpisodeStore(tmp_path, kind="eval"), make_episode()
    path = save(store, episode)
    (row,) = store.list()
    assert (row.path, row.run, row.actor, row.episode) == (path.name, "run-1", 2, 7)
    assert (row.task, row.seed, row.steps, row.success, row.kind) == ("peg_insertion", 123, 5, True, "eval")
    assert row.intervention_spans == ((1, 3),)
    assert row.total_reward == pytest.approx(sum(step.reward for step in episode.steps))
    assert row.complete and row.label is None and len(row.sha256) == 64
    assert store.next_episode("run-1", 2) == 8
    assert store.next_episode("another") == 0
    with sqlite3.connect(tmp_path / MANIFEST) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_an_episode_of_demonstration_steps_is_a_demo(tmp_path):
    episode = make_episode()
    episode.steps = [dataclasses.replace(step, source=Source.DEMO) for step in episode.steps]
    store = EpisodeStore(tmp_path)
    save(store, episode)
    assert store.list()[0].kind == "demo"


def test_labels_overrule_what_was_recorded_and_leave_the_file_alone(tmp_path):
    store = EpisodeStore(tmp_path)
    path = save(store, make_episode())
    content = path.read_bytes()
    store.label(path, "failure")
    assert not store.read(store.list()[0]).success
    assert not load_demos(tmp_path, "peg_insertion", 6)[0].success
    store.label(path, "discard")
    assert load_demos(tmp_path, "peg_insertion", 6) == []
    assert path.read_bytes() == content
    with pytest.raises(ValueError, match="success, failure, discard"):
        store.label(path, "great")
    with pytest.raises(KeyError, match=r"missing\.mcap"):
        store.label("missing.mcap", None)


def test_a_killed_writer_leaves_its_steps_to_the_next_start(tmp_path):
    store, episode = EpisodeStore(tmp_path), make_episode()
    writer = store.writer(episode.header)
    for step in episode.steps[:4]:
        writer.add(step)
    assert EpisodeStore(tmp_path).list() == []  # it lives: its file is locked
    writer._file.abandon()
    (row,) = EpisodeStore(tmp_path).list()
    assert (row.steps, row.complete, row.success) == (3, False, False)
    found = read_episode(tmp_path / row.path)
    assert same(found.steps[:2], episode.steps[:2])
    assert found.steps[-1].truncated


def test_an_aborted_episode_is_kept_as_incomplete_unless_it_is_empty(tmp_path):
    store, episode = EpisodeStore(tmp_path), make_episode()
    empty = store.writer(episode.header)
    with pytest.raises(ValueError, match="no step"):
        empty.close(episode.final_observation)
    assert empty.abort() is None
    single = store.writer(episode.header)
    single.add(episode.steps[0])
    assert single.abort() is None
    assert not list(tmp_path.glob("*.mcap*"))
    writer = store.writer(dataclasses.replace(episode.header, episode=8))
    for step in episode.steps[:3]:
        writer.add(dataclasses.replace(step, id=step.id._replace(episode=8)))
    assert writer.abort() is not None
    assert [(row.episode, row.steps, row.complete) for row in store.list()] == [(8, 2, False)]


def test_a_repeated_number_does_not_overwrite(tmp_path):
    store, episode = EpisodeStore(tmp_path), make_episode()
    first = save(store, episode)
    content = first.read_bytes()
    assert save(store, episode) != first
    assert first.read_bytes() == content
    assert len(store.list()) == 2


def test_files_the_manifest_does_not_know_are_indexed(tmp_path):
    store = EpisodeStore(tmp_path, kind="eval")
    save(store, make_episode())
    before = store.list()
    store.close()
    for file in tmp_path.glob(f"{MANIFEST}*"):
        file.unlink()
    after = EpisodeStore(tmp_path).list()
    assert [dataclasses.replace(row, created="") for row in after] == [
        dataclasses.replace(row, created="") for row in before
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": StepId("run-1", 2, 7, 3)}, "does not continue"),
        ({"executed_action": np.zeros(6)}, "float64"),
        ({"proposed_action": np.zeros(7, np.float32)}, r"record float32 \(6,\)"),
        ({"observation": {"state": np.zeros(3)}}, "'state' is float64"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(tmp_path, change, message):
    episode = make_episode()
    writer = EpisodeStore(tmp_path).writer(episode.header)
    with pytest.raises(ValueError, match=message):
        writer.add(dataclasses.replace(episode.steps[0], **change))


def test_demos_of_another_task_or_action_space_are_refused_with_both_named(tmp_path):
    save(EpisodeStore(tmp_path), make_episode(), "demo")
    assert len(load_demos(tmp_path, "peg_insertion", 6)) == 1
    with pytest.raises(ValueError, match=r"'peg_insertion' with 6-dim.*'pick_cube' with 7") as caught:
        load_demos(tmp_path, "pick_cube", 7)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"6-dimensional.* with 7"):
        load_demos(tmp_path, "peg_insertion", 7)


def test_missing_and_empty_demo_paths_say_what_to_do(tmp_path):
    (tmp_path / "demos").mkdir()
    with pytest.raises(ValueError, match=r"holds no \.mcap file; record some"):
        load_demos(tmp_path / "demos", "reach", 6)
    with pytest.raises(ValueError, match="did you mean 'demos'"):
        load_demos(tmp_path / "demo", "reach", 6)


def test_a_corrupt_demo_gets_one_line(tmp_path):
    store = EpisodeStore(tmp_path)
    path = save(store, make_episode())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"corrupt at byte \d+ of \d+") as caught:
        load_demos(path, "peg_insertion", 6)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_option_that_json_cannot_hold_is_recorded_by_its_name(tmp_path):
    episode = make_episode(environment={"id": "sim:Reach-v0", "takeover": make_robot, "cameras": ("wrist",)})
    header = read_episode(save(EpisodeStore(tmp_path), episode)).header
    assert header.environment == {"id": "sim:Reach-v0", "takeover": "make_robot", "cameras": ["wrist"]}


def test_a_damaged_file_does_not_keep_a_store_from_opening(tmp_path):
    (tmp_path / "bad.mcap").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"left out of the manifest: .*bad\.mcap: not a recording"):
        assert EpisodeStore(tmp_path).list() == []


def test_a_damaged_manifest_says_so(tmp_path):
    (tmp_path / MANIFEST).write_bytes(b"not a database" * 100)
    with pytest.raises(ValueError, match="rebuilt from the episodes"):
        EpisodeStore(tmp_path)


def test_two_processes_may_begin_a_manifest_at_once(tmp_path):
    other = sqlite3.connect(tmp_path / MANIFEST, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses the change of its journal at once then, whatever its timeout.
    release = Timer(0.3, other.execute, ("ROLLBACK",))
    release.start()
    assert EpisodeStore(tmp_path).list() == []
    release.join()
    other.close()


def test_episodes_that_a_resumed_run_does_again_are_set_aside_and_kept(tmp_path):
    store, episode = EpisodeStore(tmp_path), make_episode()
    path = save(store, episode)
    assert store.supersede("run-1", 8, 2) == store.supersede("run-1", 0, 1) == store.supersede("another", 0, 2) == 0
    for kept in (1, 2):
        assert store.supersede("run-1", 7, 2) == 1 and store.list() == []
        assert len(list((tmp_path / "superseded").glob("*.mcap"))) == kept
        assert save(store, episode) == path and [row.episode for row in store.list()] == [7]
    store.close()

"""A task's file over the nodes of a real cell: the device's buttons begin, label and end episodes. The twin stands as
the robot; all are processes, as a user starts them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make test-ros` runs this")

from robot_rl.episodes import EpisodeStore, read_episode
from tests.ros.pressed import buttons, files
from tests.ros.ros_cell import domain

PROMPT, RUNS = "begins the next episode", "the episode runs"


class Person:
    """Who sits before what ``up`` says, with a hand at the buttons."""

    def __init__(self, up: subprocess.Popen[bytes], said: Path, hand: Path) -> None:
        self._up, self._said, self._hand = up, said, hand

    def hears(self, *words: str) -> int:
        """How often one of ``words`` has been said."""
        text = self._said.read_text()
        return sum(text.count(word) for word in words)

    def wait(self, happened: Callable[[], bool], seconds: float = 180.0) -> None:
        deadline_s = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline_s and self._up.poll() is None, self._said.read_text()
            time.sleep(0.02)

    def press(self, button: str, until: Callable[[], bool]) -> None:
        """Keep it down ``until`` then."""
        self._hand.write_text(button)
        self.wait(until)
        self._hand.write_text("")
        time.sleep(0.1)  # A button that is up for less than a sample of the device was never up.

    def episode(self, number: int, ended_by: str) -> str:
        """Begin the next one and end it, unless the guard does: a busy computer may stop the arm (S25), which a press
        clears. How it ended."""
        answers = (RUNS, "not yet", "not at the start")
        while self.hears(RUNS) <= number:
            self.wait(lambda: self.hears(PROMPT) + self.hears("not yet") > 0)
            before = self.hears(*answers)
            self.press("success", lambda before=before: self.hears(*answers) > before)
        self.press(ended_by, lambda: self.hears(f"episode {number}: ") > 0)
        self.wait(lambda: self.hears(PROMPT) > number + 1 + self.hears("not at the start"))
        return self._said.read_text().partition(f"episode {number}: ")[2].split()[0]


def labels(run: Path) -> set[float]:
    """What the buttons said at the ends of the episodes so far."""
    return {read_episode(path).steps[-1].reward_inputs["key"] for path in (run / "episodes").glob("*.mcap")}


@pytest.fixture(name="place")
def a_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ros-"))  # pytest's is too long for a socket's name
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_buttons_begin_and_label_episodes_over_the_nodes(place: Path, tmp_path: Path) -> None:
    cell, task = files(tmp_path)
    rl, where = [sys.executable, "-m", "robot_rl"], ["--cell", str(cell), "--folder", str(place)]
    acts = ["--task", str(task), "--with-learner", "--preset", "rlpd_paper", "--cameras", "none"]
    keeps = ["--out", str(tmp_path / "run"), "--endpoint", f"ipc://{place}/learner"]
    environment = {**os.environ, "ROS_DOMAIN_ID": domain()}
    with (tmp_path / "said").open("w") as said:
        twin = subprocess.Popen([*rl, "twin", *where], stdout=said, stderr=said)
        up = subprocess.Popen([*rl, "up", "robot", *where, *acts, *keeps], stdout=said, stderr=said, env=environment)
        person = Person(up, tmp_path / "said", buttons(place))
        try:
            outcomes = [person.episode(0, "success"), person.episode(1, "failure")]
            while missing := {1.0, -1.0} - labels(tmp_path / "run"):  # Too busy a computer: the guard ended them.
                assert len(outcomes) < 8, (tmp_path / "said").read_text()
                outcomes.append(person.episode(len(outcomes), "success" if 1.0 in missing else "failure"))
            up.send_signal(signal.SIGINT)
            up.wait(60.0)
        finally:
            for process in (up, twin):
                process.terminate()
                process.wait(60.0)
    assert up.returncode == 0, (tmp_path / "said").read_text()
    assert not person.hears("does not end"), "nobody pressed, and it ended at the first Ctrl-C all the same"
    store = EpisodeStore(tmp_path / "run" / "episodes")
    episodes = [read_episode(tmp_path / "run" / "episodes" / row.path) for row in store.list()]
    store.close()
    for episode, outcome in zip(episodes, outcomes, strict=True):
        last, start = episode.steps[-1], episode.header.initial_robot.arm.T_base_ee.position_m
        assert episode.header.task == "touch"
        assert start == pytest.approx(episode.header.setup["start"][:3], abs=0.006)
        assert last.success == last.terminated == (outcome == "success")

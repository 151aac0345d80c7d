"""Which node is started again, which never, and in what order they end. Needs no rclpy: any process will do."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest

from robot_rl_nodes.node_table import GUARD, NodeSpec, learning, robot_nodes, twin_nodes
from robot_rl_nodes.supervisor import MAX_RESTARTS, WATCH_S, NodeDied, Supervisor
from robot_rl_nodes.up_command import Up
from tests.robot_rl.cell_rig import files as files_in

LIVES = """
import signal, sys, time
def end(*_):
    time.sleep({slow}); print("ended", time.monotonic(), flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True: time.sleep(0.05)
"""


@dataclass(frozen=True)
class Script(NodeSpec):
    """A node that is no node."""

    source: str = LIVES.format(slow=0.0)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", self.source]


@pytest.fixture
def supervise(tmp_path):
    started = []

    def make(*nodes: NodeSpec, heard: tuple[str, ...] = ()) -> Supervisor:
        supervisor = Supervisor(nodes, tmp_path, said.append, heard)
        started.append(supervisor)
        supervisor.start()
        return supervisor

    said: list[str] = []
    make.said = said
    yield make
    for supervisor in started:
        supervisor.stop()


def wait_for(happened, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_camera_that_dies_is_started_again(supervise):
    supervisor = supervise(Script("camera", "camera_node", restarts=True))
    stop, first = Event(), supervisor.processes["camera"]
    watch = Thread(target=supervisor.run, args=(stop,))
    watch.start()
    first.kill()
    wait_for(lambda: supervisor.processes["camera"] is not first)
    stop.set()
    watch.join()
    assert "SIGKILL" in supervise.said[0]
    assert len(supervisor.restarts["camera"]) == 1


def test_one_that_always_dies_ends_it_all_in_its_own_words(supervise):
    supervisor = supervise(Script("camera", "camera_node", restarts=True, source="import sys; sys.exit('no device')"))
    with pytest.raises(NodeDied, match=r"camera ended \(exit code 1\): no device; restarted 5 times"):
        supervisor.run(Event())
    assert len(supervise.said) == MAX_RESTARTS


def test_the_guard_is_never_started_again(supervise):
    supervisor = supervise(Script(GUARD, "arm_node"), Script("camera", "camera_node", restarts=True))
    supervisor.processes[GUARD].kill()
    with pytest.raises(NodeDied, match="own watchdog"):
        supervisor.run(Event())
    assert supervisor.processes["camera"].poll() is None


def test_the_guard_ends_before_any_other_is_told_to(supervise, tmp_path):
    others = [Script(name, "camera_node") for name in ("twin", "camera")]
    supervisor = supervise(*others, Script(GUARD, "arm_node", source=LIVES.format(slow=0.5)))
    for name in supervisor.processes:
        wait_for(lambda name=name: "up" in (tmp_path / f"{name}.log").read_text())
    supervisor.stop()
    ended = {name: float((tmp_path / f"{name}.log").read_text().split()[-1]) for name in supervisor.processes}
    assert min(ended, key=ended.__getitem__) == GUARD


def test_a_frozen_node_is_ended_too(supervise, tmp_path):
    supervisor = supervise(Script("teleop", "teleop_node"))
    wait_for(lambda: "up" in (tmp_path / "teleop.log").read_text())
    supervisor.processes["teleop"].send_signal(signal.SIGSTOP)
    supervisor.stop()
    assert supervisor.processes["teleop"].returncode == 0


def test_it_ends_when_one_that_it_waits_for_is_done(supervise):
    supervisor = supervise(Script("learner", "", restarts=True, source=""), Script("actor", "actor_node"))
    supervisor.run(Event(), until="learner", done=("actor",))
    assert supervise.said == []


def test_an_actor_that_is_done_lets_the_learner_go_on(supervise, tmp_path):
    waits = "import sys, time\nwhile not open(sys.path[-1] + '/go').read(): time.sleep(0.05)"
    (tmp_path / "go").write_text("")
    learner = Script("learner", "", restarts=True, source=f"import sys; sys.path.append({str(tmp_path)!r}); {waits}")
    supervisor = supervise(learner, Script("actor", "actor_node", source=""))
    watch = Thread(target=supervisor.run, args=(Event(), "learner", ("actor",)))
    watch.start()
    wait_for(lambda: supervisor.processes["actor"].poll() == 0)
    time.sleep(3 * WATCH_S)
    assert watch.is_alive()
    (tmp_path / "go").write_text("1")
    watch.join()
    assert supervise.said == []


def test_an_actor_that_fails_ends_it_all(supervise):
    supervisor = supervise(Script("actor", "actor_node", source="import sys; sys.exit('no twin')"))
    with pytest.raises(NodeDied, match=r"actor ended \(exit code 1\): no twin"):
        supervisor.run(Event(), until="learner", done=("actor",))


def test_the_table_of_a_twin_is_that_of_a_robot_and_the_twin():
    robot, twin = robot_nodes("twin", "reach"), twin_nodes("twin", "reach")
    assert [node.name for node in twin] == ["twin", *(node.name for node in robot)]
    assert [node.name for node in robot if not node.restarts] == [GUARD]


def test_a_camera_that_the_cell_does_not_have_is_refused():
    with pytest.raises(ValueError, match="did you mean 'front'"):
        robot_nodes("twin", cameras=["frnt"])


@pytest.mark.parametrize(
    ("what", "says"), [("robot", "Give its --task as a .toml file"), ("twin", "begins with demonstrations")]
)
def test_a_learner_with_nothing_to_learn_from_is_refused_before_anything_starts(what, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        Up(what=what, with_learner=True).nodes(tmp_path)


def test_a_task_file_says_what_the_guard_allows_and_the_actor_does(tmp_path):
    cell, task = (Path(path) for path in files_in(tmp_path).values())
    task.write_text(task.read_text().replace("max_steps = 60", "max_steps = 60\ncontrol_hz = 5.0"))
    up = Up(what="robot", cell=str(cell), task=str(task), with_learner=True, preset="rlpd_paper")
    nodes = {node.name: node for node in up.nodes(tmp_path)}
    guard, actor = nodes[GUARD].parameters, nodes["actor"].parameters
    assert (guard["task"], guard["profile"], guard["control_hz"]) == ("touch", "collaborative", 5.0)
    assert guard["teleop_m_s"] == pytest.approx(0.04), "what a policy's largest steps come to"
    assert (actor["task"], actor["env"]) == (str(task), "")
    with pytest.raises(ValueError, match=r"profile and control_hz stand in '.*touch.toml'"):
        robot_nodes(str(cell), str(task), profile="collaborative")


def test_what_a_node_says_to_people_is_passed_on(supervise, tmp_path):
    supervisor = supervise(Script("actor", "actor_node", source="print('put the scene back')"), heard=("actor",))
    supervisor.run(Event(), until="actor")
    assert supervise.said == ["put the scene back"]


def test_learner_and_actor_meet_at_one_place_and_only_the_learner_is_started_again():
    learner, actor = learning("twin", endpoint="ipc:///tmp/x", env="mine:Cell-v0")
    assert (learner.restarts, actor.restarts) == (True, False)
    assert "ipc:///tmp/x" in learner.command
    assert {"endpoint:='ipc:///tmp/x'", "env:='mine:Cell-v0'"} <= set(actor.command)

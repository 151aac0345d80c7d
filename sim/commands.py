"""The commands of ``robot-rl`` that join the twin with the learner: demo, console, replay, tasks.

Together with :mod:`sim.demo` the only place in ``sim`` that may import all of ``robot_rl``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from robot_rl.command import Command, Configured, task_id, task_ids
from robot_rl.console.door import LOOPBACK, Address

ENOUGH = 40
"""Successes in a row, nobody helping, after which a demo's training ends."""


@dataclass(kw_only=True)
class Demo(Configured):
    """From nothing to a reliable policy in the twin: demonstrations, base, training, test, video, report."""

    demos: int = 20
    """Demonstrations by the scripted person."""
    skill: str = "expert"
    """Of the scripted person: novice, intermediate, expert, or a file of `robot-rl fit-person`."""
    takeover: str = "no_progress"
    """When the person takes over: watchful, no_progress, leaving_funnel, never, value:RUN (a finished run's critic)."""
    test_episodes: int = 200
    """Episodes of the final test, declared before training begins."""
    workers: int = 2
    """Processes of an evaluation."""
    video: bool = True
    """Render demo.mp4 (needs an off-screen renderer)."""
    meshes: str | None = None
    """Film the arm with the meshes of this robot of mujoco-menagerie, as franka_fr3 (downloaded on first use)."""
    interactive: bool = False
    """You are the person: correct the policy from the browser, in real time (needs the extra `console`)."""
    speed: float = 1.0
    """Interactive: simulated seconds a real one."""
    sounds: bool = True
    """Interactive: the page beeps at start, takeover, success, failure and hold."""
    address: Annotated[Address, tyro.conf.arg(name="")] = LOOPBACK

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Configured:
        """The preset's, but training ends once the policy is reliable."""
        given = super().defaults(arguments)
        given.config = replace(given.config, until_in_a_row=ENOUGH)
        return given

    def run(self) -> Mapping[str, Any]:
        if not self.scripted:
            raise ValueError("the demo runs the twin's tasks: give --task; for other environments use `robot-rl train`")
        from sim.demo import run_demo

        return run_demo(self, self.folder("demo"))


@dataclass(kw_only=True)
class Replay(Command):
    """Replay a recorded episode in the twin: as it moved, or by doing its actions again. A real arm's episode
    holds the cell's and task's files as they were; --cell and --task put others in their place."""

    episode: Annotated[Path, tyro.conf.Positional]
    """The episode's .mcap file."""
    mode: Literal["kinematic", "actions"] = "actions"
    """kinematic: show the recorded motion. actions: command it again and report how far it comes out differently."""
    video: Path | None = None
    """Write a side-by-side film here (.mp4, or a small .gif)."""
    report: Path | None = None
    """Write a page with the differences against time here (.html)."""
    bound_mm: float = 2.0
    """From which distance on recording and replay have parted."""
    policy: Path | None = None
    """A run's folder, or its policy's: let it act from the recorded start instead, nobody helping."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Replay:
        return cls(episode=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        import dataclasses

        if self.policy is not None:
            return {"episode": self.episode, **dataclasses.asdict(self._retried(self.policy))}
        from sim.replay import replay

        result = replay(self.episode, self.mode, self.video, self.report, 1e-3 * self.bound_mm, _moved(self))
        return {"episode": self.episode, "mode": self.mode, **dataclasses.asdict(result)}

    def _retried(self, policy: Path) -> Any:
        from robot_rl.policy import load_policy
        from robot_rl.rollout import EnvSpec
        from robot_rl.run_folder import spec_of_run
        from sim.retry import retry

        if self.report is not None or self.mode != "actions":
            raise ValueError("--policy does something else than was recorded: leave out --report and --mode")
        spec = spec_of_run(policy) or EnvSpec(task_id(load_policy(policy)[1].task))
        return retry(self.episode, policy, spec, self.video, 1e-3 * self.bound_mm)


@dataclass(kw_only=True)
class CalibrateTwin(Command):
    """Fit the twin to recorded episodes, by carrying their targets out again with other parameters; a real arm's with
    its cell and task, as `replay` does."""

    episodes: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The episodes' .mcap files. Motion and contact both tell; a hundred steps are a start."""
    parameters: tuple[str, ...] = ()
    """Those to fit; all (stiffness, joint_friction_nm, contact_friction, delay_s) if left out."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> CalibrateTwin:
        return cls(episodes=tyro.MISSING)

    def run(self) -> Mapping[str, Any]:
        import dataclasses
        import json

        from robot_rl.command import say
        from sim.calibration import calibrate
        from sim.parameters import FITTED

        found = calibrate(self.episodes, self.parameters or FITTED, say=say, moved=_moved(self))
        twin = json.dumps({"twin": found.parameters.changes()})
        say(f"to have that twin: --env-kwargs '{twin}'")
        return dataclasses.asdict(found)


@dataclass(kw_only=True)
class FitPerson:
    """Fit the twin's scripted person to a real one, from episodes of the twin that they drove (`robot-rl console`).
    `--skill FILE` then demonstrates and corrects as they would; `robot-rl bench hil --people FILE` compares methods."""

    episodes: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """.mcap files, or folders of them. A minute of driving is a start; `reach` tells it best, where nothing is to be
    done but to go where the mark is."""
    file: Path = Path("person.toml")
    """Where to write it; another person's file that is there is replaced, no other."""
    json: bool = False
    """Print one JSON object on stdout and nothing else; progress goes to stderr in any case."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> FitPerson:
        return cls(episodes=tyro.MISSING)

    def check(self) -> None:
        """Raise ValueError for a name that would not be known again, and for a file that is something else."""
        from sim.skill import require_free

        require_free(self.file)

    def run(self) -> Mapping[str, Any]:
        import dataclasses

        from sim.fitted_person import fit_skill, trace_of

        given = [sorted(path.glob("*.mcap")) if path.is_dir() else [path] for path in self.episodes]
        traces = [trace_of(path) for paths in given for path in paths]
        skill = fit_skill(traces)
        skill.save(self.file)
        driven_s = sum(trace.driven_s for trace in traces)
        return {"file": self.file, "episodes": len(traces), "driven_s": driven_s, **dataclasses.asdict(skill)}


@dataclass(kw_only=True)
class Console(Command):
    """Open a twin in the browser: watch it, drive it by keys or gizmo, label its episodes. Ctrl-C ends it. With --cell,
    watch whichever command runs in a real cell."""

    task: str = ""
    """Task by name; that of --policy by default, else peg_insertion. Of a real cell: its .toml file."""
    runs: tuple[Path, ...] = ()
    """Of a real cell: the folders of actor and learner, to browse episodes and see what is learned."""
    policy: Path | None = None
    """A run's folder, or its policy's: it drives until you take over. Left out, the arm rests."""
    episodes: int | None = None
    """End after so many."""
    speed: float = 1.0
    """Simulated seconds a real one."""
    sounds: bool = True
    """The page beeps at start, takeover, success, failure and hold."""
    address: Annotated[Address, tyro.conf.arg(name="")] = LOOPBACK

    def run(self) -> Mapping[str, Any]:
        from robot_rl.command import say
        from robot_rl.console.snapshot import HELPED, SUCCESS
        from robot_rl.policy import load_policy
        from sim.console import run, watched

        if self.cell is not None:
            return self._watch_cell(self.cell)
        policy, interface = load_policy(self.policy) if self.policy is not None else (None, None)
        self.task = self.task or (interface.task if interface is not None else "peg_insertion")
        out = self.folder(f"console-{self.task}")
        with watched(self.env_spec(), self.address, out, self.seed, self.speed, self.sounds) as (rollout, console):
            say(f"console: {console.link.url} (Ctrl-C ends it)")
            try:
                run(rollout, console, policy, self.episodes)
            except KeyboardInterrupt:
                say("console closed")
            outcomes = console.live.outcomes
        return {
            "out": out,
            "episodes": len(outcomes),
            "successes": sum(bool(outcome & SUCCESS) for outcome in outcomes.tolist()),
            "helped": sum(bool(outcome & HELPED) for outcome in outcomes.tolist()),
        }

    def _watch_cell(self, cell: Path) -> Mapping[str, Any]:
        from hardware.cell import load_cell
        from robot_rl.cell_console import watch
        from robot_rl.cell_task import load_task

        if self.policy is not None or self.episodes is not None:
            raise ValueError("--policy and --episodes are the twin's: in a real cell `robot-rl actor` or `eval` drives")
        task = load_task(self.task).name if self.task else ""
        watch(load_cell(cell), task, self.runs, self.address, self.sounds)
        return {"cell": cell}


@dataclass(kw_only=True)
class Tasks(Command):
    """List the tasks of the twin."""

    def run(self) -> Mapping[str, Any]:
        from robot_rl.rollout import EnvSpec

        rows = []
        for name, env_id in task_ids().items():
            env = EnvSpec(env_id).make()
            spec = env.task.spec
            rows.append({"task": name, "env": env_id, "max_steps": spec.max_steps, "instruction": spec.instruction})
            env.close()
        return {"tasks": rows}


def _moved(command: Command) -> dict[str, str]:
    """Where a real cell's files are now, if the command says."""
    given = {"cell": "" if command.cell is None else str(command.cell), "task": command.task}
    return {name: file for name, file in given.items() if file.endswith(".toml")}

"""``robot-rl``: finds commands among the installed packages, runs one, and turns failures into one line for people.

Commands are entry points of the group ``robot_rl.commands``, of one word or two, each a dataclass that is a
:class:`Runnable`; most derive from :class:`robot_rl.command.Command`. So a package may add its own without this one
knowing, and without knowing it.
"""

from __future__ import annotations

import difflib
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, Protocol

from robot_rl.stopping import ended_as_by_ctrl_c

GROUP = "robot_rl.commands"
FAILURE, USAGE_ERROR, INTERRUPTED = 1, 2, 130


class Runnable(Protocol):
    """A command: a dataclass whose fields are its options and whose docstring is its help. One that can go on after an
    interruption also has ``started_in``, its folder, and ``out``, the option that names one; one whose result may be a
    failure has ``exit_code``; one whose options may make no sense has ``check``, which raises as :meth:`run` does."""

    json: bool

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Runnable:
        """An instance holding the defaults that ``arguments`` imply; ``tyro.MISSING`` for what must be given."""
        ...

    def run(self) -> Mapping[str, Any]:
        """Do it. Raises ValueError or OSError, one line, for what the person at the keyboard can put right."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``robot-rl`` with ``arguments`` (of the process by default) and return its exit code.

    0; 2 for what the person at the keyboard can put right, 1 for what they cannot; 130 after Ctrl-C or SIGTERM.
    """
    # Our networks are small: threads would wait for each other, and many times longer where other processes run.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        with ended_as_by_ctrl_c():
            return _run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:  # whoever read the output has enough
        sys.stderr.close()
        return 1


def _run(given: Sequence[str]) -> int:
    commands = {point.name: point for point in entry_points(group=GROUP)}
    if not given or given[0] in ("-h", "--help"):
        print(overview(commands))
        return 0
    if given[0] == "--version":
        print(version("robot-rl"))
        return 0
    words = 2 if " ".join(given[:2]) in commands else 1
    name, rest = " ".join(given[:words]), given[words:]
    if name not in commands:
        return _complain(f"no command '{name}'; {nearest(name, commands)} (robot-rl --help lists them)")
    command: Runnable | None = None
    try:
        command = parse(name, commands[name], rest)
        getattr(command, "check", lambda: None)()
        result = command.run()
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        if os.environ.get("ROBOT_RL_TRACEBACK"):
            raise
        return _complain(_one_line(error))
    except RuntimeError as error:
        if os.environ.get("ROBOT_RL_TRACEBACK"):
            raise
        _complain(f"{_one_line(error)} (ROBOT_RL_TRACEBACK=1 shows where)")
        return FAILURE
    except KeyboardInterrupt:
        _say(f"interrupted; {_how_to_go_on(name, rest, command)}")
        return INTERRUPTED
    print(json.dumps(jsonable(result), allow_nan=False) if command.json else describe(result))
    return int(getattr(command, "exit_code", 0))


def parse(name: str, point: EntryPoint, arguments: Sequence[str]) -> Runnable:
    """The command that ``arguments`` describe; tyro ends the process with code 2 on ones it does not know."""
    import tyro

    kind: type[Runnable] = point.load()
    return tyro.cli(
        kind,
        prog=f"robot-rl {name}",
        description=kind.__doc__,
        args=list(arguments),
        default=kind.defaults(arguments),
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def overview(commands: Mapping[str, EntryPoint]) -> str:
    """Every command with the first line of its docstring."""
    lines, width = ["usage: robot-rl COMMAND [OPTIONS]", ""], max(map(len, commands), default=0)
    for name in sorted(commands):
        try:
            text = (commands[name].load().__doc__ or "").strip().splitlines()[0]
        except ImportError as error:
            text = f"(not available: {error})"
        lines.append(f"  {name:<{width}} {text}")
    return "\n".join([*lines, "", "robot-rl COMMAND --help explains one; --json prints one JSON object on stdout."])


def nearest(name: str, allowed: Sequence[str] | Mapping[str, Any]) -> str:
    """``did you mean 'x'?`` for the closest of ``allowed``."""
    close = difflib.get_close_matches(name, list(allowed), 1, cutoff=0.0)
    return f"did you mean '{close[0]}'?" if close else "there is none"


def describe(result: Mapping[str, Any]) -> str:
    """A result for people: one ``name  value`` a line, rows of a list each on their own; nested tables are for JSON."""
    plain = {name: value for name, value in jsonable(result).items() if not isinstance(value, dict)}
    width = max((len(name) for name in plain), default=0)
    lines = []
    for name, value in plain.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += ["  ".join(_short(cell) for cell in row.values()) for row in value]
        else:
            lines.append(f"{name:<{width}}  {_short(value)}")
    return "\n".join(lines)


def jsonable(value: Any) -> Any:
    """``value`` in JSON's types; a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) or hasattr(value, "__float__"):
        number = float(value)
        return number if abs(number) != float("inf") and number == number else None
    return str(value)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "–"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _how_to_go_on(name: str, arguments: Sequence[str], command: Runnable | None) -> str:
    started_in = getattr(command, "started_in", None)
    if started_in is None:
        return "nothing was left behind"
    words = ["robot-rl", *name.split(), *arguments]
    if getattr(command, "out", None) is None:
        words += ["--out", str(started_in)]
    return f"what was done is in {started_in}; go on with: {shlex.join(words)}"


def _complain(text: str) -> int:
    _say(f"error: {text}")
    return USAGE_ERROR


def _say(text: str) -> None:
    print(f"robot-rl: {text}", file=sys.stderr)

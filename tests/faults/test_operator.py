"""``robot-rl arm``: the operator's requests to a guard that runs as a process of its own, and what each answers."""

from __future__ import annotations

import json
import signal
from typing import Any, get_args

import pytest

from hardware.commands import Wish
from hardware.guard_process import SOCKET as GUARD_SOCKET
from hardware.guard_socket import GuardClient
from robot_rl.cli import main
from tests.faults.guarded_twin import GuardedTwin, start, wait_for


@pytest.fixture
def twin():
    twin = GuardedTwin()
    twin.guard = start("guard", "--folder", str(twin.folder))
    twin.client = twin.reach()
    yield twin
    twin.close()


class Console:
    """The command, in this process, against the twin's guard."""

    def __init__(self, twin: GuardedTwin, capsys: pytest.CaptureFixture[str]):
        self.twin, self.capsys = twin, capsys

    def ask(self, do: str, *options: str) -> dict[str, Any]:
        """What is printed; fails where the request is refused."""
        assert main(["arm", do, "--folder", str(self.twin.folder), "--json", *options]) == 0
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def refused(self, do: str) -> str:
        """The one line that a refused request prints."""
        assert main(["arm", do, "--folder", str(self.twin.folder)]) == 2
        printed = self.capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        return printed.err

    def wait(self, mode: str) -> dict[str, Any]:
        wait_for(lambda: self.ask("status")["mode"] == mode, 10.0)
        return self.ask("status")


def test_an_operators_session_from_engaging_to_recovering(twin, capsys):
    console = Console(twin, capsys)
    assert console.ask("status")["mode"] == "DISARMED"
    assert "DISARMED, not HOLD" in console.refused("resume")
    assert "in HOLD or FAULT only" in console.refused("recover")
    wait_for(lambda: not twin.client.request("engage").error, 10.0)
    assert ", not DISARMED" in console.refused("engage")
    console.ask("hold", "--reason", "tea")
    assert console.wait("HOLD")["reason"] == "tea"
    wait_for(lambda: not twin.client.request("resume").error, 10.0)
    console.ask("hold")
    console.wait("HOLD")
    assert console.ask("recover")["mode"] == "DISARMED"
    assert console.ask("status")["reason"] == "the arm is being recovered"
    wait_for(lambda: not twin.client.request("engage").error, 10.0)
    console.ask("disarm")
    console.wait("DISARMED")
    wait_for(lambda: not twin.client.request("engage").error, 10.0)
    assert console.ask("reset")["mode"] == "DISARMED"


def test_every_wish_of_the_command_is_one_that_the_guard_knows(twin):
    for wish in get_args(Wish):
        assert twin.client.request(wish).mode


def test_a_guard_that_ends_hangs_or_never_was_is_told_in_a_line(twin, capsys):
    console = Console(twin, capsys)
    twin.guard.send_signal(signal.SIGSTOP)
    client = GuardClient(twin.folder / GUARD_SOCKET, timeout_s=0.2)
    with pytest.raises(TimeoutError, match="the guard does not answer"):
        client.request("status")
    twin.guard.kill()
    twin.guard.wait()
    for _ in range(2):
        with pytest.raises(ConnectionError, match="the guard is gone"):
            client.request("status")
    client.close()
    assert "no guard listens at" in console.refused("status")
    assert main(["arm", "status", "--cell", "twn"]) == 2
    assert "did you mean 'twin'?" in capsys.readouterr().err

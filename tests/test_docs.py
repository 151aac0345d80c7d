"""What README and docs name exists: commands and their options, files, links, targets of make, keys of a cell file."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from hardware.cell import Cell, cell_file
from hardware.device_settings import CameraSettings, ControllerSettings, TeleopSettings
from hardware.toml_dataclass import from_table, read_toml, tomllib
from robot_rl.cli import parse

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.stem != "decisions")]
"""Decisions are dated: what they name may be gone."""
COMMANDS = {point.name: point for point in entry_points(group="robot_rl.commands")}
TABLES = {"cameras.NAME": CameraSettings, "controller": ControllerSettings, "teleop": TeleopSettings}


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def path(request) -> Path:
    return request.param


@pytest.fixture
def page(path) -> str:
    """Its text; a command that goes on in the next line in one."""
    return path.read_text(encoding="utf-8").replace("\\\n", " ")


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each ``robot-rl NAME`` of a page, and the options given with it."""
    for said in re.finditer(r"robot-rl ([a-z][a-z-]*(?: hil)?)([^`\n|#;]*)", text):
        yield said[1], re.findall(r"(?<!\S)--[a-z][a-z.-]*", said[2])


@cache
def explained(name: str) -> str:
    """``--help`` of a command."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit):
        parse(name, COMMANDS[name], ["--help"])
    return text.getvalue()


def test_every_command_and_option_exists(page):
    for name, options in commands(page):
        assert name in COMMANDS, name
        for option in options:
            assert re.search(rf"{re.escape(option)}(?![\w.-])", explained(name)), f"{name} {option}"


def test_every_link_leads_somewhere(path, page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = path.parent / name if name else path
        assert other.exists(), target
        assert not anchor or anchor in anchors(other.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_file_and_target_exists(page):
    for named in re.findall(r"`((?:hardware|sim|robot_rl|ros_ws|launch|tests|benchmarks|docs)/[\w/.-]+)`", page):
        if named == named.lower() and "/results/" not in named:  # NAME and FAMILY are the reader's to choose.
            assert (ROOT / named).exists(), named
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", page, re.MULTILINE))
    assert asked <= targets, asked - targets


def test_every_key_of_a_cell_file_exists(page):
    for table, key in re.findall(r"`(controller|teleop)\.(\w+)`", page):
        assert key in {field.name for field in dataclasses.fields(TABLES[table])}, f"{table}.{key}"
    like = read_toml(cell_file("fr3_two_realsense"))
    for block in re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        told = tomllib.loads(block)
        if {"cameras", "controller", "devices", "teleop"} & told.keys():
            from_table(Cell, {**like, **told}, "docs")

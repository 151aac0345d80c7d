"""Cells: what the packaged one holds, and that whatever does not fit is refused in one line that helps."""

from __future__ import annotations

import pytest

from hardware.cell import CellError, Workspace, cell_names, load_cell, load_cells
from hardware.limits import Limits

MINIMAL = """
name = "lab"
arm = "fr3"
home_joint_positions_rad = [0, 0, 0, -2.0, 0, 2.0, 0.8]
[workspace]
min_m = [0.3, -0.2, 0.0]
max_m = [0.7, 0.2, 0.5]
"""


def load(tmp_path, text: str):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return load_cell(path)


@pytest.mark.parametrize("name", cell_names())
def test_every_packaged_cell_loads(name):
    cells = load_cells(name)
    assert [cell.name for cell in cells.values()] == [f"{name}.{arm}" if arm else name for arm in cells]
    for cell in cells.values():
        assert cell.profile("collaborative").max_speed_m_s <= 0.25
        assert all(type(q) is float for q in cell.home_joint_positions_rad)


def test_the_least_a_cell_needs_gets_safe_defaults(tmp_path):
    cell = load(tmp_path, MINIMAL)
    assert cell.profile("collaborative") == Limits()
    assert (cell.guard_period_s, cell.scripted_operator, dict(cell.cameras)) == (0.01, False, {})


def test_a_profile_changes_what_it_names_and_nothing_else(tmp_path):
    cell = load(tmp_path, MINIMAL + "[limits.fast]\nmax_speed_m_s = 0.5\nmax_measured_speed_m_s = 0.6\n")
    assert cell.profile("fast") == Limits(max_speed_m_s=0.5, max_measured_speed_m_s=0.6)
    assert cell.profile("collaborative") == Limits()
    with pytest.raises(CellError, match="no limits profile 'fats'; did you mean 'fast'"):
        cell.profile("fats")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[workspcae]\n", r"lab.toml: unknown key 'workspcae'; did you mean 'workspace'\?"),
        (
            "[limits.collaborative]\nmax_sped_m_s = 0.1\n",
            "limits.collaborative: unknown key 'max_sped_m_s'; did you mean",
        ),
        ("[cameras.wrist]\nserail = '1'\n", "cameras.wrist: unknown key 'serail'; did you mean 'serial'"),
        ("[teleop]\nzzz = 1\n", "unknown key 'zzz'; allowed: axes, buttons, dead_band, device"),
        (
            "[limits.x]\nmax_lead_m = 0.001\nmax_acceleration_m_s2 = 2.0\n",
            "lab.toml: limits.x: no speed is left at which the reference stops within 0.001 of an arm that is blocked",
        ),
        ("[limits.x]\nmax_speed_m_s = 0\n", "max_speed_m_s is 0; it must be above 0 and at most 1.7"),
        ("[limits.x]\nmax_speed_m_s = 9.5\n", "max_speed_m_s is 9.5; it must be above 0 and at most 1.7"),
        ("[limits.x]\nmax_speed_m_s = nan\n", "max_speed_m_s is nan; it must be a finite number"),
        ("[limits.x]\nmax_speed_m_s = true\n", "max_speed_m_s is True; it must be a finite number"),
        ("[limits.x]\nmax_speed_m_s = '1'\n", "max_speed_m_s is '1'; it must be a finite number"),
        ("[limits.x]\nbad_commands_to_fault = 1.5\n", "bad_commands_to_fault is 1.5; it must be a finite integer"),
        ("[limits.x]\nmax_speed_m_s = 0.4\n", "max_measured_speed_m_s is 0.3 m/s; it must exceed max_speed_m_s"),
        ("[teleop]\nrelease_s = -1\n", "release_s is -1; it must be at least 0 and at most 5"),
        ("[teleop]\ndevice = 3\n", "device is 3; it must be a str"),
        ("[gripper]\nopen_width_m = 0.01\nclosed_width_m = 0.02\n", "closed_width_m 0.02 must be below open_width_m"),
        ("[cameras]\nwrist = 4\n", "cameras.wrist is 4; it must be a table"),
        ("[[limits]]\na = 1\n", "limits is .* it must be a table"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, extra, message):
    with pytest.raises(CellError, match=message) as caught:
        load(tmp_path, MINIMAL + extra)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "lab"', "", "'name' is missing; every Cell needs it"),
        ("max_m = [0.7, 0.2, 0.5]", "max_m = [0.7, 0.2]", "max_m has 2 entries; it must have 3"),
        ("max_m = [0.7, 0.2, 0.5]", "max_m = 1", "max_m is 1; it must be a list"),
        ("max_m = [0.7, 0.2, 0.5]", "max_m = [0.7, 0.2, -1]", "must lie below max_m"),
        ("[0.7, 0.2, 0.5]", "[0.7, 'x', 0.5]", r"max_m\[1\] is 'x'"),
        ('name = "lab"', "name = ", "not valid TOML"),
        ('arm = "fr3"', 'arm = "fr3"\nguard_hz = 50', "guard_hz is 50; it must be at least 100"),
    ],
)
def test_a_broken_file_is_refused_naming_it(tmp_path, old, new, message):
    with pytest.raises(CellError, match=rf"lab.toml.*{message}"):
        load(tmp_path, MINIMAL.replace(old, new))


def test_a_cell_that_is_not_there_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(CellError, match=r"no cell 'twim': .* did you mean 'twin'"):
        load_cell("twim")
    with pytest.raises(CellError, match=r"cannot read .*gone\.toml: No such file"):
        load_cell(tmp_path / "gone.toml")


def test_workspace_measures_and_clips():
    box = Workspace((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert box.excess((0.5, 0.4, 0.9)) == pytest.approx(-0.1)
    assert box.excess((0.5, -0.2, 1.1)) == pytest.approx(0.2)
    assert box.clip((0.5, -0.2, 1.1)) == (0.5, 0.0, 1.0)
    assert box.clip((0.5, -0.2, 0.95), inset_m=0.1) == (0.5, 0.1, 0.9)


# -- several arms ------------------------------------------------------------------------------------------------------

ARMS = """
[planes.table]
normal = [0, 0, 1]
[arms.left]
mount = { position_m = [0, 0.4, 0] }
[arms.right]
mount = { position_m = [0, -0.4, 0], yaw_rad = 1 }
gripper = { open_width_m = 0.1 }
"""


def load_arms(tmp_path, text: str):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return load_cells(path)


def test_arms_share_what_stands_outside_their_tables_and_keep_what_stands_inside(tmp_path):
    cells = load_arms(tmp_path, MINIMAL + ARMS)
    assert {name: cell.other_arms for name, cell in cells.items()} == {"left": ("right",), "right": ("left",)}
    left, right = cells["left"], cells["right"]
    assert (left.name, right.name) == ("lab.left", "lab.right")
    assert (left.mount.position_m[1], right.mount.position_m[1], right.mount.yaw_rad) == (0.4, -0.4, 1.0)
    assert (left.gripper.open_width_m, right.gripper.open_width_m) == (0.08, 0.1)
    assert left.planes == right.planes and left.workspace == right.workspace and left.limits == right.limits


def test_a_file_of_one_arm_has_one_cell(tmp_path):
    assert load_arms(tmp_path, MINIMAL) == {"": load(tmp_path, MINIMAL)}


def test_one_arm_of_several_is_not_loaded_alone(tmp_path):
    with pytest.raises(CellError, match="has the arms left, right; one arm of several is never driven without"):
        load(tmp_path, MINIMAL + ARMS)
    with pytest.raises(CellError, match="'two_arms' has the arms left, right"):
        load_cell("two_arms")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[arms.right]", "[arms.right]\nmuont = 1", r"arms.right: 'muont' is not an arm's own; did you mean 'mount'\?"),
        ("[arms.right]", "[arms.right]\nguard_hz = 200", "arms.right: 'guard_hz' is not an arm's own; allowed: arm, "),
        ("[arms.right]", "[arms.right]\narm = 'fr3'", "'arm' stands outside the arms too; one of them must go"),
        ("position_m = [0, -0.4, 0]", "position_m = [0, 1]", "arms.right: mount: position_m has 2 entries"),
        (
            "position_m = [0, -0.4, 0], yaw_rad = 1",
            "position_m = [0, 0.4, 0]",
            "left and right stand in the same place",
        ),
        ("[arms.right]", '[arms."the right"]', "arms.the right: a name is made of letters"),
        ("open_width_m = 0.1", "open_width_m = 9", "arms.right: gripper: open_width_m is 9; it must be"),
    ],
)
def test_an_arm_that_does_not_fit_is_refused_in_one_line(tmp_path, old, new, message):
    assert old in ARMS
    with pytest.raises(CellError, match=rf"lab.toml: .*{message}") as caught:
        load_arms(tmp_path, MINIMAL + ARMS.replace(old, new))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arms", ["arms = 3", "[arms]", "[arms]\nleft = 3\nright = 4", "[arms.left]"])
def test_arms_are_tables_and_at_least_two(tmp_path, arms):
    with pytest.raises(CellError, match="it must hold a table for each of two arms or more"):
        load_arms(tmp_path, arms + "\n" + MINIMAL if arms == "arms = 3" else MINIMAL + arms)

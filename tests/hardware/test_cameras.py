"""Cameras as the guard sees them: age and stuck counters (S16), pictures that stay the same (S17), skew (S18)."""

from __future__ import annotations

from math import nan

import pytest

from hardware.camera_health import CameraHealth, look, skew_s
from hardware.camera_watch import CameraWatch
from hardware.cell import CameraSettings
from hardware.fakes import POINTING_DOWN, FakeArm, FakeCamera, FakeClock, FakeTeleop
from hardware.guard_inputs import DiskHealth, LinkHealth
from hardware.interfaces import ArmCommand, FrameStamp, GuardMode, ResetPlan
from hardware.limits import Limits
from hardware.local_robot import LocalRobot
from tests.hardware.rig import Rig, fake_cell

LIMITS = Limits()
PERIOD_S = 0.01
HERE = (0.4, 0.0, 0.2)
NEW = CameraHealth("front", 1.0 / 30.0, 1.0)


def moved(x: float) -> tuple[float, float, float]:
    """``x`` away from HERE."""
    return (0.4 + 0.6 * x, 0.0, 0.2 - 0.8 * x)


# -- one camera --------------------------------------------------------------------------------------------------------


def test_s16_only_a_later_counter_makes_a_frame_new_whatever_its_stamp():
    seen = look(NEW, FrameStamp(2.0, 5), HERE)
    assert seen == CameraHealth("front", 1.0 / 30.0, 2.0, 5, None, 1, HERE, 0.0)
    for frame in (None, FrameStamp(9.0, 5), FrameStamp(9.0, 4), FrameStamp(9.0, -1)):
        assert look(seen, frame, moved(0.1)) is seen
    assert look(seen, FrameStamp(2.1, 6), moved(0.1)).stamp_s == 2.1
    assert look(NEW, FrameStamp(2.0, -1), HERE) is NEW
    assert look(NEW, FrameStamp(2.0, 0), HERE).sequence == 0


def test_s17_the_same_pixels_are_counted_and_the_way_from_where_they_appeared():
    assert NEW.repeats == 1
    seen = look(NEW, FrameStamp(2.0, 0, 77), HERE)
    assert (seen.repeats, seen.seen_from, seen.moved_m) == (1, HERE, 0.0)
    way = [0.001, 0.004, 0.002, 0.003]
    for count, x in enumerate(way):
        seen = look(seen, FrameStamp(2.0 + 0.1 * (count + 1), count + 1, 77), moved(x))
        assert (seen.repeats, seen.sequence, seen.digest) == (count + 2, count + 1, 77)
        assert seen.moved_m == pytest.approx(max(way[: count + 1]))
        assert (seen.seen_from, seen.stamp_s) == (HERE, 2.0 + 0.1 * (count + 1))
    other = look(seen, FrameStamp(3.0, 9, 78), moved(0.004))
    assert other == CameraHealth("front", 1.0 / 30.0, 3.0, 9, 78, 1, moved(0.004), 0.0)


def test_s17_without_hashes_pictures_are_never_the_same():
    seen = NEW
    for count in range(10):
        seen = look(seen, FrameStamp(2.0, count), moved(0.01 * count))
        assert (seen.repeats, seen.moved_m) == (1, 0.0)
    seen = look(seen, FrameStamp(2.0, 20, 7), HERE)
    assert (look(seen, FrameStamp(2.0, 21), HERE).repeats, look(seen, FrameStamp(2.0, 21, 7), HERE).repeats) == (1, 2)


@pytest.mark.parametrize(
    ("stamps_s", "skew"),
    [((), 0.0), ((5.0,), 0.0), ((5.0, 5.0), 0.0), ((5.0, 5.25), 0.25), ((5.25, 5.0, 5.125), 0.25)],
)
def test_s18_the_skew_is_the_spread_of_all_stamps(stamps_s, skew):
    assert skew_s(iter(stamps_s)) == skew


# -- through the guard -------------------------------------------------------------------------------------------------


class Picture:
    """A camera whose counter and pixels can be stopped, seen by an engaged rig's guard tick by tick."""

    def __init__(self) -> None:
        self.rig = Rig().engage()
        self.rig.ask(POINTING_DOWN)
        self.health = CameraHealth("front", 1.0 / 30.0, self.rig.clock.now())
        self.sequence, self.stamp_s, self.digest = 0, 0.0, 0
        self.at = POINTING_DOWN.position_m

    def tick(self, counts: bool = True, stamps: bool = True, changes: bool = True, moved_m: float = 0.0) -> GuardMode:
        """A frame each 30 ms."""
        now = self.rig.clock.now() + PERIOD_S
        if len(self.rig.trace) % 3 == 0:
            self.sequence += counts
            self.stamp_s = now if stamps else self.stamp_s
            self.digest += changes
        x, y, z = self.at
        self.at = (x + moved_m, y, z)
        self.health = look(self.health, FrameStamp(self.stamp_s, self.sequence, self.digest), self.at)
        self.rig.cameras = (self.health,)
        return self.rig.tick().mode


def test_s16_a_counter_that_sticks_holds_though_the_stamp_moves_on():
    picture = Picture()
    assert all(picture.tick() is GuardMode.RUNNING for _ in range(60))
    modes = [picture.tick(counts=False) for _ in range(30)]
    age_s = LIMITS.camera_timeout_periods / 30.0
    assert modes.index(GuardMode.HOLD) == pytest.approx(age_s / PERIOD_S, abs=3)
    assert picture.rig.guard.reason.startswith("S16")


def test_s17_pixels_that_stick_hold_only_an_arm_that_moves():
    picture = Picture()
    assert all(picture.tick(changes=False) is GuardMode.RUNNING for _ in range(300))
    step = LIMITS.max_frozen_motion_m / 30.0
    modes = [picture.tick(changes=False, moved_m=step) for _ in range(60)]
    assert modes.index(GuardMode.HOLD) == pytest.approx(30, abs=3)
    assert picture.rig.guard.reason.startswith("S17")


def test_s17_pixels_that_stick_in_motion_hold_from_the_fifth_frame_on():
    picture = Picture()
    assert all(picture.tick(moved_m=0.002) is GuardMode.RUNNING for _ in range(30))
    modes = [picture.tick(changes=False, moved_m=0.002) for _ in range(30)]
    assert modes.index(GuardMode.HOLD) == pytest.approx(3 * (LIMITS.identical_frames - 1), abs=3)


def test_s17_pixels_that_change_now_and_then_do_not_hold():
    picture = Picture()
    for tick in range(300):
        assert picture.tick(changes=tick % 12 == 0, moved_m=0.0002) is GuardMode.RUNNING


def test_s17_a_picture_that_froze_while_the_arm_told_nonsense_still_counts():
    picture = Picture()
    picture.at = (nan, 0.0, 0.2)
    while picture.health.repeats != 1 or picture.health.sequence < 1:
        picture.tick()
    picture.at = POINTING_DOWN.position_m
    modes = [picture.tick(changes=False, moved_m=0.002) for _ in range(30)]
    assert modes[-1] is GuardMode.HOLD
    assert picture.rig.guard.reason.startswith("S17")


# -- the watch over all cameras ----------------------------------------------------------------------------------------


class Shown:
    """A camera that shows what it is told."""

    def __init__(self, name: str, stamp_s: float = 1.0) -> None:
        self.name, self.stamp_s, self.sequence, self.gone = name, stamp_s, 0, False
        self.asked_s: list[float] = []

    def newest(self) -> FrameStamp | None:
        if self.gone:
            raise ConnectionError("unplugged")
        return FrameStamp(self.stamp_s, self.sequence)

    def read_latest(self, max_age_s: float) -> FrameStamp:
        self.asked_s.append(max_age_s)
        return FrameStamp(self.stamp_s, self.sequence)


def watch_of(*cameras: Shown) -> CameraWatch:
    settings = {"slow": CameraSettings(frames_per_s=5.0, max_age_s=1.5)}
    return CameraWatch({camera.name: camera for camera in cameras}, settings, LIMITS.max_skew_s, 0.5)  # type: ignore[misc]


def test_the_watch_begins_with_every_camera_as_old_as_itself_and_at_its_own_rate():
    fast, slow = Shown("fast"), Shown("slow")
    fast.sequence = slow.sequence = -1
    seen = watch_of(fast, slow).look(HERE)
    assert seen == (
        CameraHealth("fast", 1.0 / CameraSettings().frames_per_s, 0.5),
        CameraHealth("slow", 1.0 / 5.0, 0.5),
    )


def test_s16_a_camera_that_is_gone_ages_and_the_others_are_still_looked_at():
    gone, well = Shown("gone"), Shown("well")
    watch = watch_of(gone, well)
    watch.look(HERE)
    gone.gone, well.stamp_s, well.sequence = True, 2.0, 1
    assert [health.stamp_s for health in watch.look(HERE)] == [1.0, 2.0]
    gone.gone, gone.stamp_s, gone.sequence = False, 3.0, 1
    assert [health.stamp_s for health in watch.look(HERE)] == [3.0, 2.0]


def test_restarting_forgets_frames_and_counters():
    camera = Shown("fast")
    camera.sequence = 50
    watch = watch_of(camera)
    watch.look(HERE)
    watch.restart(7.0)
    camera.sequence = 2
    assert watch.look(HERE)[0].sequence == 2
    assert watch_of(camera)._frames == {}


def test_each_camera_is_read_at_the_age_that_its_settings_allow():
    fast, slow = Shown("fast"), Shown("slow")
    watch_of(fast, slow).take()
    assert (fast.asked_s, slow.asked_s) == ([CameraSettings().max_age_s], [1.5])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0 - 1e-6, 1.0 + 1e-6, 2.0])
def test_s18_a_set_whose_frames_are_too_far_apart_is_dropped_for_the_one_before(share):
    one, two = Shown("one", 0.0), Shown("two", 0.0)
    watch = watch_of(one, two)
    assert watch.reported_skew_s() is None
    first = watch.take()
    assert (watch.reported_skew_s(), watch.reported_skew_s()) == (0.0, None)
    two.stamp_s = LIMITS.max_skew_s * share
    second = watch.take()
    assert (second is first) is (share > 1.0)
    assert watch.reported_skew_s() == two.stamp_s
    one.stamp_s = two.stamp_s
    third = watch.take()
    assert [frame.stamp_s for frame in third.values()] == [two.stamp_s] * 2
    assert watch.reported_skew_s() == 0.0


def test_s18_frames_exactly_as_far_apart_as_allowed_belong_together():
    one, two = Shown("one", 1.0), Shown("two", 1.125)
    watch = CameraWatch({"one": one, "two": two}, {}, 0.125, 0.0)
    assert [frame.stamp_s for frame in watch.take().values()] == [1.0, 1.125]


def test_s18_where_no_set_was_ever_together_the_cameras_are_named():
    one, two = Shown("one", 1.0), Shown("two", 1.125)
    watch = watch_of(one, two)
    with pytest.raises(TimeoutError, match=r"cameras one, two: .* exposed 125 ms apart, 50 ms are allowed"):
        watch.take()
    assert watch.reported_skew_s() == 0.125
    two.stamp_s = 1.0
    watch.take()
    two.stamp_s = 1.125
    watch.take()
    watch.restart(2.0)
    with pytest.raises(TimeoutError):
        watch.take()


# -- through the robot -------------------------------------------------------------------------------------------------


def robot_with(*names: str) -> LocalRobot:
    clock = FakeClock(delays_s={"command": 0.02})
    cameras = {name: FakeCamera(clock, name) for name in names}
    robot = LocalRobot(FakeArm(clock), cameras, FakeTeleop(), fake_cell(), clock)
    robot.reset(ResetPlan(POINTING_DOWN))
    return robot


def step(robot: LocalRobot) -> None:
    robot.command(ArmCommand(POINTING_DOWN))
    robot.clock.sleep_until(robot.clock.now() + 0.1)


@pytest.mark.parametrize("victim", ["front", "wrist"])
def test_s16_a_camera_that_stalls_holds_the_robot(victim):
    robot = robot_with("front", "wrist")
    step(robot)
    assert robot.guard.mode is GuardMode.RUNNING
    robot.cameras[victim].frozen_s = robot.clock.now()
    step(robot)
    step(robot)
    assert robot.guard.mode is GuardMode.HOLD
    assert robot.guard.reason.startswith("S16")


def test_s18_observations_dropped_for_skew_reach_the_guard_once_each():
    robot = robot_with("front", "wrist")
    step(robot)
    robot.observe()
    robot.cameras["wrist"].newest = lambda: FrameStamp(robot.clock.now() - 0.08, int(1000 * robot.clock.now()))
    for _ in range(3):
        step(robot)
        robot.observe()
    step(robot)
    assert len(robot.guard.state.counts.dropped_s) == 3
    assert robot.guard.mode is GuardMode.RUNNING
    for _ in range(3):
        robot.observe()
        step(robot)
    assert robot.guard.mode is GuardMode.HOLD
    assert robot.guard.reason.startswith("S18")


def test_s22_s26_the_robot_tells_the_guard_of_link_and_disk():
    robot = robot_with("front")
    step(robot)
    robot.link_health = lambda: LinkHealth(policy_age_s=LIMITS.max_policy_age_s + 1.0)
    step(robot)
    assert robot.guard.reason.startswith("S22")
    robot = robot_with("front")
    step(robot)
    robot.disk_health = lambda: DiskHealth(1e12, failed=True)
    step(robot)
    assert robot.guard.reason.startswith("S26")

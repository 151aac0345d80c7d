"""The spool: numbers without gaps, kills at any byte, damage, a full disk, one owner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from robot_rl.spool import Spool, SpoolError
from tests.hardware.test_full_disk import no_file_beyond


def filled(folder: Path, count: int = 20, segment_bytes: int = 200) -> list[bytes]:
    spool = Spool(folder, segment_bytes=segment_bytes)
    records = [bytes([k]) * (k + 1) for k in range(count)]
    assert [spool.append(record) for record in records] == list(range(1, count + 1))
    spool.close()
    return records


def contents(spool: Spool) -> list[bytes]:
    return [spool.read(number) for number in range(spool.first, spool.last + 1)]


def test_what_was_appended_is_there_when_opened_again_under_the_same_id(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"one")
    spool.close()
    again = Spool(tmp_path)
    assert again.id == spool.id and contents(again) == [b"one"]
    assert again.append(b"two") == 2 and contents(again) == [b"one", b"two"]
    again.close()


def test_forgotten_records_leave_the_disk_and_numbers_go_on(tmp_path: Path) -> None:
    records = filled(tmp_path)
    spool = Spool(tmp_path, segment_bytes=200)
    before = spool.size
    spool.forget(15)
    assert spool.first == 16 and spool.size < before and contents(spool) == records[15:]
    spool.forget(20)
    spool.close()
    again = Spool(tmp_path, segment_bytes=200)
    assert (again.first, again.last) == (21, 20) and again.append(b"next") == 21
    again.close()


def test_numbers_go_on_even_where_the_note_of_what_was_forgotten_is_lost(tmp_path: Path) -> None:
    """A number that is used twice would be taken for a duplicate, and its step be lost."""
    filled(tmp_path)
    spool = Spool(tmp_path, segment_bytes=200)
    spool.forget(20)
    spool.close()
    (tmp_path / "spool.json").unlink()
    again = Spool(tmp_path, segment_bytes=200)
    assert again.append(b"next") == 21
    again.close()


def test_a_receiver_that_has_more_than_is_left_here_moves_the_count_on(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    spool = Spool(tmp_path)
    spool.forget(10)
    assert spool.append(b"x") == 11 and contents(spool) == [b"x"]
    spool.close()
    assert Spool(tmp_path).append(b"y") == 12


def test_a_file_cut_at_any_byte_keeps_every_whole_record(tmp_path: Path) -> None:
    records = filled(tmp_path / "whole", 12, 1 << 20)
    (segment,) = (tmp_path / "whole").glob("*.spool")
    data = segment.read_bytes()
    ends, at = [], 0
    for record in records:
        at += 8 + len(record)
        ends.append(at)
    for length in range(len(data) + 1):
        folder = tmp_path / f"{length}"
        folder.mkdir()
        (folder / segment.name).write_bytes(data[:length])
        spool = Spool(folder)
        whole = sum(end <= length for end in ends)
        assert contents(spool) == records[:whole]
        assert spool.append(b"more") == whole + 1
        spool.close()


def test_a_damaged_record_is_never_given_out_and_what_follows_its_segment_is_kept(tmp_path: Path) -> None:
    records = filled(tmp_path)
    first, second = sorted(tmp_path.glob("*.spool"))[:2]
    data = bytearray(first.read_bytes())
    data[12] ^= 1
    first.write_bytes(data)
    spool = Spool(tmp_path)
    held = []
    number = spool.next_held(1)
    while number is not None:
        held.append(spool.read(number))
        number = spool.next_held(number + 1)
    assert held == [records[0], *records[int(second.stem) - 1 :]]
    spool.close()


def test_damage_under_an_open_spool_is_an_error_not_a_wrong_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"abcdefgh")
    (segment,) = tmp_path.glob("*.spool")
    segment.write_bytes(segment.read_bytes().replace(b"abc", b"abd"))
    with pytest.raises(SpoolError, match="does not match its checksum"):
        spool.read(1)
    with pytest.raises(KeyError, match="is not in"):
        spool.read(2)
    spool.close()


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=100)
    spool.append(b"a" * 60)
    with pytest.raises(SpoolError, match="is full"):
        spool.append(b"b" * 60)
    assert contents(spool) == [b"a" * 60]
    spool.close()


def test_after_a_full_disk_the_count_goes_on_without_a_hole(tmp_path: Path) -> None:
    spool, records = Spool(tmp_path), [bytes([k]) * 900 for k in range(8)]
    with no_file_beyond(4_000), pytest.raises(SpoolError, match="the disk is full"):
        for record in records:
            spool.append(record)
    for record in records[spool.last :]:
        spool.append(record)
    assert contents(spool) == records
    spool.close()
    assert contents(Spool(tmp_path)) == records


def test_one_process_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(SpoolError, match="in use by another process"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_a_killed_process_loses_nothing_that_it_had_appended(tmp_path: Path) -> None:
    code = (
        "import os, signal, pathlib\n"
        "from robot_rl.spool import Spool\n"
        f"spool = Spool(pathlib.Path({str(tmp_path)!r}))\n"
        "for k in range(50): spool.append(str(k).encode())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    spool = Spool(tmp_path)
    assert contents(spool) == [str(k).encode() for k in range(50)]
    spool.close()

"""The door: this machine alone, or whoever shows the token."""

from __future__ import annotations

import pytest

from robot_rl.console.door import COOKIE, Address, Door

TOKEN = "correct-horse-battery"
HERE = {"Host": "127.0.0.1:8080"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_needs_no_token(host):
    Door(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "robot.local", ""])
def test_another_address_needs_one(host):
    with pytest.raises(ValueError, match="--token") as caught:
        Door(host)
    assert "\n" not in str(caught.value)
    Door(host, TOKEN)


def test_a_short_token_is_refused():
    with pytest.raises(ValueError, match="5 characters"):
        Door("127.0.0.1", "short")


@pytest.mark.parametrize("headers", [HERE, {"Host": "localhost:8080", "Origin": "http://localhost:8080"}])
def test_the_console_itself_is_let_in(headers):
    assert Door("127.0.0.1").refusal("/", headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {**HERE, "Origin": "https://elsewhere.example"},
        {**HERE, "Origin": "http://127.0.0.1:9999"},
        {**HERE, "Origin": "null"},
        {"Host": "elsewhere.example:8080", "Origin": "http://elsewhere.example:8080"},  # a name that leads here
        {},
    ],
)
def test_pages_of_other_sites_are_not(headers):
    assert Door("127.0.0.1").refusal("/", headers)


def test_the_token_opens_by_address_and_then_by_cookie():
    door, remote = Door("0.0.0.0", TOKEN), {"Host": "robot:8080"}
    assert door.refusal(f"/?token={TOKEN}", remote) is None
    assert door.refusal("/", {**remote, "Cookie": f"other=1; {COOKIE}={TOKEN}"}) is None
    for path, headers in (("/", remote), ("/?token=wrong", remote), ("/", {**remote, "Cookie": f"{COOKIE}=x"})):
        assert door.refusal(path, headers)
    assert door.refusal(f"/?token={TOKEN}", {**remote, "Origin": "https://elsewhere.example"})


def test_the_printed_address_holds_the_token():
    assert Address(token=TOKEN).url.endswith(f":8080/?token={TOKEN}")

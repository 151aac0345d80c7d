"""A person at a real browser over a folder of episodes: finds one, looks at it, relabels it, copies what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.console.door import Address
from robot_rl.demonstrations import collect_demos
from robot_rl.episodes import EpisodeStore
from robot_rl.rollout import EnvSpec
from tests.browser import blank_page, eventually

pytest.importorskip("viser", reason="the extra 'console' is not installed")


def test_a_person_browses_recorded_episodes(tmp_path: Path) -> None:
    from robot_rl.console.episodes_tab import EpisodesTab
    from robot_rl.console.page import start_server
    from sim.recorded import TwinStage

    folder = tmp_path / "episodes"
    collect_demos(folder, EnvSpec("sim:Reach-v0", {"person": "expert", "takeover": "always"}), 2, 0)
    server = start_server(Address(port=0))
    tab = EpisodesTab(server, folder, TwinStage, in_scene=True)
    with blank_page() as page:
        page.goto(f"http://127.0.0.1:{server.get_port()}/")

        def about() -> str:
            return str(page.inner_text("#about"))

        def press(button: str) -> None:
            page.get_by_role("button", name=button, exact=True).click()

        page.wait_for_selector("#timeline")
        assert "demo-00-000000.mcap: success" in about() and "step 0 of" in about()
        picture = page.locator("img[src^='blob:'], img[src^='data:image/jpeg']").first
        before = picture.get_attribute("src")
        press("Play")
        eventually(lambda: "step 0 of" not in about(), "it should play")
        eventually(lambda: picture.get_attribute("src") != before, "the picture should move")
        press("Stop")

        press("Next")
        eventually(lambda: "demo-00-000001.mcap: success" in about(), "the next episode should be shown")
        press("Discard")
        eventually(lambda: "discard (recorded: success)" in about(), "it should be discarded")
        page.get_by_label("Outcome").click()
        page.get_by_role("option", name="success").click()
        eventually(lambda: "1 episodes" in page.inner_text("body"), "the discarded one should not be listed")
        press("MCAP")
        eventually(lambda: "1 episodes" in page.inner_text("#said"), "the other should be copied")
    tab.close()
    server.stop()
    assert [row.label for row in EpisodeStore(folder).list()] == [None, "discard"]
    assert [row.path for row in EpisodeStore(tmp_path / "exported").list()] == ["demo-00-000000.mcap"]

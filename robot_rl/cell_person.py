"""The person at the teleop device of a real cell, as the environment hears them: they begin episodes and judge them."""

from __future__ import annotations

from collections.abc import Callable

from hardware.guard import EngageError
from hardware.interfaces import Clock, TeleopDevice, TeleopSample
from hardware.teleop.labels import WithLabels
from robot_rl.command import say
from robot_rl.console.broadcast import Broadcast
from robot_rl.console.link import Wish
from robot_rl.stopping import nothing_half_done

BEGIN = "put the scene back; success at the device begins the next episode: THE ARM MOVES"
_POLL_S = 0.05


class CellPerson(WithLabels):
    """The person at the teleop device, who is the cell's operator too. ``page`` is a console's, which may ask to hold
    and say how an episode went; what lets the arm move is asked for at the device alone."""

    permit: Callable[[], None]
    """What their leave comes to: clears whatever stopped the arm, or raises :class:`hardware.guard.EngageError`."""
    hold: Callable[[str], None]
    """What a page's wish to hold comes to."""

    def __init__(self, device: TeleopDevice, clock: Clock, page: Broadcast | None = None) -> None:
        super().__init__(device)
        self._clock, self._page, self._notice = clock, page, ""
        self._judged: str | None = None

    @property
    def trouble(self) -> str:
        """Of the device, or what it is waited for."""
        return super().trouble or self._notice

    def read(self, now: float) -> TeleopSample:
        if self._page is not None:
            for wish in self._page.wishes():
                self._obey(wish)
        return super().read(now)

    def verdict(self) -> str | None:
        """As at the device; ``discard`` and ``reset`` too, which only a page can say."""
        return super().verdict() or self._judged

    def forget(self) -> None:
        super().forget()
        self._judged = None

    def rest(self) -> None:
        """Wait until the next episode may begin; a stop of the guard is cleared then. KeyboardInterrupt where the
        program is to end meanwhile."""
        self._notice = BEGIN
        say(f"{BEGIN} (Ctrl-C ends here)")
        self._tell("rest")
        while True:
            with nothing_half_done():
                self._await_success()
            try:
                self.permit()
                self._notice = ""
                return
            except EngageError as refused:
                self._notice = f"not yet: {refused}; then press again"
                say(self._notice)

    def new_episode(self, seed: int) -> None:
        self.forget()
        self._tell("new_episode", seed)
        say("the episode runs; success or failure ends it")

    def unwatched_episode(self, seed: int) -> None:
        """One for which nobody's corrections are asked for; who corrects is obeyed as ever."""
        self.forget()
        say("the episode runs, no corrections are asked for: stay by the emergency stop; success or failure ends it")

    def _tell(self, what: str, *of: int) -> None:
        """What a person reads or sees, a device that acts for one has to be told."""
        getattr(self.device, what, lambda *_: None)(*of)

    def _await_success(self) -> None:
        self.forget()
        while super().verdict() != "success":
            self._clock.sleep_until(self._clock.now() + _POLL_S)

    def _obey(self, wish: Wish) -> None:
        match wish:
            case ["hold"]:
                self.hold("the operator held it from the console")
            case ["judge", ("success" | "failure" | "discard" | "reset") as verdict]:
                self._judged = verdict

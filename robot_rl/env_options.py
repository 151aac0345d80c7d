"""How an environment is set up, whatever its task and its robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EnvOptions:
    """What a policy sees, in which axes it acts, and how episodes begin."""

    frame: Literal["task", "end_effector", "base"] = "task"
    """``task``: positions relative to the task frame, actions in base axes. ``end_effector``: positions relative to the
    episode's start, actions in the tool's own axes (HIL-SERL, arXiv 2410.21845, sec. III-C). ``base``: positions
    relative to ``origin_m``, actions in base axes; nothing tells where the task is but what cameras show."""
    origin_m: tuple[float, float, float] = (0.5, 0.0, 0.0)
    """Of frame ``base``: a point of the cell where the hand works, m in base axes."""
    tracked: bool = True
    """Observe the task's own features (a tracker's); False where cameras must tell."""
    fine_tracked: bool = False
    """Observe too where each tracked thing is in the task frame, squashed as the hand's pose is: a hand that holds it
    askew must bring it to the task, and not itself. In frame ``task`` alone."""
    memory_s: tuple[float, ...] = (0.5, 2.0)
    """Time constants of slow averages of pose and wrench in the observation; () for none."""
    touched_s: float = 0.0
    """Time constant of a slow average of where the hand presses, in the observation too: what tells a search where it
    has been. 0 for none."""
    previous_action: bool = False
    """Observe the previous executed action. Off: a clone learns to repeat it instead of looking (arXiv 1905.11979), and
    the lead of the target over the arm tells what is still under way."""
    cameras: tuple[str, ...] = ()
    """Robot cameras that become observation entries."""
    image_size: int = 128
    """Side of the square images, px; the cameras deliver this size."""
    teleport: bool = True
    """Twin only: begin episodes by placing the arm instead of moving it. A real robot moves whatever this says."""
    max_steps: int | None = None
    """Overrides the task's episode limit."""
    ends_on_success: bool = True
    """False goes on to the step limit: to record what success looks like."""
    classifier: str | None = None
    """Folder of a success classifier, which then says when an episode has succeeded."""

    def __post_init__(self) -> None:
        """Raises ValueError where options contradict each other."""
        if self.fine_tracked and not (self.tracked and self.frame == "task"):
            raise ValueError(
                f"fine_tracked tells where tracked things are in the task frame: it needs frame 'task' and tracked, "
                f"and got frame '{self.frame}' and tracked={self.tracked}"
            )
        if not self.touched_s >= 0.0:  # NaN too
            raise ValueError(f"touched_s is {self.touched_s}: give a time constant in seconds, or 0 for none")

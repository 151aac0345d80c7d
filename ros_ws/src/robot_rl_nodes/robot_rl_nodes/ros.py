"""What every process with a node shares: the middleware's environment, an executor in a thread, signals, quality of
service, a clean end. The one place that knows distributions apart.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import distributions
from importlib.resources import files
from importlib.util import find_spec
from threading import Event, Thread
from typing import Any

from robot_rl_nodes.topics import Topic

MISSING = (
    "rclpy is not installed: source a ROS 2 installation (Humble, Jazzy, Kilted), or without one "
    "pip install 'robot-rl[ros]'"
)
_SPIN_S, _END_S = 0.5, 30.0
PRIORITY = 10
"""Of nodes that are up: below the guard's, above all that keeps no time. Loading what a node needs keeps none."""


def distribution() -> str:
    """Name of the ROS 2 distribution: of the sourced installation, or of the installed wheels; empty if neither."""
    if "ROS_DISTRO" in os.environ:
        return os.environ["ROS_DISTRO"]
    names = (found.metadata["Name"].replace("_", "-") for found in distributions())
    wheels = (name for name in names if name.startswith("ros-") and name.endswith("-rclpy") and name.count("-") == 2)
    return next((name.split("-")[1] for name in wheels), "")


def set_environment() -> None:
    """Before the first node: images that arrive (shared memory large enough for them), discovery on this host alone,
    messages that refuse values of a wrong type, and no threads for small networks. What the user has set stays."""
    name = distribution()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    profile = "FASTRTPS_DEFAULT_PROFILES_FILE" if name in ("humble", "jazzy") else "FASTDDS_DEFAULT_PROFILES_FILE"
    os.environ.setdefault(profile, str(files("robot_rl_nodes") / "fastdds_profile.xml"))
    os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")
    if name == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def require() -> None:
    """Raise ``ValueError`` that says what to install where there is no rclpy."""
    if find_spec("rclpy") is None:
        raise ValueError(MISSING)


def start(arguments: list[str] | None = None) -> None:
    """Set the environment and initialise; raises as :func:`require`."""
    require()
    set_environment()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    if not rclpy.ok():
        # With its own handlers the context is gone before a node can say its last word.
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)


def qos(topic: Topic) -> Any:
    """The topic's quality of service."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    if topic.qos == "newest":
        return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    if topic.qos == "latched":
        return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    return QoSProfile(depth=1 if topic.qos == "reliable" else 200)


class Spinning:
    """``node`` served by a thread of its own until :meth:`close`. What a callback raises is logged, and ``failed()``
    called: one bad message must not make a node deaf."""

    def __init__(self, node: Any, failed: Callable[[], None] = lambda: None, events: bool = True):
        """``events`` False: by the slower executor, where one of events would do."""
        self.node, self._failed = node, failed
        self._executor, self._stop = _executor(events), Event()
        self._executor.add_node(node)
        self._thread = Thread(target=self._spin, name=f"{node.get_name()} spins", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # A process must not end while its executor runs.

    def close(self) -> None:
        atexit.unregister(self.close)
        self._stop.set()
        self._executor.wake()
        self._thread.join(_END_S)
        if self._thread.is_alive():  # What is taken away under a spinning executor is used after its end: a crash.
            self.node.get_logger().error(f"a callback does not return in {_END_S:g} s; this node is left as it is")
            return
        self._executor.remove_node(self.node)
        self._executor.shutdown(0.0)
        self.node.destroy_node()

    def _spin(self) -> None:
        while not self._stop.is_set():
            try:
                # Always with a timeout: without one an EventsExecutor burns a core and fires nothing.
                self._executor.spin_once(timeout_sec=_SPIN_S)
            except Exception as error:
                self.node.get_logger().error(f"{type(error).__name__} in a callback: {error}")
                self._failed()


def _executor(events: bool) -> Any:
    if events:
        with suppress(ImportError):
            from rclpy.experimental import EventsExecutor

            return EventsExecutor()
    from rclpy.executors import SingleThreadedExecutor

    return SingleThreadedExecutor()


def run_node(name: str, run: Callable[[Any, Event], None]) -> int:
    """The main function of a node: ``run(node, stop)`` until it returns, ``stop`` being set by SIGTERM and SIGINT. The
    exit code: 2 and one line for what the person at the keyboard can put right."""
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    try:
        start(sys.argv)
        import rclpy

        try:
            run(rclpy.create_node(name), stop)
        finally:
            rclpy.try_shutdown()
    except (ValueError, OSError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 2
    return 0

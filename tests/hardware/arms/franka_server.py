"""A Franka that is not there: franky-sim speaks libfranka's protocol. Run as a process; its first line is the address.

A line ``reflex`` on stdin stops the arm as the controller does in a collision, until it is told to recover; ``time``
has it say how many seconds it has simulated.
"""

from __future__ import annotations

import sys
from queue import Empty, Queue
from threading import Thread

import franky_sim
from franky_sim.franka_robot_protocol import BaseCommand, MoveStatus, RobotCommand, RobotMode
from franky_sim.mujoco_simulator import MujocoSimulator

HOME = (0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854)


class Server(franky_sim.FrankaRobotServer):
    """franky-sim knows no reflex: this one has."""

    in_reflex = False

    @property
    def robot_state(self):
        state = super().robot_state
        if not self.in_reflex:
            return state
        reasons = [False] * 41
        reasons[6] = True  # cartesian_reflex
        return state.replace(robot_mode=RobotMode.kReflex, errors=tuple(reasons), reflex_reason=tuple(reasons))

    def reflex(self) -> None:
        moving = self.current_motion_id
        self.stop_motion(send_preemption_signal=False)
        self.in_reflex = True
        if moving:
            BaseCommand.send_response(self._tcp_socket, RobotCommand.kMove, moving, MoveStatus.kReflexAborted)
            self.reset_current_motion_id()


def main() -> None:
    wishes: Queue[str] = Queue()
    Thread(target=lambda: [wishes.put(line.strip()) for line in sys.stdin], daemon=True).start()
    franky_sim.simulation_server.FrankaRobotServer = Server
    with MujocoSimulator() as simulator:
        robot = simulator.add_robot(initial_q=HOME, initial_hand_width=0.08)
        with franky_sim.SimulationServer(simulator) as server:
            print(robot.hostname, flush=True)
            franka = server.robot_servers[0]
            recover = franky_sim.franka_robot_server.AutomaticErrorRecoveryCommand
            handle = recover.handle

            def recovered(command, of):
                of.in_reflex = False
                handle(command, of)

            recover.handle = recovered
            steps = 0
            while True:
                try:
                    wish = wishes.get_nowait()
                except Empty:
                    pass
                else:
                    if wish == "reflex":
                        franka.reflex()
                    elif wish == "time":
                        print(f"simulated {1e-3 * steps:.3f} s", flush=True)
                server.run_once()
                steps += 1


if __name__ == "__main__":
    main()

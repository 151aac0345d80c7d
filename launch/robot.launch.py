"""A real cell: its camera nodes, its teleop node, and the guarded arm.

ros2 launch launch/robot.launch.py cell:=my_cell.toml task:=peg_insertion
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.launching import actions
from robot_rl_nodes.node_table import robot_nodes

ARGUMENTS = {
    "cell": ("twin", "cell by name, or the path of its .toml file"),
    "task": ("", "what the arm is to do, by its name in the cell file"),
    "profile": ("collaborative", "limits of the cell to enforce"),
    "control_hz": ("10.0", "rate at which an actor will command"),
}


def start(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    return actions(robot_nodes(**{**given, "control_hz": float(given["control_hz"])}))


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=says)
        for name, (default, says) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])

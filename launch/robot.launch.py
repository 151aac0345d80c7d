"""A real cell: its camera nodes, its teleop node, and the guarded arm.

ros2 launch launch/robot.launch.py cell:=my_cell.toml task:=my_task.toml
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.launching import actions
from robot_rl_nodes.node_table import robot_nodes

ARGUMENTS = {
    "cell": ("twin", "cell by name, or the path of its .toml file"),
    "task": ("", "the task's .toml file, or a name in the cell file"),
    "profile": ("", "limits of the cell to enforce; those that the task's file names, or else collaborative"),
    "control_hz": ("0.0", "rate at which an actor will command; the task file's, or else 10"),
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

"""The same nodes over the twin, and the twin.

ros2 launch launch/twin.launch.py task:=pick_cube person:=expert
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.launching import actions
from robot_rl_nodes.node_table import twin_nodes

ARGUMENTS = {
    "cell": ("twin", "cell by name, or the path of its .toml file"),
    "task": ("reach", "task by name"),
    "person": ("none", "who sits at the teleop device: none, novice, intermediate, expert"),
    "takeover": ("watchful", "when the person takes over: watchful, no_progress, leaving_funnel, always, never"),
    "seed": ("0", "seed of the scene and of the person"),
    "log": ("", "file for a log of every physics step"),
}


def start(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    return actions(twin_nodes(**{**given, "seed": int(given["seed"])}))


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=says)
        for name, (default, says) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])

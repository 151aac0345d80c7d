"""The actor, over a cell or a twin that runs: it trains in its own process.

ros2 launch launch/actor.launch.py preset:=hil_serl demos:=demos out:=runs/peg
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.launching import actions
from robot_rl_nodes.node_table import actor_node

ARGUMENTS = {
    "cell": ("twin", "cell by name, or the path of its .toml file"),
    "preset": ("hil_serl", "what learns and how"),
    "env_steps": ("2500", "steps to train for"),
    "demos": ("", "folder of recorded demonstrations"),
    "out": ("runs/ros", "folder of the run; one that was begun goes on"),
    "wait_for_start": ("false", "each episode begins when the operator calls episode/start"),
}


def start(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    numbers = {"env_steps": int(given["env_steps"]), "wait_for_start": given["wait_for_start"].lower() == "true"}
    return actions([actor_node(**{**given, **numbers})])


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=says)
        for name, (default, says) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])

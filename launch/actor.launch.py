"""A learner, and the actor that acts for it over a cell or a twin that runs.

ros2 launch launch/actor.launch.py cell:=my_cell.toml task:=my_task.toml demos:=demos out:=runs/peg
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.launching import actions
from robot_rl_nodes.node_table import learning

ARGUMENTS = {
    "cell": ("twin", "cell by name, or the path of its .toml file"),
    "preset": ("hil_serl", "what learns and how"),
    "env_steps": ("2500", "steps to train for"),
    "demos": ("", "folder of recorded demonstrations"),
    "out": ("runs/ros", "folder of the run; one that was begun goes on"),
    "seed": ("0", "seed of everything random"),
    "endpoint": ("", "where the learner listens; by default a socket that only you can reach"),
    "task": ("", "a real cell's task, a .toml file; by default the twin's that runs"),
    "env": ("", "gymnasium id of another environment over the topics, as module:Name-v0"),
    "env_kwargs": ("{}", "further keyword arguments of the environment, as a JSON object"),
    "wait_for_start": ("false", "each episode begins when the operator calls episode/start"),
}


def start(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    numbers = {name: int(given[name]) for name in ("env_steps", "seed")}
    return actions(learning(**{**given, **numbers, "wait_for_start": given["wait_for_start"].lower() == "true"}))


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=says)
        for name, (default, says) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])

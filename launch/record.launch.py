"""Record what the nodes say into MCAP files, ticks, commands and images included.

ros2 launch launch/record.launch.py cell:=my_cell.toml out:=bags
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.launching import actions
from robot_rl_nodes.node_table import recording

ARGUMENTS = {
    "cell": ("twin", "cell by name, or the path of its .toml file"),
    "cameras": ("all", "cameras to record, separated by commas: all, none, or names in the cell file"),
    "out": ("bag", "folder; each start begins a new file there"),
}


def start(context):
    return actions(recording(**{name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}))


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=says)
        for name, (default, says) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])

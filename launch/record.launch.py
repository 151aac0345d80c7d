"""Record what the nodes say into an MCAP bag, ticks, commands and images included; needs ros2 bag.

ros2 launch launch/record.launch.py out:=bags/monday cameras:=front,wrist
"""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl_nodes.topics import recorded

ARGUMENTS = {
    "out": ("bag", "folder of the bag; it must not exist yet"),
    "cameras": ("front,wrist", "cameras to record, separated by commas"),
}


def start(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    names = recorded([name for name in given["cameras"].split(",") if name])
    return [ExecuteProcess(cmd=["ros2", "bag", "record", "-s", "mcap", "-o", given["out"], *names], output="screen")]


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=says)
        for name, (default, says) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])

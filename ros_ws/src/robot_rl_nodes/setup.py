"""For colcon. With pip the whole project is installed from its root, this package with it."""

from setuptools import setup

NAME = "robot_rl_nodes"
NODES = ("camera_node", "teleop_node", "arm_node", "twin_node", "actor_node", "recorder_node")

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    package_data={NAME: ["fastdds_profile.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    entry_points={"console_scripts": [f"{node} = {NAME}.{node}:main" for node in NODES]},
)

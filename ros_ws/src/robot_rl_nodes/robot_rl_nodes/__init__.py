"""The ROS 2 side: nodes over the drivers and the guard, and the robot that an environment drives over their topics."""

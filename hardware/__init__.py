"""What touches the robot: seams, guard, drivers, recording. No ROS, no torch."""

"""A whole training through the real Franka driver and its vendor's SDK, the arm simulated by franky-sim."""

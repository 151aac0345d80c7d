"""gym-hil's PandaPickCube, learned by this project: a comparison on somebody else's ground."""

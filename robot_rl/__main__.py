"""``python -m robot_rl``: ``robot-rl`` where no script of that name is on the path."""

import sys

from robot_rl.cli import main

if __name__ == "__main__":
    sys.exit(main())

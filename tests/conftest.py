"""What `pytest` by hand needs as `make test` does: one thread a process, as there are as many processes as cores, and
on Linux drawing without a display. Both are read once, when torch and MuJoCo come."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

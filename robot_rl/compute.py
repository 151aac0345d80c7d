"""Where and how a learner's updates are computed: on the processor or a GPU, in which precision, launched how."""

from __future__ import annotations

import copy
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.actor_heads import Metrics
from robot_rl.batch import Batch, Rows, Stored
from robot_rl.config import ComputeConfig

F = TypeVar("F", bound=Callable[..., Any])
COPIERS = 4
"""Threads that gather images for a GPU."""


def torch_device(name: str) -> torch.device:
    """The device that ``name`` says; ``auto`` is the GPU where there is one. Raises ValueError where it is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"compute.device '{name}' is no device: give auto, cpu, cuda or cuda:NUMBER") from None
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        here = ", ".join(["auto", "cpu", *(f"cuda:{i}" for i in range(count))])
        raise ValueError(f"compute.device '{name}' is not on this machine: give one of {here}")
    return device


def can_compile() -> bool:
    """Whether ``torch.compile`` finds the C++ compiler that it needs."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None


def compiling_pays() -> bool:
    """Whether compiled losses make a long run shorter here: on a processor; a GPU has its graphs."""
    return can_compile() and not torch.cuda.is_available()


class Compute:
    """The device of one learner, and what has to be done differently on it."""

    def __init__(self, config: ComputeConfig):
        self.config, self.device = config, torch_device(config.device)
        self.on_gpu = self.device.type == "cuda"
        if self.on_gpu and self.device.index is not None:  # streams and graphs are those of the current device
            torch.cuda.set_device(self.device)
        self.graphs = config.graphs and self.on_gpu
        if config.compile and not can_compile():
            raise ValueError(
                "compute.compile needs a C++ compiler: install one (Debian: apt-get install g++), or leave it out"
            )
        self._copiers = ThreadPoolExecutor(COPIERS, "copy")

    def tensor(self, array: Stored) -> Tensor:
        """``array`` on the device."""
        return self._on_host(array).to(self.device, non_blocking=True)

    def on_host(self, batch: Batch[Stored]) -> Batch[Tensor]:
        """``batch`` where the device can fetch it from; images are copied there by several threads at once."""
        copying = batch.map(lambda a: self._copiers.submit(self._on_host, a) if isinstance(a, Rows) else a)
        return copying.map(lambda a: a.result() if isinstance(a, Future) else self._on_host(a))

    def _on_host(self, array: Stored) -> Tensor:
        """On a GPU's machine in memory that is never swapped, so that the copy to the GPU runs beside the rest."""
        if isinstance(array, Rows):
            return array.gathered(pinned=self.on_gpu)
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.pin_memory() if self.on_gpu else tensor

    def copy(self, part: Any) -> Any:
        """``part`` for use on the device: itself if it is there already, or is no module."""
        return copy.deepcopy(part).to(self.device) if self.on_gpu and isinstance(part, nn.Module) else part

    def adam(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, learning_rate, fused=True, capturable=self.on_gpu)

    def precision(self) -> AbstractContextManager[Any]:
        """Around an update. Nothing is cached, since weights change inside."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16, cache_enabled=False)

    def compile(self, *modules: nn.Module) -> None:
        if self.config.compile:
            for module in modules:
                module.compile()

    def compiled(self, function: F) -> F:
        return cast(F, torch.compile(function)) if self.config.compile else function


Update = Callable[[Batch[Tensor], bool], Metrics]


class Graphs:
    """``update`` replayed as one CUDA graph for each kind of batch: one launch in place of some hundreds, which is what
    an update of small networks costs on a GPU.

    The first calls of a kind run as they are, which allocates what has to be allocated; the next is recorded. So there
    are as many updates as calls. What comes back is written over by the next call of the kind.
    """

    WARM_UP = 3

    def __init__(self, update: Update, generator: torch.Generator):
        self._update, self._generator = update, generator
        self._calls: Counter[Any] = Counter()
        self._recorded: dict[Any, tuple[torch.cuda.CUDAGraph, Batch[Tensor], Metrics]] = {}
        self._stream = torch.cuda.Stream(generator.device)

    def __call__(self, batch: Batch[Tensor], train_actor: bool) -> Metrics:
        """One update from a ``batch`` in the host's memory."""
        kind = (train_actor, len(batch))
        if kind not in self._recorded:
            placed = batch.map(lambda tensor: tensor.to(self._generator.device))
            if self._calls[kind] < self.WARM_UP:
                self._calls[kind] += 1
                return self._aside(placed, train_actor)
            self._recorded[kind] = self._record(placed, train_actor)
        graph, inputs, metrics = self._recorded[kind]
        inputs.map(lambda to, array: to.copy_(array, non_blocking=True), batch)
        graph.replay()
        return metrics

    def _aside(self, batch: Batch[Tensor], train_actor: bool) -> Metrics:
        """On another stream than the default, on which nothing can be recorded."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            metrics = self._update(batch, train_actor)
        torch.cuda.current_stream().wait_stream(self._stream)
        return metrics

    def _record(self, batch: Batch[Tensor], train_actor: bool) -> tuple[torch.cuda.CUDAGraph, Batch[Tensor], Metrics]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=self._stream):
            metrics = self._update(batch, train_actor)
        return graph, batch, metrics

"""Checkpoints that survive a kill at any byte: safetensors, JSON and SHA-256 sums, swapped in by renames.

::

    checkpoints/LATEST                    the name of the newest checkpoint
    checkpoints/checkpoint-000007/        <group>.safetensors ..., metadata.json, SHA256SUMS (``sha256sum -c`` reads it)

A checkpoint is written under another name, brought to disk, renamed, and only then named by ``LATEST``; older ones go
last. Nothing is pickled, and torch is imported only where a group holds its tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays

from hardware.recording import sync_folder, to_json

if TYPE_CHECKING:
    import torch

    Tensor = torch.Tensor | np.ndarray
    Generator = torch.Generator | np.random.Generator

LATEST, METADATA, SUMS = "LATEST", "metadata.json", "SHA256SUMS"
_PREFIX, _INCOMING, _SUFFIX = "checkpoint-", ".incoming", ".safetensors"
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_HASH_BLOCK_BYTES = 1 << 20

Tensors = dict[str, dict[str, Any]]
"""Arrays or tensors by group and name."""


class CheckpointError(ValueError):
    """There is no checkpoint, or none that is whole; the message is one line and names the path."""


def save_checkpoint(
    folder: Path | str, tensors: Mapping[str, Mapping[str, Tensor]], metadata: Mapping[str, Any], keep: int = 3
) -> Path:
    """Write a checkpoint into ``folder`` and make it the latest; the newest ``keep`` stay. Its path.

    Each group of ``tensors`` holds either torch tensors or numpy arrays and comes back as the same. ``metadata`` is
    JSON-able; numpy numbers and arrays become numbers and lists.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}: the checkpoint just written is one")
    for group in tensors:
        if not _GROUP.fullmatch(group):
            raise ValueError(f"group name '{group}' is not a file name: use letters, digits, '_', '.' and '-'")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_INCOMING}*"):
        shutil.rmtree(leftover)
    number = max(map(_number, _checkpoints(folder)), default=0) + 1
    path = folder / f"{_PREFIX}{number:06d}"
    incoming = folder / f"{_INCOMING}-{number:06d}"
    incoming.mkdir()
    kinds = {group: _write_group(incoming / f"{group}{_SUFFIX}", values) for group, values in tensors.items()}
    _write(incoming / METADATA, to_json({"groups": kinds, "metadata": metadata}).encode())
    files = sorted(incoming.iterdir())
    _write(incoming / SUMS, "".join(f"{_sha256(file)}  {file.name}\n" for file in files).encode())
    sync_folder(incoming)
    incoming.rename(path)
    sync_folder(folder)
    latest = folder / f"{LATEST}{_INCOMING}"
    _write(latest, f"{path.name}\n".encode())
    latest.rename(folder / LATEST)
    sync_folder(folder)
    for old in _checkpoints(folder)[keep:]:
        shutil.rmtree(old)
    return path


def load_checkpoint(path: Path | str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and metadata of a checkpoint, or of the newest whole one in a folder of checkpoints (see
    :func:`find_checkpoint`). Raises :class:`CheckpointError`."""
    found = find_checkpoint(path)
    document = json.loads((found / METADATA).read_bytes())
    tensors = {group: _read_group(found / f"{group}{_SUFFIX}", kind) for group, kind in document["groups"].items()}
    return tensors, document["metadata"]


def has_checkpoint(folder: Path) -> bool:
    """Whether a run saved one in ``folder``, whole or not."""
    return bool(_checkpoints(folder))


def find_checkpoint(path: Path | str) -> Path:
    """The checkpoint that ``path`` is or, for a folder of them, the one that LATEST names if it is whole, else with a
    warning the newest that is. All hashes are verified. Raises :class:`CheckpointError`."""
    path = Path(path)
    if path.name.startswith(_PREFIX) or (path / METADATA).exists():
        problem = _problem(path)
        if problem:
            raise CheckpointError(f"checkpoint '{path}' is damaged: {problem}; load an older one")
        return path
    candidates = _checkpoints(path) if path.is_dir() else []
    if not candidates:
        raise CheckpointError(f"no checkpoint in '{path}': give the folder of a run that has saved one")
    latest = path / LATEST
    named = path / latest.read_text(errors="replace").strip() if latest.exists() else None
    candidates.sort(key=lambda candidate: candidate != named)
    problems: list[str] = []
    for candidate in candidates:
        problem = _problem(candidate)
        if not problem:
            for line in problems:
                warnings.warn(f"{line}; going on from {candidate.name}", stacklevel=2)
            return candidate
        problems.append(f"checkpoint '{candidate}' is damaged: {problem}")
    raise CheckpointError(f"no whole checkpoint in '{path}': {problems[0]}")


def numbered(parts: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Several parts as one group: ``<number>.<name>``."""
    return {f"{number}.{name}": value for number, part in parts.items() for name, value in part.items()}


def by_number(group: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Inverse of :func:`numbered`."""
    parts: dict[int, dict[str, Any]] = {}
    for key, value in group.items():
        number, _, name = key.partition(".")
        parts.setdefault(int(number), {})[name] = value
    return dict(sorted(parts.items()))


def rng_state(generators: Mapping[str, Generator]) -> dict[str, Any]:
    """The states of torch and numpy generators as JSON, by name."""
    return {name: _state(generator) for name, generator in generators.items()}


def restore_rng(state: Mapping[str, Any], generators: Mapping[str, Generator]) -> None:
    """Put ``generators`` into the states that :func:`rng_state` gave. ValueError where one is missing."""
    for name, generator in generators.items():
        if name not in state:
            raise ValueError(f"no state of the random generator '{name}': saved were {', '.join(state) or 'none'}")
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state[name]
        else:
            import torch

            generator.set_state(torch.frombuffer(bytearray.fromhex(state[name]), dtype=torch.uint8))


def _state(generator: Generator) -> Any:
    if isinstance(generator, np.random.Generator):
        return json.loads(to_json(generator.bit_generator.state))
    return generator.get_state().numpy().tobytes().hex()


def _number(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
    return sorted(found, key=_number, reverse=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def disk_errors() -> Iterator[None]:
    """safetensors has an exception of its own for a full disk: raise it as OSError, as everything else does."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from None


def _write_group(path: Path, values: Mapping[str, Tensor]) -> str:
    """Write one group and bring it to disk; ``numpy`` or ``torch``."""
    if all(isinstance(value, np.ndarray | np.generic) for value in values.values()):
        kind = "numpy"
        with disk_errors():
            save_arrays({name: np.asarray(value, order="C") for name, value in values.items()}, path)
    else:
        import torch
        from safetensors.torch import save_file as save_tensors

        kind = "torch"
        tensors = {name: torch.as_tensor(value).detach() for name, value in values.items()}
        # Cloned, since safetensors refuses tensors that share memory (tied weights, views).
        with disk_errors():
            save_tensors({name: value.cpu().contiguous().clone() for name, value in tensors.items()}, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return kind


def _read_group(path: Path, kind: str) -> dict[str, Any]:
    if kind == "numpy":
        return load_arrays(path)
    from safetensors.torch import load_file as load_tensors

    return load_tensors(path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _sums(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        yield name, digest


def _problem(path: Path) -> str:
    """What is wrong with a checkpoint; empty if nothing."""
    if not (path / SUMS).is_file():
        return f"it has no {SUMS}"
    sums = dict(_sums((path / SUMS).read_text(errors="replace")))
    present = {file.name for file in path.iterdir()} - {SUMS}
    for name in sorted(sums.keys() | present | {METADATA}):
        if name not in present:
            return f"{name!r} is missing"
        if sums.get(name) != _sha256(path / name):
            return f"{name!r} does not match its SHA-256"
    return ""

"""Files: written whole or not at all, and read as data."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latentia.errors import RunError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file next to its place and move it there when it is whole and on disk.

    Whatever stops the writing (a full disk, a kill) leaves what was at ``path`` before.

    Raises:
        RunError: if the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; what was there before is kept"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: for a file that is missing, cut off or something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is no readable JSON file ({error}); it is damaged or cut off") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds {type(value).__name__}, expected a JSON object")
    return value


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write named tensors as safetensors, with one JSON metadata key; equal input gives equal bytes."""
    plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    extra = None if metadata is None else {"latentia": json.dumps(metadata)}
    content = save(plain, extra)
    write_atomically(path, lambda file: file.write(content))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_tensors`` wrote: (tensors, metadata).

    Raises:
        RunError: for a file that is missing, cut off or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names: list[str] = list(file.keys())
            tensors: dict[str, Tensor] = {name: torch.clone(file.get_tensor(name)) for name in names}
            metadata: dict[str, str] = file.metadata() or {}
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path} is no readable safetensors file ({error}); it is damaged or cut off"
        ) from error
    return tensors, json.loads(metadata.get("latentia", "{}"))


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what ``write_tensors`` wrote with the tensors, which stay on disk; nothing of a file that is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError):
        return {}
    return json.loads(metadata.get("latentia", "{}"))

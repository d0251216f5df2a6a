"""Arrays of any origin as tensors of rows, and labels as class numbers."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentia.data.ingest.unusual import dense
from latentia.errors import DataError, DataWarning

_WIDER = {np.dtype("u2"): "i4", np.dtype("u4"): "i8", np.dtype("u8"): "i8", np.dtype("g"): "f8"}
_LARGEST = 2**63 - 1
_CHANNELS = (1, 3)
_OTHER_CHANNELS = (2, 4)  # of images whose last dimension is more likely channels than a width


def as_tensor(x: Any, name: str = "data") -> Tensor:
    """Return numbers as a tensor on the CPU, without copying where torch has their type.

    Raises:
        DataError: for text, Python objects, dates, complex numbers, and integers from 2^63 on.
    """
    x = dense(x, name)
    if isinstance(x, Tensor):
        if x.is_complex():
            raise DataError(f"{name} holds complex numbers; give real and imaginary parts as two columns")
        return _signed(x.detach().cpu(), name)
    array = x if isinstance(x, np.ndarray) else _array(x, name)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} holds {_what(array)}; rows are numbers: encode or drop what is not")
    if array.dtype == np.uint64 and array.size and array.max() > _LARGEST:
        raise DataError(_too_large(int(array.max()), name))
    array = array.astype(_native(array.dtype), copy=False)
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    with warnings.catch_warnings():
        # A read-only array, such as a file mapped for reading, is never written to here.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def as_events(x: Tensor, name: str = "data") -> Tensor:
    """Return rows as (n, D) tables or (n, C, H, W) images, as views.

    (n,) is a table of one column; (n, H, W) is grey images; (n, H, W, C) with 1 or 3 channels turns. Channels come
    first otherwise; where 2 or 4 of them seem to come last, that is for the caller to say.

    Raises:
        DataError: for shapes that are none of these.
    """
    match tuple(x.shape):
        case (_,):
            return x[:, None]
        case (_, _):
            return x
        case (_, _, _):
            return x[:, None]
        case (_, channels, _, last) if channels not in _CHANNELS and last in _CHANNELS:
            return x.permute(0, 3, 1, 2)
        case (_, channels, height, last) if channels <= 4 or last not in _OTHER_CHANNELS or height == last:
            return x
        case shape:
            turn = "; x.permute(0, 3, 1, 2) puts other channels first" if len(shape) == 4 else ""
            raise DataError(
                f"{name} has shape {shape}; rows are (n, D) tables, (n, H, W) grey images, (n, C, H, W) images, "
                f"or (n, H, W, C) images of 1 or 3 channels{turn}"
            )


def check_size(shape: tuple[int, ...], name: str = "data") -> None:
    """Raise `DataError` for data without rows, with a single row, or with rows without entries."""
    if 0 in shape:
        raise DataError(f"{name} is empty: its shape is {tuple(shape)}")
    if shape[0] == 1:
        raise DataError(
            f"{name} has a single row, of shape {tuple(shape[1:])}; a distribution needs at least two"
        )


def number_labels(labels: Any, name: str = "labels") -> tuple[Tensor, tuple[str, ...]]:
    """Return (n,) class numbers and the classes' names, in sorted order.

    Raises:
        DataError: for missing labels, and for labels that are measurements and not classes.

    A class -1 beside others is one like all others; a `DataWarning` says so, since many call unlabelled rows so.

    Example:
        >>> number_labels(["cat", "ant", "cat"])
        (tensor([1, 0, 1]), ('ant', 'cat'))
    """
    values = as_tensor(labels, name).numpy() if isinstance(labels, Tensor) else labels
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        raise DataError(f"{name} is masked in {int(values.mask.sum())} of {len(values)} rows")
    values = _array(values, name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"{name} has shape {values.shape}; give one class number or name for each row")
    _check_labels(values, name)
    values = values.astype(np.int64) if values.dtype.kind == "f" else values
    values = values.astype(str) if values.dtype.kind == "O" else values
    classes, numbers = np.unique(values, return_inverse=True)
    _say_unlabelled(classes, name)
    return torch.from_numpy(numbers.astype(np.int64)), tuple(str(value) for value in classes)


def _array(x: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(x)
    except ValueError as error:  # NumPy's word for lists of different lengths
        raise DataError(f"{name} is no array: its rows have different shapes") from error


def _check_labels(values: np.ndarray, name: str) -> None:
    if values.dtype.kind == "f":
        wrong = values[(values != np.round(values)) | np.isinf(values)]  # NaN is one of them
        if wrong.size:
            raise DataError(f"{name} holds {wrong[0]:g}; give a class number or name for each row")
    if values.dtype.kind == "O":
        missing = [row for row, value in enumerate(values) if value is None or value != value]
        if missing:
            raise DataError(
                f"{name} is missing in {len(missing)} of {len(values)} rows, first in row {missing[0]}"
            )


def _say_unlabelled(classes: np.ndarray, name: str) -> None:
    """Warn of a class -1 below 0, 1, ...; alone with 1 it is one of two."""
    others = classes[1:]
    if classes.dtype.kind == "i" and len(others) and classes[0] == -1 and others[0] == 0:
        warnings.warn(
            f"{name} holds -1, which is taken as a class of its own; where it marks rows without a label, leave them "
            "out, or fit semi-supervised-vae with unlabelled='-1' (--unlabelled -1)",
            DataWarning,
            stacklevel=2,
        )


def _native(dtype: np.dtype) -> np.dtype:
    """Return a type that torch has and computes with, in this machine's byte order."""
    native = dtype.newbyteorder("=")
    return np.dtype(_WIDER.get(native, native))


def _signed(x: Tensor, name: str) -> Tensor:
    if x.dtype == torch.uint64 and x.numel() and (x.view(torch.int64) < 0).any():  # its first bit is set
        raise DataError(_too_large(int(x.contiguous().numpy().max()), name))
    wide = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
    return x.to(wide[x.dtype]) if x.dtype in wide else x


def _too_large(value: int, name: str) -> str:
    return f"{name} holds {value}, and integers go to 2^63 - 1; as numbers, give them as float64"


def _what(array: np.ndarray) -> str:
    names = {
        "O": "Python objects",
        "U": "text",
        "S": "text",
        "c": "complex numbers",
        "M": "dates",
        "m": "times",
    }
    first = f", first {array.flat[0]!r}" if array.size else ""
    return f"{names.get(array.dtype.kind, str(array.dtype))}{first}"

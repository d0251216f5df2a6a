"""Context encoders: the attributes of rows, such as their classes, as vectors that networks read."""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from latentia.core.model import Conditional
from latentia.core.objective import Batch
from latentia.data.attributes import Attribute
from latentia.data.spec import DataSpec, conditioned_on
from latentia.errors import DataError, UsageError


class AttributeEncoder(Protocol):
    """A module that encodes the values of one attribute."""

    @property
    def size(self) -> int:
        """Return the number of entries of an encoding."""
        ...

    def __call__(self, values: Tensor, /) -> Tensor:
        """Return (n, size) encodings of the values of n rows, in a form of `Attribute`."""
        ...


class OneHot(nn.Module):
    """e_k for category k; weights of categories stay as they are.

    Args:
        categories: their number K.

    Example:
        >>> OneHot(3)(torch.tensor([2, 0])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.size = categories

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, K) one-hot vectors of category indices (n,), or weights (n, K) unchanged."""
        weights = values if values.is_floating_point() else one_hot(values.long(), self.size)
        return weights.to(torch.get_default_dtype())


class CategoryEmbedding(nn.Module):
    """A learned vector for each category; between categories, the weighted mean of theirs.

    Args:
        categories: their number K.
        size: entries of a vector.
    """

    def __init__(self, categories: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.one_hot = OneHot(categories)
        self.vectors = nn.Parameter(torch.randn(categories, size))

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, size) vectors for category indices (n,) or weights (n, K)."""
        if values.is_floating_point():
            return self.one_hot(values) @ self.vectors
        return nn.functional.embedding(values.long(), self.vectors)


class Interval(nn.Module):
    """(2v − low − high)/(high − low) for a number v: from −1 to 1.

    Args:
        attribute: an ordinal or a real one; its smallest and largest value are low and high.

    Example:
        >>> Interval(Attribute("size", (1.0, 2.0, 5.0), "ordinal"))(torch.tensor([0, 2, 1]))[:, 0].tolist()
        [-1.0, 1.0, -0.5]
    """

    size = 1
    values: Tensor

    def __init__(self, attribute: Attribute) -> None:
        super().__init__()
        self.low, self.high = attribute.range
        self.register_buffer("values", _table(attribute), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, 1) encodings of indices of listed values, or of the values themselves."""
        v = _looked_up(self.values, values)
        code = (2 * v - self.low - self.high) / ((self.high - self.low) or 1.0)
        return code[:, None].to(torch.get_default_dtype())


class Circle(nn.Module):
    """(cos θ, sin θ) for an angle θ, so that 359° is next to 0°.

    Args:
        attribute: an angle; its values are degrees.
    """

    size = 2
    values: Tensor

    def __init__(self, attribute: Attribute) -> None:
        super().__init__()
        self.register_buffer("values", _table(attribute), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, 2) encodings of indices of listed angles, or of degrees."""
        angle = _looked_up(self.values, values).deg2rad()
        return torch.stack([angle.cos(), angle.sin()], dim=1).to(torch.get_default_dtype())


class ContextEncoder(nn.Module):
    """The concatenated encodings of several attributes.

    By default a category is one-hot, a number v is (2v − low − high)/(high − low), and an angle its cosine and sine;
    these have no parameters. A text has no default encoder: one must be given.

    Args:
        attributes: what is encoded, in this order; none makes an unconditional model.
        encoders: by the attributes' names, modules that encode one of them.

    Raises:
        UsageError: for a text without an encoder, or an encoder of an unknown attribute.

    Example:
        >>> sex, age = Attribute("sex", ("f", "m")), Attribute("age", (20.0, 80.0), "real")
        >>> encoder = ContextEncoder([sex, age], {"sex": CategoryEmbedding(2, size=4)})
        >>> encoder.size, encoder.encode({"sex": torch.tensor([1]), "age": torch.tensor([50.0])}).shape
        (5, torch.Size([1, 5]))
    """

    def __init__(
        self, attributes: Sequence[Attribute] = (), encoders: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.attributes = tuple(attributes)
        encoders, names = encoders or {}, [each.name for each in attributes]
        if strange := [name for name in encoders if name not in names]:
            raise UsageError(f"an encoder of {strange[0]!r} given; the attributes are: {', '.join(names)}")
        self.encoders = nn.ModuleList(encoders.get(each.name) or _default(each) for each in attributes)

    @property
    def size(self) -> int:
        """The entries of a context, c; 0 for an unconditional model."""
        return sum(cast(AttributeEncoder, encoder).size for encoder in self.encoders)

    def forward(self, batch: Batch) -> Tensor | None:
        """Return the context of a batch's rows, (B, c): its own, or the encodings of its attributes.

        Raises:
            DataError: for rows of which an attribute is not known.
        """
        if not self.attributes:
            return None
        return self.encode(batch.attributes) if batch.context is None else batch.context

    def encode(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return (n, c) encodings of the values of n rows, by attribute."""
        missing = [each.name for each in self.attributes if each.name not in values]
        if missing:
            raise DataError(f"the model is conditional on {', '.join(missing)}, which these rows do not have")
        pairs = zip(self.attributes, self.encoders, strict=True)
        return torch.cat([encoder(values[each.name]) for each, encoder in pairs], dim=1)


def context_encoder(data: DataSpec, conditional: bool) -> ContextEncoder:
    """Return the encoder of a model's context; one without attributes for an unconditional model.

    Raises:
        UsageError: for a conditional model of data without attributes, or a condition that is constant.
    """
    return ContextEncoder(conditioned_on(data, conditional))


def encoder_of(model: nn.Module) -> ContextEncoder:
    """Return a conditional model's encoder.

    Raises:
        UsageError: for a model that has none.
    """
    encoder = model.context_encoder if isinstance(model, Conditional) else None
    if not isinstance(encoder, ContextEncoder):
        raise UsageError(
            f"a conditional recipe needs a model that is Conditional, with a ContextEncoder; "
            f"{type(model).__name__} is not"
        )
    return encoder


def _default(attribute: Attribute) -> nn.Module:
    match attribute.kind:
        case "categorical":
            return OneHot(len(attribute.values))
        case "angle":
            return Circle(attribute)
        case "text":
            raise UsageError(
                f"{attribute.name} is a text, which has no encoder of its own: give one, "
                f"ContextEncoder(..., encoders={{{attribute.name!r}: module}})"
            )
        case _:
            return Interval(attribute)


def _table(attribute: Attribute) -> Tensor:
    return torch.tensor(attribute.values, dtype=torch.float64)


def _looked_up(table: Tensor, values: Tensor) -> Tensor:
    """Return values in float64, looked up in a table if they are indices."""
    return values.double() if values.is_floating_point() else table[values.long()].double()

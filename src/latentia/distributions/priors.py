"""Priors p(z), the distributions of codes. To add one, write one decorated class here.

A prior is a module that returns p(z) when it is called with the model's encoder, on which some priors depend.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Uniform

from latentia.core.objective import Blocks
from latentia.data.spec import DataSpec
from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.distributions.diagonal_mixture import DiagonalMixture
from latentia.distributions.flows import Flows, flow_named
from latentia.distributions.transformed import Transformed
from latentia.errors import DataError, UsageError
from latentia.networks.scaling import Scaling
from latentia.registry import check_name, priors

Encode = Callable[[Tensor], Distribution]
_CONTRAST = 0.5  # of initial pseudo-inputs that are learned, relative to the rows


@dataclass(frozen=True)
class PriorSetting:
    """What a prior is made from.

    Attributes:
        dim: d, entries of a code.
        data: what a row is.
        scaling: between rows and the encoder's input.
        components: components of a mixture, or pseudo-inputs.
        flows: the size of flows.

    Raises:
        UsageError: for sizes below 1.
    """

    dim: int
    data: DataSpec
    scaling: Scaling
    components: int = 10
    flows: Flows = field(default_factory=Flows)

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise UsageError(f"latent_dim must be at least 1; got {self.dim}")
        if self.components < 1:
            raise UsageError(f"prior_components must be at least 1; got {self.components}")


class Prior(nn.Module, ABC):
    """A distribution p(z) of codes, fixed or learned.

    Attributes:
        of_posteriors: whether it calls the encoder, with its input and no context.
    """

    of_posteriors: ClassVar[bool] = False

    @abstractmethod
    def forward(self, encode: Encode | None = None) -> Distribution:
        """Return p(z), whose batch shape is ().

        Args:
            encode: q(z | x) of rows as the encoder's input, (B, *input), where the model has an encoder.
        """

    def begin(self, rows: Blocks) -> None:
        """Initialise parameters from the rows."""


def make_prior(name: str, setting: PriorSetting) -> Prior:
    """Return the named prior.

    Raises:
        UsageError: for an unknown name, with near matches.
    """
    check_name("prior", name, priors)
    return priors[name](setting)


@priors.register("standard-normal")
class StandardNormalPrior(Prior):
    """N(0, I)."""

    zero: Tensor

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(setting.dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> Distribution:  # noqa: ARG002
        """Return N(0, I)."""
        return StandardGaussian(self.zero, self.zero)


@priors.register("uniform")
class UniformPrior(Prior):
    """Uniform on [-1, 1]^d, for objectives without KL(q ‖ p), which is infinite for Gaussian q."""

    one: Tensor

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(setting.dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> Distribution:  # noqa: ARG002
        """Return the uniform distribution on [-1, 1]^d."""
        return Independent(Uniform(-self.one, self.one, validate_args=False), 1, validate_args=False)


@priors.register("gaussian-mixture", sizes=("components",))
class MixturePrior(Prior):
    """A learned mixture of Gaussians with diagonal covariances: p(z) = Σ_k π_k N(z; μ_k, diag σ_k²)."""

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__()
        K, d = setting.components, setting.dim
        self.logits = nn.Parameter(torch.zeros(K))
        self.means = nn.Parameter(torch.randn(K, d))
        self.log_var = nn.Parameter(torch.zeros(K, d))

    def forward(self, encode: Encode | None = None) -> Distribution:  # noqa: ARG002
        """Return the mixture."""
        return DiagonalMixture(self.logits, self.means, self.log_var)


class _PseudoInputs(Prior):
    """p(z) = (1/K) Σ_k q(z | u_k): a mixture of the posteriors of K pseudo-inputs u_k, of the encoder's input's shape.

    Where rows have categories or gaps, a pseudo-input's one-hot entries and indicators are numbers as its others are.
    """

    of_posteriors = True
    inputs: Tensor

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__()
        self.scaling = setting.scaling
        self.bounded = setting.scaling.bounded
        self.shape = (setting.components, *setting.scaling.out_shape)

    def forward(self, encode: Encode | None = None) -> Distribution:
        """Return the mixture of the pseudo-inputs' posteriors.

        Raises:
            UsageError: for no encoder, or one whose posteriors are not Gaussians with diagonal covariances.
        """
        q = None if encode is None else encode(self.rows())
        if not isinstance(q, DiagonalGaussian):
            raise UsageError(
                "a VampPrior is made of Gaussians with diagonal covariance: choose posterior='diagonal'"
            )
        return DiagonalMixture(torch.zeros_like(q.mean[:, 0]), q.mean, q.log_var)

    def rows(self) -> Tensor:
        """Return the pseudo-inputs, as the encoder's input: (K, *input)."""
        return self.inputs

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Set the pseudo-inputs to K random rows.

        Raises:
            DataError: for fewer rows than pseudo-inputs.
        """
        K = len(self.inputs)
        if len(rows) < K:
            raise DataError(
                f"{K} pseudo-inputs start as random rows, and there are {len(rows)} rows: choose fewer, "
                "by prior_components where a recipe makes the prior"
            )
        chosen = torch.zeros(len(rows), dtype=torch.bool)
        chosen[torch.randperm(len(rows))[:K]] = True
        size = 4096
        blocks = zip(rows.blocks(size), chosen.split(size), strict=True)
        x = torch.cat([block.x[keep.to(block.x.device)] for block, keep in blocks])
        self.inputs.copy_(self.scaling(x.to(self.inputs)))


@priors.register("vamp", sizes=("components",))
class VampPrior(_PseudoInputs):
    """VampPrior with learned pseudo-inputs, initialised with random rows (Tomczak and Welling 2018, eq. 10).

    Pseudo-inputs of bounded data are tanh of the parameters, and start at half the contrast of the rows: at the ends
    of the range, where binary rows lie, tanh is saturated and a clamped parameter has no gradient.
    """

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__(setting)
        self.inputs = nn.Parameter(torch.zeros(self.shape))

    def rows(self) -> Tensor:
        """Return the pseudo-inputs, as the encoder's input: (K, *input)."""
        return self.inputs.tanh() if self.bounded else self.inputs

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Set the pseudo-inputs to K random rows, of reduced contrast where data is bounded."""
        super().begin(rows)
        if self.bounded:
            self.inputs.copy_(torch.atanh(_CONTRAST * self.inputs))


@priors.register("vamp-data", sizes=("components",))
class DataVampPrior(_PseudoInputs):
    """VampPrior with random rows as fixed pseudo-inputs (Tomczak and Welling 2018, section 3)."""

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__(setting)
        self.register_buffer("inputs", torch.zeros(self.shape))


class _FlowPrior(Prior):
    """The distribution of z = g(z₀) with z₀ ~ N(0, I) and g a normalising flow."""

    layer: str
    zero: Tensor

    def __init__(self, setting: PriorSetting) -> None:
        super().__init__()
        self.flow = flow_named(self.layer, setting.dim, setting.flows)
        self.register_buffer("zero", torch.zeros(setting.dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> Distribution:  # noqa: ARG002
        """Return the distribution of the flow's outputs."""
        return Transformed(StandardGaussian(self.zero, self.zero), self.flow(None))


@priors.register("maf", sizes=("transforms", "hidden"))
class MAFPrior(_FlowPrior):
    """Autoregressive flow prior: log p(z) in one pass, samples in d passes (Papamakarios 2017; Chen et al. 2017)."""

    layer = "maf"


@priors.register("realnvp", sizes=("transforms", "hidden"))
class RealNVPPrior(_FlowPrior):
    """Coupling flow prior: log p(z) and samples in one pass (Dinh et al. 2017)."""

    layer = "realnvp"

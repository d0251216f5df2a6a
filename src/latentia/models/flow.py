"""Normalising flows: exact densities through invertible maps, from zuko."""

import torch
from torch import Tensor, nn

from latentia.core.model import Density, Generative
from latentia.core.objective import Blocks
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.networks.scaling import Scaling
from latentia.options import Positive
from latentia.registry import unknown

LAYERS = ("realnvp", "maf", "spline")


class NormalizingFlow(Generative, Density):
    """log p(x) = log N(f(s(x)); 0, I) + log |det ∂f/∂s| + log |det ∂s/∂x|, with s the affine scaling of rows.

    Args:
        data: what a row is, flattened to D entries.
        transforms: number of invertible layers.
        hidden: units of each of the two hidden layers in the network of an invertible layer.
        layer: realnvp (coupling), maf (autoregressive, slow to sample) or spline (coupling of rational quadratics).

    References:
        Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP; Papamakarios, Pavlakou and
        Murray (2017), Masked autoregressive flow; Durkan et al. (2019), Neural spline flows.
    """

    measure = "Lebesgue"

    def __init__(
        self, data: DataSpec, *, transforms: int = 4, hidden: int = 64, layer: str = "realnvp"
    ) -> None:
        super().__init__()
        if transforms < 1 or hidden < 1:
            raise UsageError(f"transforms and hidden must be at least 1; got {transforms} and {hidden}")
        self.data = data
        self.scaling = Scaling(data)
        self.flow = _flow(layer, data.size, transforms, [hidden, hidden])

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return the exact log-density of each row: (B,) nats, a density even where rows are integers.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        y = self.scaling(x).flatten(1)
        volume = self.scaling.scale.log().expand(self.data.event_shape).sum()
        return self.flow().log_prob(y) - volume

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
        temperature: Positive = 1.0,
    ) -> Tensor:
        """Draw n rows, rounded to the support: z ~ N(0, T² I), x = f⁻¹(z).

        Args:
            n: number of rows.
            context: none; the density is not conditional.
            generator: where randomness comes from; torch's global state by default.
            temperature: standard deviation T of the base distribution; below 1 rows are more typical and less diverse

        Reference: Kingma and Dhariwal (2018), Glow, section 6, for samples at reduced temperature.
        """
        flow = self.flow()
        with using_generator(generator):
            y = flow.transform.inv(temperature * flow.base.rsample((n,)))
        return self.data.support.project(self.scaling.inverse(y.view(n, *self.data.event_shape)))

    def begin(self, rows: Blocks) -> None:
        """Fit the scaling of real data to the rows."""
        self.scaling.fit(rows)


def _flow(layer: str, size: int, transforms: int, hidden: list[int]) -> nn.Module:
    import zuko

    match layer:
        case "realnvp" if size > 1:
            return zuko.flows.RealNVP(size, transforms=transforms, hidden_features=hidden)
        case "maf":
            return zuko.flows.MAF(size, transforms=transforms, hidden_features=hidden)
        case "spline" if size > 1:
            return zuko.flows.NSF(size, transforms=transforms, hidden_features=hidden, passes=2)
        case "realnvp" | "spline":
            raise UsageError(f"layer={layer!r} couples entries, and these rows have one: choose 'maf'")
        case _:
            raise UsageError(unknown("layer", layer, LAYERS))

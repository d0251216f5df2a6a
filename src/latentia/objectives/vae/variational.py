"""Variational objectives: the evidence lower bound of log p(x) and its variants."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.core.randomness import using_generator
from latentia.distributions.posteriors import sample_and_kl
from latentia.distributions.priors import UniformPrior
from latentia.errors import UsageError
from latentia.models.latent_variable import LatentVariable, RelaxedLatentVariable
from latentia.objectives.vae.kl_terms import KLTerm, beta_weighted
from latentia.objectives.vae.regularisers import Codes, Regulariser


class Variational(Objective):
    """Maximise the evidence lower bound, or a variant of it; the model is the one player.

    loss = −w E_q[log p(x | z)] + kl_term(KL(q(z | x) ‖ p(z)), step) + regulariser(codes), means over rows, in nats

    The logged elbo and all scores have w = β = 1 and no regulariser, whatever the loss is.

    Args:
        model: the model.
        kl_term: the KL's term in the loss; None: the KL itself.
        regulariser: a further term in the loss, of the codes; None: none.
        reconstruction_scale: w; the optimum is that of β = 1/w.
        draws: S, draws of z for each row, whose terms are averaged (an ELBO with lower variance; not IWAE).

    Raises:
        UsageError: for options out of range, a uniform prior, from which the KL of a Gaussian is infinite, and a
            posterior that the regulariser does not support.

    References:
        Kingma and Welling (2014), Auto-encoding variational Bayes, equations 3 and 7.
    """

    model: LatentVariable | RelaxedLatentVariable
    rows: Tensor
    loss_functions: tuple[str, ...] = ("terms",)

    def __init__(
        self,
        model: LatentVariable | RelaxedLatentVariable,
        *,
        kl_term: KLTerm | None = None,
        regulariser: Regulariser | None = None,
        reconstruction_scale: float = 1.0,
        draws: int = 1,
    ) -> None:
        super().__init__()
        if draws < 1:
            raise UsageError(f"draws must be at least 1; got {draws}")
        if not reconstruction_scale > 0:
            raise UsageError(f"reconstruction_scale must be above 0; got {reconstruction_scale}")
        refuse_uniform_prior(model)
        self.model = model
        self.kl_term = kl_term or beta_weighted(1.0)
        self.regulariser = regulariser
        self.reconstruction_scale = reconstruction_scale
        self.draws = draws
        if model.refinement is not None:
            self.loss_functions = ()  # double differentiation runs eagerly
        self.register_buffer("rows", torch.ones((), dtype=torch.int64))
        if regulariser is not None:
            regulariser(_placeholder_codes(model))

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player."""
        return {"model": self.model}

    def begin(self, rows: Blocks) -> None:
        """Initialise the model's scaling and prior from the rows, and note their number."""
        self.model.begin(rows)
        self.rows.fill_(len(rows))

    def step(self, batch: Batch) -> Step:
        """Minimise the loss by one step."""
        reconstruction, kl, extra = self.terms(batch.x, self.context_of(batch))
        term, weights = self.kl_term(kl, self.steps_done)
        loss = term - self.reconstruction_scale * reconstruction + extra
        yield "model", loss
        logged = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "elbo": reconstruction - kl}
        if self.regulariser is not None:
            logged["regulariser"] = extra
        return {name: value.detach() for name, value in logged.items()} | dict(weights)

    def terms(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return E_q[log p(x | z)], KL(q(z | x) ‖ p(z)) and the regulariser, means over rows, in nats."""
        posterior, prior = self.model.encode(x, context), self.model.prior_distribution()
        z, kl = sample_and_kl(posterior, prior, self.draws)
        reconstruction = self.model.reconstruction(z, x, context)
        extra = z.new_zeros(())
        if self.regulariser is not None:
            # Penalties are small differences of products of codes, which half precision would round away.
            with torch.autocast(z.device.type, enabled=False):
                extra = self.regulariser(Codes(posterior, prior, z, self.rows))
        return reconstruction.mean(), kl.mean(), extra


def refuse_uniform_prior(model: LatentVariable | RelaxedLatentVariable) -> None:
    """Raise `UsageError` for a uniform prior, from which the KL of a Gaussian is infinite."""
    if isinstance(model.prior, UniformPrior):
        raise UsageError("the KL of a Gaussian from a uniform prior is infinite: choose another prior")


@torch.no_grad()
def _placeholder_codes(model: LatentVariable | RelaxedLatentVariable) -> Codes:
    """Return codes of the model's posterior family, so that a regulariser can refuse it before training."""
    posterior = model.posterior(torch.zeros(2, model.posterior.param_dim))
    with using_generator(torch.Generator()):
        return Codes(posterior, model.prior_distribution(), posterior.sample((1,)), torch.tensor(2))

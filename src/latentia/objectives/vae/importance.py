"""Importance-weighted objectives: bounds of log p(x) from several weighted draws of the code."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.distributions.posteriors import sample_with_log_prob
from latentia.errors import UsageError
from latentia.functional.bounds import elbo, renyi
from latentia.models.latent_variable import LatentVariable, RelaxedLatentVariable
from latentia.objectives.vae.variational import refuse_uniform_prior


class ImportanceWeighted(Objective):
    """Maximise the IWAE-K bound, or another Rényi bound with K draws; the model is the one player.

    loss = −1/(1 − α) log (1/K) Σ_k w_k^(1−α), w_k = p(x, z_k)/q(z_k | x), z_k ~ q(z | x); the mean over rows, in nats

    Its gradient is Σ_k v_k ∇ log w_k, v = w^(1−α)/Σ w^(1−α), with z_k a function of the encoder's parameters. It
    contains the score function ∇_φ log q, whose noise dominates for large K. The doubly reparameterised gradient has
    the same expectation and only path derivatives through z_k:

    Σ_k (α v_k + (1 − α) v_k²) ∂log w_k/∂z_k · ∂z_k/∂φ of the encoder, Σ_k v_k ∇ log p(x, z_k) of decoder and prior.

    Args:
        model: the model.
        samples: K.
        alpha: α: 0 is IWAE, 1 the ELBO.
        doubly_reparameterised: whether to use the doubly reparameterised gradient.

    Raises:
        UsageError: for K below 1, a uniform prior, or a model with a reconstruction loss in place of a likelihood.

    References:
        Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, equations 8 and 14; Li and Turner
        (2016), Rényi divergence variational inference, equation 9; Tucker et al. (2019), Doubly reparameterized
        gradient estimators for Monte Carlo objectives, section 3 (α = 0). Roeder et al. (2017), Sticking the landing
        (α = 1).
    """

    model: LatentVariable
    loss_functions: tuple[str, ...] = ("log_weights",)

    def __init__(
        self,
        model: LatentVariable | RelaxedLatentVariable,
        *,
        samples: int = 5,
        alpha: float = 0.0,
        doubly_reparameterised: bool = False,
    ) -> None:
        super().__init__()
        if samples < 1:
            raise UsageError(f"samples must be at least 1; got {samples}")
        if not isinstance(model, LatentVariable):
            raise UsageError("importance weights need a likelihood, and this one is a loss: choose another")
        refuse_uniform_prior(model)
        renyi(torch.zeros(1, 1), alpha)  # checks α
        self.model = model
        self.samples = samples
        self.alpha = alpha
        self.doubly_reparameterised = doubly_reparameterised
        if doubly_reparameterised or model.refinement is not None:
            self.loss_functions = ()  # double differentiation runs eagerly

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player."""
        return {"model": self.model}

    def begin(self, rows: Blocks) -> None:
        """Initialise the model's scaling and prior from the rows."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Minimise the loss by one step."""
        context = self.context_of(batch)
        if self.doubly_reparameterised:
            log_w, surrogate = self.doubly(batch.x, context)
            loss = -renyi(log_w, self.alpha).mean()
            # The value is the bound's, the gradient the surrogate's.
            descended = surrogate - surrogate.detach() + loss
        else:
            log_w = self.log_weights(batch.x, context)
            loss = descended = -renyi(log_w, self.alpha).mean()
        yield "model", descended
        log_w, loss = log_w.detach(), loss.detach()
        sizes = 1 / log_w.softmax(0).square().sum(0)
        return {"loss": loss, "bound": -loss, "elbo": elbo(log_w).mean(), "effective_samples": sizes.mean()}

    def log_weights(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return log p(x, z_k) − log q(z_k | x): (K, B) nats."""
        z, log_q = sample_with_log_prob(self.model.encode(x, context), self.samples)
        return self._log_joint(z, x, context) - log_q

    def doubly(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return log-weights, (K, B), without gradient, and a surrogate, (), with the gradient of the loss."""
        posterior = self.model.encode(x, context)
        z = posterior.rsample(torch.Size((self.samples,)))
        fixed = z.detach().requires_grad_()  # as if q had no parameters
        log_joint = self._log_joint(fixed, x, context)
        log_w = log_joint - posterior.log_prob(fixed)
        (slope,) = torch.autograd.grad(log_w.sum(), fixed, retain_graph=True)
        log_w = log_w.detach()
        v = ((1 - self.alpha) * log_w).softmax(0)
        paths = (self.alpha * v + (1 - self.alpha) * v.square()) * (slope * z).sum(-1)
        return log_w, -(v * log_joint + paths).sum(0).mean()

    def _log_joint(self, z: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        """Return log p(x, z_k): (K, B) nats."""
        return self.model.reconstruction(z, x, context) + self.model.prior_distribution().log_prob(z)

"""FactorVAE: a critic that classifies codes against permuted codes estimates their total correlation."""

from collections.abc import Mapping

from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.distributions.posteriors import sample_and_kl
from latentia.errors import UsageError
from latentia.functional.disentanglement.regularisers import permute_codes
from latentia.functional.gan.losses import cross_entropy_critic
from latentia.models.latent_variable import LatentVariable, RelaxedLatentVariable
from latentia.objectives.vae.variational import refuse_uniform_prior


class FactorVAE(Objective):
    """Maximise the ELBO minus γ times the total correlation of the codes, which a critic estimates.

    model: −E_q log p(x | z) + KL(q(z | x) ‖ p(z)) + γ E_q c(z)
    critic: −½ E log σ(c(z)) − ½ E log σ(−c(z̄)), z̄ codes with each entry permuted among rows

    The optimal critic is c(z) = log q(z)/Π_j q(z_j), whose mean is the total correlation. It is trained on the first
    half of a batch unchanged and the second half permuted, so that no code is in both; of an odd number of rows, one
    is in both. The critic's loss has no gradient in the encoder.

    Args:
        model: the model.
        critic: a network from (B, d) codes to (B, 1) scores.
        gamma: γ.

    Raises:
        UsageError: for a negative γ, or a uniform prior.

    References:
        Kim and Mnih (2018), Disentangling by factorising, equations 2 and 3 and algorithm 2 (here the ELBO uses the
        whole batch, there the first half).
    """

    model: LatentVariable | RelaxedLatentVariable
    loss_functions: tuple[str, ...] = ("terms",)

    def __init__(
        self,
        model: LatentVariable | RelaxedLatentVariable,
        critic: nn.Module,
        *,
        gamma: float,
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise UsageError(f"gamma must be at least 0; got {gamma}")
        refuse_uniform_prior(model)
        self.model = model
        self.critic = critic
        self.gamma = gamma
        if model.refinement is not None:
            self.loss_functions = ()  # double differentiation runs eagerly

    def players(self) -> Mapping[str, nn.Module]:
        """Return the two players."""
        return {"model": self.model, "critic": self.critic}

    def begin(self, rows: Blocks) -> None:
        """Initialise the model's scaling and prior from the rows."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Update the model, then the critic on the codes from before the model's update."""
        reconstruction, kl, z = self.terms(batch.x, self.context_of(batch))
        correlation = self.critic(z).mean()
        loss = kl - reconstruction + self.gamma * correlation
        yield "model", loss
        critic_loss = self.critic_loss(z.detach())
        yield "critic", critic_loss
        logged = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "elbo": reconstruction - kl}
        logged |= {"total_correlation": correlation, "critic_loss": critic_loss}
        return {name: value.detach() for name, value in logged.items()}

    def terms(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return E_q[log p(x | z)] and KL(q(z | x) ‖ p(z)), means over rows in nats, and the codes, (B, d)."""
        z, kl = sample_and_kl(self.model.encode(x, context), self.model.prior_distribution(), 1)
        return self.model.reconstruction(z, x, context).mean(), kl.mean(), z[0]

    def critic_loss(self, z: Tensor) -> Tensor:
        """Return the critic's cross-entropy on codes (B, d), half of them unchanged and half permuted."""
        middle = len(z) // 2
        together, apart = z[: len(z) - middle], permute_codes(z[middle:])
        there, permuted = cross_entropy_critic(self.critic(together), self.critic(apart))
        return 0.5 * (there.mean() + permuted.mean())

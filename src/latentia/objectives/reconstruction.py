"""Reconstruction losses of autoencoders."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import DataError, UsageError
from latentia.models.autoencoder import Autoencoder
from latentia.networks.conditioning import ContextEncoder


class Reconstruction(Objective):
    """Minimise loss = -log p(x | f(x̃)) + λ CE(c(f(x̃)), class), the mean over rows.

    x̃ is the row itself, or the row with added noise (denoising). The second term, if there is a classifier c, separates
    classes in the code.

    Args:
        model: the autoencoder.
        noise: standard deviation of the Gaussian noise of x̃, in units of the scaled data; 0 adds none.
        classifier: from codes to class logits; None: no second term.
        labels: encodes the classes of a batch's rows, one-hot; None: they are its context.
        weight: λ.

    References:
        Vincent et al. (2008), Extracting and composing robust features with denoising autoencoders.
    """

    model: Autoencoder
    loss_functions: ClassVar[tuple[str, ...]] = ("terms",)

    def __init__(
        self,
        model: Autoencoder,
        *,
        noise: float = 0.0,
        classifier: nn.Module | None = None,
        labels: ContextEncoder | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        if noise < 0 or weight < 0:
            raise UsageError(f"noise and weight must be at least 0; got {noise} and {weight}")
        self.model = model
        self.noise = noise
        self.classifier = classifier
        self.labels = labels
        self.weight = weight

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player: the autoencoder, with the classifier if there is one."""
        parts = [self.model] if self.classifier is None else [self.model, self.classifier]
        return {"model": nn.ModuleList(parts)}

    def begin(self, rows: Blocks) -> None:
        """Fit the model's scaling to the rows."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Minimise the loss by one step."""
        classes = batch.context if self.labels is None else self.labels(batch)
        error, mistakes, right = self.terms(batch.x, classes)
        loss = error + self.weight * mistakes
        yield "model", loss
        logged = {"loss": loss, "reconstruction_loss": error}
        if self.classifier is not None:
            logged |= {"classifier_loss": mistakes, "classifier_accuracy": right}
        return {name: value.detach() for name, value in logged.items()}

    def terms(self, x: Tensor, classes: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean reconstruction loss, the classifier's mean cross-entropy in nats, and its accuracy."""
        corrupted = x + self.noise * self.model.scaling.scale * torch.randn_like(x) if self.noise else None
        z, reconstruction = self.model.reconstruction(x, corrupted=corrupted)
        if self.classifier is None:
            return -reconstruction.mean(), x.new_zeros(()), x.new_zeros(())
        if classes is None:
            raise DataError("a supervised autoencoder needs labelled rows; these have no classes")
        scores, numbers = self.classifier(z), classes.argmax(1)
        right = (scores.argmax(1) == numbers).float().mean()
        return -reconstruction.mean(), cross_entropy(scores, numbers), right

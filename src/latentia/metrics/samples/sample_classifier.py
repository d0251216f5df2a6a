"""A classifier of rows that is trained here, for metrics that count the classes of samples."""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from latentia.core.objective import Batch
from latentia.core.randomness import using_generator
from latentia.data.rows import Rows
from latentia.data.sets.stacked_mnist import Stacked, digits_of, number_of
from latentia.data.spec import DataSpec
from latentia.errors import DataError
from latentia.networks.classifier import Classifier
from latentia.networks.scaling import Scaling

_IMAGES, _BATCH, _RATE = 60_000, 128, 3e-3
_SEED = 0  # one classifier for all seeds of a score, so that their numbers compare


@dataclass(frozen=True, eq=False)
class SampleClassifier:
    """Predict the class of rows.

    Attributes:
        network: from scaled rows to a score for each class, in eval mode.
        scaling: of the rows.
        channels: into how many images a row falls apart, each with a class of its own: 1, or 3 of stacked digits.
        base: the number of an image's classes; those of a row are base^channels.
        settings: how it was trained.
    """

    network: Classifier
    scaling: Scaling
    channels: int
    base: int
    settings: dict[str, Any]

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Return what the classifier's last layer reads of (B, *event) rows: (B, F), F for each channel."""
        parts = [
            self.network.features(self.scaling(block)) for block in _images(x, self.channels).split(1024)
        ]
        return torch.cat(parts).view(len(x), -1)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Return the likeliest class of (B, *event) rows: (B,) numbers."""
        images = _images(x, self.channels)
        predicted = [self.network(self.scaling(block)).argmax(1) for block in images.split(1024)]
        return number_of(torch.cat(predicted).view(-1, self.channels), self.base)


_trained: dict[tuple[int, int], SampleClassifier] = {}


def sample_classifier(rows: Rows, steps: int) -> SampleClassifier:
    """Return a classifier of rows, trained on at most 60,000 images by cross-entropy, with Adam.

    Of stacked digits each channel is a digit of its own. The same rows give the same classifier, which is kept in
    memory.

    Args:
        rows: with their labels.
        steps: of the training.

    Raises:
        DataError: for rows without labels, or of one class.
    """
    x, y, channels, base = _labelled(rows)
    key = crc32(y.numpy().tobytes(), crc32(x.contiguous().numpy().tobytes())), steps
    if key not in _trained:
        _trained[key] = _train(x, y, channels, base, rows.spec, steps)
    return _trained[key]


def accuracy(classifier: SampleClassifier, rows: Rows, size: int = 1024) -> float:
    """Return the fraction of rows that are classified correctly."""
    predicted = torch.cat([classifier.predict(block.x) for block in rows.blocks(size)])
    return float((predicted == rows.labels).double().mean())


def _labelled(rows: Rows) -> tuple[Tensor, Tensor, int, int]:
    """Return images and their labels, drawn from the rows, and the channels and classes of `SampleClassifier`."""
    if rows.labels is None or len(rows.labels.unique()) < 2:
        raise DataError(
            f"a classifier of samples is trained on rows of at least two classes; those of {rows.name} have fewer"
        )
    channels = rows.spec.event_shape[0] if isinstance(rows.store, Stacked) else 1
    base = round(len(rows.spec.classes) ** (1 / channels))
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(_SEED))[: _IMAGES // channels]
    x = torch.cat([block.x for block in rows.select(chosen).blocks(4096)])
    return _images(x, channels), digits_of(rows.labels[chosen], channels, base).flatten(), channels, base


def _train(x: Tensor, y: Tensor, channels: int, base: int, spec: DataSpec, steps: int) -> SampleClassifier:
    """Descend the cross-entropy of images (n, *shape) and their labels (n,)."""
    scaling = Scaling(DataSpec(tuple(x.shape[1:]), spec.support))
    scaling.fit(Batch(x))
    with using_generator(torch.Generator().manual_seed(_SEED)):
        network = Classifier(scaling.out_shape, base)
        optimiser = torch.optim.Adam(network.parameters())
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
        for _ in range(steps):
            chosen = torch.randint(len(x), (min(_BATCH, len(x)),))
            loss = cross_entropy(network(scaling(x[chosen])), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
    settings = {"classifier": "our own", "steps": steps, "rows": len(x) // channels, "seed": _SEED}
    return SampleClassifier(network.eval().requires_grad_(False), scaling, channels, base, settings)


def _images(x: Tensor, channels: int) -> Tensor:
    """Return rows of which each channel is an image as images of one channel: (B · channels, 1, height, width)."""
    return x if channels == 1 else x.flatten(0, 1)[:, None]

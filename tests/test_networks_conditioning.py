"""Context encoders: what is known of rows reaches networks, and learned codes learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.attributes import Attribute, texts
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.flows import Flows
from latentia.distributions.likelihoods.making import make_likelihood
from latentia.distributions.posteriors import make_posterior
from latentia.distributions.priors import PriorSetting, make_prior
from latentia.errors import DataError, UsageError
from latentia.models.latent_variable import LatentVariable
from latentia.networks.conditioning import CategoryEmbedding, ContextEncoder, encoder_of
from latentia.networks.mlp import MLP
from latentia.networks.scaling import Scaling
from latentia.objectives.vae.variational import Variational

KIND = Attribute("kind", ("stool", "bench", "throne"), role="label")
AGE = Attribute("age", (20.0, 80.0), "real")
CAPTION = Attribute("caption", ("small", "large"), "text")
ALL = (KIND, AGE, CAPTION)


class Lengths(nn.Module):
    """Encodes a text by a learned multiple of its length."""

    size = 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, values: Tensor) -> Tensor:
        lengths = torch.tensor([len(text) for text in texts(values)], device=values.device)
        return self.weight * lengths[:, None]


def encoders() -> dict[str, nn.Module]:
    return {"kind": CategoryEmbedding(3, size=4), "caption": Lengths()}


def rows(n: int = 60) -> Rows:
    """Return rows that are their attributes: 10 for a bench, 20 for a throne, their age, and their caption's length."""
    generator = torch.Generator().manual_seed(0)
    kind, age = torch.arange(n) % 3, 20 + 60 * torch.rand(n, generator=generator)
    captions = [("small", "large one")[j] for j in torch.randint(2, (n,), generator=generator).tolist()]
    x = torch.stack([10.0 * kind, age / 10, torch.tensor([float(len(each)) for each in captions])], dim=1)
    known = {"kind": kind, "age": age, "caption": captions}
    return Rows(x, DataSpec((3,), Support("real"))).with_attributes(ALL, known)


def model_of(data: DataSpec, encoder: ContextEncoder) -> LatentVariable:
    """Return a conditional VAE with a context encoder of one's own."""
    scaling = Scaling(data)
    posterior = make_posterior("diagonal", 1, Flows(1, 8))
    likelihood = make_likelihood("gaussian", data, scaling)
    return LatentVariable(
        data,
        prior=make_prior("standard-normal", PriorSetting(1, data, scaling)),
        encoder=MLP(scaling.out_shape, (posterior.param_dim,), hidden=(32,), context=encoder.size),
        posterior=posterior,
        decoder=MLP((1,), likelihood.param_shape, hidden=(32,), context=encoder.size),
        likelihood=likelihood,
        scaling=scaling,
        context_encoder=encoder,
    )


def test_three_attributes_of_three_kinds_reach_an_encoder_and_are_learned():
    some = rows()
    model = model_of(some.spec, ContextEncoder(some.spec.context, encoders()))
    seen: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].detach()))
    before = [each.detach().clone() for each in model.context_encoder.parameters()]
    recipe = Recipe(Variational(model), Optim(lr=1e-2), batch_size=20, conditional=True)
    run = lt.fit(recipe, some, epochs=150, seed=0, progress=False)

    learned = run.model.context_encoder
    assert [len(each) for each in before] == [3, 1]
    for old, new in zip(before, learned.parameters(), strict=True):
        assert (old != new).all()
    code = learned.encode(some.take(torch.tensor([4])).attributes)[0]
    assert code[:4].equal(learned.encoders[0].vectors[1])
    assert code[4].item() == pytest.approx((2 * some.x[4, 1].item() * 10 - 100) / 60, abs=1e-5)
    assert code[5].item() == pytest.approx(learned.encoders[2].weight.item() * some.x[4, 2].item())

    given = {"kind": "throne", "age": 40, "caption": "large one"}
    mean = run.sample(500, given, seed=0).mean(0)
    assert mean.tolist() == pytest.approx([20, 4, 9], abs=0.7)
    own = {"kind": ["bench", "stool"], "age": [30, 70.0], "caption": ["small", "large one"]}
    assert run.encode(some.x[:2], own).shape == (2, 1)
    assert lt.evaluate(run, some, metrics="elbo")["value"].notna().all()


def test_a_run_of_three_kinds_is_saved_and_loaded(tmp_path):
    some = rows(20)

    def recipe() -> Recipe:
        model = model_of(some.spec, ContextEncoder(some.spec.context, encoders()))
        return Recipe(Variational(model), Optim(), batch_size=20, conditional=True)

    run = lt.fit(recipe(), some, steps=2, seed=0, out=tmp_path / "run", progress=False)
    loaded = lt.load(tmp_path / "run", recipe=recipe())
    assert loaded.spec == some.spec
    given = {"kind": "stool:bench", "age": 40, "caption": "small"}
    assert loaded.sample(3, given, seed=0).equal(run.sample(3, given, seed=0))


def test_the_players_of_a_gan_share_a_learned_context():
    """The generator learns it; each update has a graph of its own."""
    some = rows()
    data = some.spec.with_role("condition", [])
    objective = lt.recipes["gan"](data, conditional=True, latent_dim=1, hidden=8).objective
    embedding = CategoryEmbedding(3, size=3)
    objective.model.context_encoder = ContextEncoder(data.context, {"kind": embedding})
    before = embedding.vectors.detach().clone()
    batches = [replace(some.take(torch.arange(20)), context=None)] * 4
    for _ in lt.train(objective, batches, optim=Optim(lr=1e-2), steps=4):
        pass
    assert (embedding.vectors != before).all()


def test_between_categories_an_embedding_is_between_their_vectors():
    embedding = CategoryEmbedding(3, size=4)
    path = embedding(KIND.given("stool:throne", 3))
    expected = torch.lerp(embedding.vectors[0], embedding.vectors[2], torch.tensor([[0.0], [0.5], [1.0]]))
    torch.testing.assert_close(path, expected)
    assert embedding(torch.tensor([2, 1])).equal(embedding.vectors[[2, 1]])


def test_an_encoder_has_no_keys_of_its_own_without_parameters():
    """So that models of older versions load; and its tables move with the model."""
    turn = Attribute("turn", (0.0, 90.0), "angle")
    encoder = ContextEncoder([KIND, turn])
    assert not encoder.state_dict()
    assert encoder.to("meta").encoders[1].values.device.type == "meta"


def test_a_batch_s_own_context_comes_first_and_an_unconditional_model_has_none():
    batch = Batch(torch.zeros(2, 1), context=torch.ones(2, 3), attributes={"kind": torch.tensor([0, 1])})
    assert ContextEncoder([KIND])(batch) is batch.context
    assert ContextEncoder()(batch) is None
    assert ContextEncoder([KIND])(replace(batch, context=None)).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(UsageError, match=r"caption is a text, which has no encoder of its own: give one"):
        ContextEncoder(ALL)
    with pytest.raises(UsageError, match="an encoder of 'size' given; the attributes are: kind"):
        ContextEncoder([KIND], {"size": Lengths()})
    with pytest.raises(DataError, match="conditional on age, which these rows do not have"):
        ContextEncoder([KIND, AGE])(Batch(torch.zeros(2, 1), attributes={"kind": torch.tensor([0, 1])}))
    with pytest.raises(
        UsageError, match="needs a model that is Conditional, with a ContextEncoder; Linear is not"
    ):
        encoder_of(nn.Linear(1, 1))
    with pytest.raises(UsageError, match="a conditional recipe needs a model that is Conditional"):
        lt.fit(Recipe(Nothing(), Optim(), conditional=True), rows(), steps=1)


class Nothing(lt.Objective):
    """An objective whose model encodes no context."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(3, 3)

    def players(self):
        return {"model": self.model}

    def step(self, batch):
        yield "model", self.model(batch.x).square().mean()
        return {}


def test_rows_keep_their_attributes_and_refuse_others():
    some = rows(6)
    batch = some.select(torch.tensor([4, 2])).whole()
    assert texts(batch.attributes["caption"]) == [texts(some.attributes["caption"])[j] for j in (4, 2)]
    assert batch.attributes["kind"].tolist() == [1, 2]
    assert some.labels.tolist() == [0, 1, 2, 0, 1, 2]
    halves = batch.split(2)
    assert [half.attributes["age"].item() for half in halves] == batch.attributes["age"].tolist()
    together = Batch.joined(halves)
    assert together.index.equal(batch.index)
    assert together.attributes["caption"].equal(batch.attributes["caption"])
    with pytest.raises(DataError, match="data has 6 rows but 5 values of age"):
        some.with_attributes([AGE], {"age": torch.zeros(5)})
    with pytest.raises(
        DataError, match=r"caption of data has torch.int64 values of shape \(6,\): give one a row"
    ):
        some.with_attributes([CAPTION], {"caption": torch.zeros(6).long()})

"""A network with everything that the room for networks has to get right: layers, a table of embeddings, batch normalisation, dropout."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.networks.learner import NetworkLearner
from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.state import built, loaded, to_tensor
from sparkml_algos.rows import fields
from sparkml_algos.rows.kinds import ClassLabel
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows

FIELDS = (fields.features(), fields.label(ClassLabel(100)), fields.validation())


class Perceptron(nn.Module):
    """Layers over the features and, where there is a vocabulary, over the embedding of the integer that the first feature is."""

    def __init__(self, features, hidden, classes, vocabulary=0, batch_norm=False, dropout=0.0, bits=32):
        super().__init__()
        self.table = nn.Embedding(vocabulary, hidden, sparse=True) if vocabulary else None
        self.first = nn.Linear(features, hidden)
        self.norm = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(hidden, classes)
        self.to({32: torch.float32, 64: torch.float64}[bits])

    def forward(self, features):
        features = features.to(self.last.weight.dtype)
        hidden = self.first(features)
        if self.table is not None:
            hidden = hidden + self.table(features[:, 0].abs().long() % self.table.num_embeddings)
        return self.last(self.dropout(torch.relu(self.norm(hidden))))


class PerceptronLearner(NetworkLearner):
    figures = ("loss", "hits")

    def loss(self, batch, draws):
        label = to_tensor(batch.label, self.device).long()
        scores = self.forward(to_tensor(batch.features, self.device))
        return {"loss": nn.functional.cross_entropy(scores, label, reduction="sum"), "hits": (scores.argmax(1) == label).sum()}


def learner_of(settings, features, job, communicator, watched):
    """A learner of some settings: ``shape`` names arguments of `Perceptron`, ``optimizer`` those of `OptimizerSettings`."""
    network = built(lambda: Perceptron(features, **settings.shape), job.seed)
    return PerceptronLearner(network, job, communicator, OptimizerSettings(**settings.optimizer), watched)


def train(settings, shard, communicator, job):
    start, watched = Start(job), WatchedRows(job)
    learner = learner_of(settings, shard.num_features, job, communicator, watched)
    stopping = EarlyStopping(settings.patience) if settings.patience else None
    options = {"epochs": settings.epochs, "mini_batch_size": settings.mini_batch_size, "stopping": stopping, "start": start}
    return learner.model(fit(learner, job, communicator, **options))


def load(artifact: Artifact, settings, device):
    features = artifact.arrays["network/first.weight"].shape[1]
    network = loaded(lambda: Perceptron(features, **settings.shape), artifact, device)
    return lambda batch: {"scores": network(to_tensor(np.asarray(batch.features), device)).numpy(force=True)}


PERCEPTRON = Algorithm(
    name="perceptron", fields=FIELDS, train=train, load=load, passes=lambda settings: settings.epochs, on_gpu=True, libraries=("torch",)
)

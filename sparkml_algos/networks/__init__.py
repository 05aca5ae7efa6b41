"""Networks that learn on the workers of a gang; besides an algorithm's ``network.py`` the only room that imports torch.

A network is a `training.learner.Learner` like any other, so the loop of `training.trainer.fit` gives it mini-batches in step, metrics,
early stopping that serves the best state, and checkpoints. This room gives it

* sums of gradients over all workers, however unevenly the rows are spread: the loss is a **sum** over rows, and what is divided by is the
  weight of the rows of all workers. All dense parameters lie in one tensor, so a step is one exchange and a few operations;
* tables of embeddings, ``nn.Embedding(…, sparse=True)``: of them the rows that a mini-batch touches are exchanged and moved, no others;
* batch normalisation over the rows of all workers: write ``nn.BatchNorm1d``, and it is one with several workers;
* optimizers by the names of the specifications, with clipping, rescaling, weight decay and a schedule: `optimizers.OptimizerSettings`;
* dropout and sampling that depend on (seed, epoch, step, worker) alone, so that a resumed training is the undisturbed one to the bit;
* the job's device, threads, `compile` and `mixed_precision`;
* state dicts as artifacts and back, bfloat16 too, without pickle: `state`.

How to write one
----------------
``network.py`` has the module, which knows arrays of numbers and nothing else, and the learner::

    import torch
    from torch import nn

    from sparkml_algos.networks.learner import NetworkLearner
    from sparkml_algos.networks.state import to_tensor

    class Perceptron(nn.Sequential):
        def __init__(self, features, hidden, classes, dropout):
            super().__init__(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))

    class PerceptronLearner(NetworkLearner):
        figures = ("loss", "hits")                        # sums over rows; the first is minimised, all are in the history as means

        def loss(self, batch, draws):                     # draws.random, draws.torch: generators for samples; draws.progress: epoch, step
            label = to_tensor(batch.label, self.device).long()
            scores = self.forward(to_tensor(batch.features, self.device))    # `forward`, so that it can be compiled
            loss = nn.functional.cross_entropy(scores, label, reduction="sum")
            return {"loss": loss, "hits": (scores.argmax(1) == label).sum()}

``training.py`` imports neither torch nor ``network.py`` at its top, for ``import sparkml_algos`` has to stay quick and must work on a
driver without torch::

    def train(hyperparameters, shard, communicator, job):
        from …perceptron.network import Perceptron, PerceptronLearner
        from sparkml_algos.networks.optimizers import OptimizerSettings
        from sparkml_algos.networks.state import built

        start, watched = Start(job), WatchedRows(job)     # in this order, before the first epoch
        network = built(lambda: Perceptron(shard.num_features, hyperparameters.hidden, 10, hyperparameters.dropout), job.seed)
        settings = OptimizerSettings(hyperparameters.optimizer, hyperparameters.learning_rate, hyperparameters.weight_decay)
        learner = PerceptronLearner(network, job, communicator, settings, watched)
        best = fit(learner, job, communicator, epochs=…, mini_batch_size=…, stopping=EarlyStopping(3), start=start)
        artifact = learner.model(best)                    # arrays ``network/<name of the state dict>``, values: figures and ``epoch``
        artifact.values["shape"] = […]                    # what `load` needs to build the network again
        return artifact

    PERCEPTRON = Algorithm(…, libraries=("torch",), on_gpu=True)    # a worker without torch is refused before training, by the extra's name

``prediction.py`` likewise::

    def load(artifact, hyperparameters, device):          # once per task or server
        from …perceptron.network import Perceptron
        from sparkml_algos.networks.state import loaded, to_tensor

        network = loaded(lambda: Perceptron(*artifact.values["shape"]), artifact, device).double()    # in eval mode, without gradients
        return lambda batch: {"scores": network(to_tensor(batch.features, device).double()).float().numpy(force=True)}

(What is computed with 64 bits and rounded to 32 does not depend on which rows are beside a row, as 32 bits of a matrix product do: a model
then scores the same in Spark and without it.)

The Estimator mixes in `arrays.params.NetworkParams`. Override `NetworkLearner.weight` where sums are not divided by the weight of the
rows (tokens, say), `validate` for figures that are no means over rows, `result` to watch another one. What changes over the training, such
as the weight of a term, follows ``draws.progress``. Never set gradients to None, nor replace a parameter of a network that is already in a
learner.
"""

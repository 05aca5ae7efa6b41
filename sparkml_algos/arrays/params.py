"""Params that many algorithms share: output columns, and how a training job runs."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, JobParam, OwnHyperparameter


class PredictionParams(Declarations):
    """Where the prediction goes."""

    predictionCol = ColumnParam("Output column: the prediction.", default="prediction")


class RegressionParams(PredictionParams):
    """The prediction is a number like the label."""


class ClassificationParams(PredictionParams):
    """Where the scores of the classes go."""

    probabilityCol = ColumnParam("Output column: a vector of the probability of each class.", default="probability")
    rawPredictionCol = ColumnParam("Output column: a vector of the raw score of each class.", default="rawPrediction")


class JobParams(Declarations):
    """How training runs on the cluster."""

    num_workers = JobParam(
        int, "Workers, each a Spark task; auto is one per task slot of the cluster.", default="auto", minimum=1, special=["auto"]
    )
    use_gpu = JobParam(bool, "Train on a GPU of its own for each worker, assigned by Spark.", default=False)
    data_distribution = JobParam(
        str,
        "ShardedByKey: each row on one worker; FullyReplicated: every row on every worker.",
        default="ShardedByKey",
        choices=["ShardedByKey", "FullyReplicated"],
    )
    shardKeyCol = ColumnParam("Rows with the same value in this column go to the same worker.")
    input_mode = JobParam(
        str,
        "File: read all rows, then train on them in random order; Pipe: train while rows arrive, in the order they arrive.",
        default="File",
        choices=["File", "Pipe"],
    )
    launch = JobParam(
        str,
        "barrier: one barrier stage; gang: ordinary tasks that meet at the driver; auto: gang under dynamic allocation, else barrier.",
        default="auto",
        choices=["auto", "barrier", "gang"],
    )
    communicator = JobParam(
        str,
        "Collectives between workers: tcp, which admits only the job's workers; gloo, nccl (torch's) or horovod, which admit whoever "
        "connects; auto is nccl with use_gpu, else tcp.",
        default="auto",
        choices=["auto", "tcp", "gloo", "nccl", "horovod"],
    )
    checkpoint_dir = JobParam(
        str,
        "Where to keep the state after each epoch, on storage every executor reaches (path, hdfs://, s3://); training resumes from it.",
    )
    max_retries = JobParam(int, "How often training is started again after a worker was lost.", default=0, minimum=0)
    seed = JobParam(int, "Seed of everything random.", default=0, minimum=0)
    start_timeout = JobParam(
        float, "Seconds within which all workers must have started once one has (gang).", default=300.0, minimum=0, min_exclusive=True
    )
    collective_timeout = JobParam(
        float,
        "Seconds a worker waits for the others before it gives up; in Pipe mode more than rows may take to arrive.",
        default=600.0,
        minimum=0,
        min_exclusive=True,
    )
    max_shard_bytes = JobParam(
        int,
        "Bytes of rows a worker holds in memory before it spills to disk; auto is half of what it may use.",
        default="auto",
        minimum=1,
        special=["auto"],
    )
    progress = JobParam(
        str, "Progress bar on the driver; auto shows it where output is interactive.", default="auto", choices=["auto", "on", "off"]
    )


class NetworkParams(Declarations):
    """How the training of a network runs."""

    compile = JobParam(
        bool,
        "Compile the network by torch.compile, which takes seconds to minutes and a C++ compiler on every worker; what it cost and gained "
        "is in training_summary.compile.",
        default=False,
    )
    mixed_precision = JobParam(
        bool, "Multiply matrices with 16 bits (bfloat16), which GPUs do faster; parameters keep 32. It needs use_gpu=True.", default=False
    )


class PretrainedParams(Declarations):
    """Weights that a training may start from."""

    pretrained_weights = OwnHyperparameter(
        str, "File with the weights that use_pretrained_model=1 starts from, of safetensors or torch, on any storage of the session."
    )

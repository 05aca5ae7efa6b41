"""Names that Params have elsewhere: MLlib's, xgboost.spark's, scikit-learn's, those of the service's Spark connector."""

from __future__ import annotations

import difflib
from collections.abc import Collection

#: By a name from elsewhere, without underscores and capitals: what stands for it here. Of these a class has some, all, or none.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    # Passes, rounds, iterations.
    "maxiter": ("epochs", "local_lloyd_max_iter", "max_iterations", "num_round"),
    "niter": ("epochs", "num_round"),
    "numiterations": ("epochs", "num_round"),
    "nestimators": ("num_round", "num_trees"),
    "numtrees": ("num_trees", "num_round"),
    "numboostround": ("num_round",),
    "numrounds": ("num_round",),
    # How many of what is looked for.
    "nclusters": ("k",),
    "numclusters": ("k",),
    "ncomponents": ("num_components", "num_topics"),
    "numtopics": ("num_topics",),
    "nneighbors": ("k",),
    "factorsize": ("num_factors",),
    "k": ("k", "num_components", "num_topics"),
    "maxsamples": ("num_samples_per_tree",),
    # Where it starts, when it stops.
    "initmode": ("init_method",),
    "init": ("init_method",),
    "initsteps": ("extra_center_factor",),
    "ninit": ("local_lloyd_num_trials",),
    "initstd": ("factors_init_sigma",),
    "tol": ("tol", "local_lloyd_tol", "early_stopping_tolerance"),
    "docconcentration": ("alpha0",),
    "doctopicprior": ("alpha0",),
    "patience": ("early_stopping_patience", "early_stopping_rounds"),
    "niternochange": ("early_stopping_patience", "early_stopping_rounds"),
    # Penalties and steps.
    "regparam": ("wd", "l1", "lambda", "linear_wd", "factors_wd"),
    "elasticnetparam": ("l1", "wd", "alpha", "lambda"),
    "l1ratio": ("l1", "wd"),
    "reglambda": ("lambda", "wd"),
    "regalpha": ("alpha", "l1"),
    "c": ("wd",),
    "alpha": ("wd", "l1", "alpha0"),
    "stepsize": ("learning_rate", "eta", "linear_lr", "factors_lr"),
    "learningrate": ("learning_rate", "eta", "linear_lr", "factors_lr"),
    "lr": ("learning_rate", "eta", "linear_lr", "factors_lr"),
    "subsamplingrate": ("subsample",),
    "featuresubsetstrategy": ("colsample_bynode", "colsample_bytree"),
    "maxbins": ("max_bin",),
    "mininstancespernode": ("min_child_weight",),
    "mininfogain": ("gamma",),
    "minibatchfraction": ("mini_batch_size",),
    "batchsize": ("mini_batch_size",),
    "fitintercept": ("use_bias",),
    "standardization": ("normalize_data",),
    "solver": ("optimizer", "algorithm_mode"),
    "svdsolver": ("algorithm_mode",),
    "losstype": ("loss", "objective"),
    "losses": ("loss", "objective"),
    "epsilon": ("huber_delta", "loss_insensitivity"),
    "metric": ("index_metric", "eval_metric", "eval_metrics"),
    "distancemeasure": ("index_metric",),
    "algorithm": ("index_type", "algorithm_mode", "booster"),
    "contamination": ("thresholdQuantile", "thresholdDeviations"),
    # How it runs.
    "randomstate": ("seed",),
    "randomseed": ("seed",),
    "njobs": ("num_workers", "nthread"),
    "parallelism": ("num_workers",),
    "device": ("use_gpu",),
    "gpuid": ("use_gpu",),
    "checkpointinterval": ("checkpoint_dir",),
    "checkpointpath": ("checkpoint_dir",),
    "verbose": ("progress",),
    "traininginstancecount": ("num_workers",),
    # Columns.
    "inputcol": ("featuresCol",),
    "inputcols": ("featuresCols",),
    "outputcols": ("outputCol", "predictionCol"),
    "featurecol": ("featuresCol",),
    "targetcol": ("labelCol",),
    "predcol": ("predictionCol",),
    "predprobcol": ("probabilityCol",),
    "rawpredcol": ("rawPredictionCol",),
    "sampleweightcol": ("weightCol",),
    "qidcol": ("groupCol",),
    "predcontribcol": ("contributionsCol",),
    "topicdistributioncol": ("topicDistributionCol",),
    "distancecol": ("distanceCol", "distancesCol"),
}


def hint(unknown: str, known: Collection[str]) -> str:
    """What to say of a name that is none of those known: another spelling of one, what stands for it, or a name that is close.

    Parameters
    ----------
    unknown : str
    known : collection of str

    Returns
    -------
    str
        To follow the complaint; empty where nothing comes near.
    """
    plain = _plain(unknown)
    spelled = [name for name in known if _plain(name) == plain]
    if spelled:
        return f"; did you mean {spelled[0]!r}?"
    meant = [name for name in ELSEWHERE.get(plain, ()) if name in known]
    if meant:
        return f"; here {' and '.join(map(repr, meant))} {'stands' if len(meant) == 1 else 'stand'} for it"
    close = difflib.get_close_matches(unknown, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()

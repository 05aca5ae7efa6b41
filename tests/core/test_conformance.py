"""Every algorithm has the hyperparameters its specification gives it, by name, default and range, and the connector's accessors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sparkml_algos import (
    LDA,
    PCA,
    BlazingTextClassifier,
    BlazingTextWord2Vec,
    DeepAR,
    FactorizationMachinesBinaryClassifier,
    FactorizationMachinesRegressor,
    ImageClassifier,
    IPInsights,
    KMeans,
    KNNClassifier,
    KNNRegressor,
    LinearLearnerBinaryClassifier,
    LinearLearnerMultiClassClassifier,
    LinearLearnerRegressor,
    NeuralTopicModel,
    Object2Vec,
    ObjectDetector,
    RandomCutForest,
    SemanticSegmenter,
    Seq2Seq,
    XGBoostClassifier,
    XGBoostRanker,
    XGBoostRegressor,
)
from sparkml_algos.arrays.hyperparameters import Hyperparameter, InvalidParams, OwnHyperparameter

ALGORITHMS = [
    KMeans,
    PCA,
    LDA,
    LinearLearnerRegressor,
    LinearLearnerBinaryClassifier,
    LinearLearnerMultiClassClassifier,
    FactorizationMachinesRegressor,
    FactorizationMachinesBinaryClassifier,
    KNNClassifier,
    KNNRegressor,
    RandomCutForest,
    NeuralTopicModel,
    Object2Vec,
    ImageClassifier,
    ObjectDetector,
    IPInsights,
    BlazingTextClassifier,
    BlazingTextWord2Vec,
    DeepAR,
    Seq2Seq,
    SemanticSegmenter,
    XGBoostRegressor,
    XGBoostClassifier,
    XGBoostRanker,
]

# Classes for some modes of an algorithm, and what the specification calls these together.
MODES = {BlazingTextWord2Vec: "word2vec", BlazingTextClassifier: "supervised"}

# Objectives by class; the specification names them in its text, and its default is the regressor's. The classifier takes its own from the
# data where it is unset.
OBJECTIVES = {
    XGBoostRegressor: [
        *("reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:logistic", "reg:pseudohubererror", "reg:absoluteerror"),
        *("reg:gamma", "reg:tweedie", "count:poisson", "survival:cox", "survival:aft"),
    ],
    XGBoostClassifier: ["binary:logistic", "binary:logitraw", "binary:hinge", "multi:softprob", "multi:softmax"],
    XGBoostRanker: ["rank:pairwise", "rank:ndcg", "rank:map"],
}

# Required by the service, taken from the data here; the docstring says so.
INFERRED = {"feature_dim", "num_classes", "num_training_samples"}

# Required by the service; these defaults are ours.
DEFAULTED = {("pca", "mini_batch_size"): 5000, ("lda", "mini_batch_size"): 5000, ("xgboost", "num_round"): 100}

# The table does not say whether the upper end belongs to the range; the service's client libraries exclude it, and so do we.
OPEN_UPPER_ENDS = {"beta_1", "beta_2", "momentum"}

# Where the table has no range, but values beyond this one mean nothing; what a list's items are is told in words. Here small images may be
# looked at too, as CPUs can.
MEANINGFUL = {
    "object_detection": {"image_shape": {"min": 32}},
    "deepar": {
        "cardinality": {"min": 1},
        "dropout_rate": {"min": 0, "max": 1, "max_exclusive": True},
        "early_stopping_patience": {"min": 1},
        "learning_rate": {"min": 0, "min_exclusive": True},
        "num_eval_samples": {"min": 1},
        "test_quantiles": {"min": 0, "max": 1, "min_exclusive": True, "max_exclusive": True},
    },
}

# What follows ``set`` and ``get`` in the Spark connector of the service.
ACCESSORS = {
    "kmeans": {
        "feature_dim": "FeatureDim",
        "k": "K",
        "epochs": "Epochs",
        "eval_metrics": "EvalMetrics",
        "extra_center_factor": "CenterFactor",
        "half_life_time_size": "HalflifeTime",
        "init_method": "InitMethod",
        "local_lloyd_init_method": "LocalInitMethod",
        "local_lloyd_max_iter": "MaxIter",
        "local_lloyd_num_trials": "TrialNum",
        "local_lloyd_tol": "Tol",
        "mini_batch_size": "MiniBatchSize",
    },
    "pca": {
        "feature_dim": "FeatureDim",
        "num_components": "NumComponents",
        "mini_batch_size": "MiniBatchSize",
        "algorithm_mode": "AlgorithmMode",
        "extra_components": "ExtraComponents",
        "subtract_mean": "SubtractMean",
    },
    "knn": {
        "feature_dim": "FeatureDim",
        "k": "K",
        "predictor_type": "PredictorType",
        "sample_size": "SampleSize",
        "dimension_reduction_target": "DimensionReductionTarget",
        "dimension_reduction_type": "DimensionReductionType",
        "faiss_index_ivf_nlists": "FaissIndexIvfNlists",
        "faiss_index_pq_m": "FaissIndexPqM",
        "index_metric": "IndexMetric",
        "index_type": "IndexType",
        "mini_batch_size": "MiniBatchSize",
    },
    "lda": {
        "num_topics": "NumTopics",
        "feature_dim": "FeatureDim",
        "mini_batch_size": "MiniBatchSize",
        "alpha0": "Alpha0",
        "max_restarts": "MaxRestarts",
        "max_iterations": "MaxIterations",
        "tol": "Tol",
    },
    "linear_learner": {
        "feature_dim": "FeatureDim",
        "mini_batch_size": "MiniBatchSize",
        "epochs": "Epochs",
        "predictor_type": "PredictorType",
        "use_bias": "UseBias",
        "num_models": "NumModels",
        "num_calibration_samples": "NumCalibrationSamples",
        "init_method": "InitMethod",
        "init_scale": "InitScale",
        "init_sigma": "InitSigma",
        "init_bias": "InitBias",
        "optimizer": "Optimizer",
        "loss": "Loss",
        "wd": "Wd",
        "l1": "L1",
        "momentum": "Momentum",
        "learning_rate": "LearningRate",
        "beta_1": "Beta1",
        "beta_2": "Beta2",
        "bias_lr_mult": "BiasLrMult",
        "bias_wd_mult": "BiasWdMult",
        "use_lr_scheduler": "UseLrScheduler",
        "lr_scheduler_step": "LrSchedulerStep",
        "lr_scheduler_factor": "LrSchedulerFactor",
        "lr_scheduler_minimum_lr": "LrSchedulerMinimumLr",
        "normalize_data": "NormalizeData",
        "normalize_label": "NormalizeLabel",
        "unbias_data": "UnbiasData",
        "unbias_label": "UnbiasLabel",
        "num_point_for_scaler": "NumPointForScaler",
        "early_stopping_patience": "EarlyStoppingPatience",
        "early_stopping_tolerance": "EarlyStoppingTolerance",
        "margin": "Margin",
        "quantile": "Quantile",
        "loss_insensitivity": "LossInsensitivity",
        "huber_delta": "HuberDelta",
        "f_beta": "FBeta",
        "binary_classifier_model_selection_criteria": "BinaryClassifierModelSelectionCriteria",
        "target_recall": "TargetRecall",
        "target_precision": "TargetPrecision",
        "positive_example_weight_mult": "PositiveExampleWeightMult",
        "num_classes": "NumClasses",
        "accuracy_top_k": "AccuracyTopK",
        "balance_multiclass_weights": "BalanceMultiClassWeights",
    },
    "factorization_machines": {
        "feature_dim": "FeatureDim",
        "num_factors": "NumFactors",
        "predictor_type": "PredictorType",
        "epochs": "Epochs",
        "mini_batch_size": "MiniBatchSize",
        "clip_gradient": "ClipGradient",
        "eps": "Eps",
        "rescale_grad": "RescaleGrad",
        "bias_lr": "BiasLr",
        "linear_lr": "LinearLr",
        "factors_lr": "FactorsLr",
        "bias_wd": "BiasWd",
        "linear_wd": "LinearWd",
        "factors_wd": "FactorsWd",
        "bias_init_method": "BiasInitMethod",
        "bias_init_scale": "BiasInitScale",
        "bias_init_sigma": "BiasInitSigma",
        "bias_init_value": "BiasInitValue",
        "linear_init_method": "LinearInitMethod",
        "linear_init_scale": "LinearInitScale",
        "linear_init_sigma": "LinearInitSigma",
        "linear_init_value": "LinearInitValue",
        "factors_init_method": "FactorsInitMethod",
        "factors_init_scale": "FactorsInitScale",
        "factors_init_sigma": "FactorsInitSigma",
        "factors_init_value": "FactorsInitValue",
    },
    "random_cut_forest": {
        "feature_dim": "FeatureDim",
        "eval_metrics": "EvalMetrics",
        "num_samples_per_tree": "NumSamplesPerTree",
        "num_trees": "NumTrees",
    },
    # The connector has none for it; named as it names the others.
    "ntm": {
        "feature_dim": "FeatureDim",
        "num_topics": "NumTopics",
        "batch_norm": "BatchNorm",
        "clip_gradient": "ClipGradient",
        "encoder_layers": "EncoderLayers",
        "encoder_layers_activation": "EncoderLayersActivation",
        "epochs": "Epochs",
        "learning_rate": "LearningRate",
        "mini_batch_size": "MiniBatchSize",
        "num_patience_epochs": "NumPatienceEpochs",
        "optimizer": "Optimizer",
        "rescale_gradient": "RescaleGradient",
        "sub_sample": "SubSample",
        "tolerance": "Tolerance",
        "weight_decay": "WeightDecay",
    },
    # The connector has none; named as it names the others.
    "ip_insights": {
        "num_entity_vectors": "NumEntityVectors",
        "vector_dim": "VectorDim",
        "batch_metrics_publish_interval": "BatchMetricsPublishInterval",
        "epochs": "Epochs",
        "learning_rate": "LearningRate",
        "mini_batch_size": "MiniBatchSize",
        "num_ip_encoder_layers": "NumIpEncoderLayers",
        "random_negative_sampling_rate": "RandomNegativeSamplingRate",
        "shuffled_negative_sampling_rate": "ShuffledNegativeSamplingRate",
        "weight_decay": "WeightDecay",
    },
    "seq2seq": {
        "batch_size": "BatchSize",
        "beam_size": "BeamSize",
        "bleu_sample_size": "BleuSampleSize",
        "bucket_width": "BucketWidth",
        "bucketing_enabled": "BucketingEnabled",
        "checkpoint_frequency_num_batches": "CheckpointFrequencyNumBatches",
        "checkpoint_threshold": "CheckpointThreshold",
        "clip_gradient": "ClipGradient",
        "cnn_activation_type": "CnnActivationType",
        "cnn_hidden_dropout": "CnnHiddenDropout",
        "cnn_kernel_width_decoder": "CnnKernelWidthDecoder",
        "cnn_kernel_width_encoder": "CnnKernelWidthEncoder",
        "cnn_num_hidden": "CnnNumHidden",
        "decoder_type": "DecoderType",
        "embed_dropout_source": "EmbedDropoutSource",
        "embed_dropout_target": "EmbedDropoutTarget",
        "encoder_type": "EncoderType",
        "fixed_rate_lr_half_life": "FixedRateLrHalfLife",
        "learning_rate": "LearningRate",
        "loss_type": "LossType",
        "lr_scheduler_type": "LrSchedulerType",
        "max_num_batches": "MaxNumBatches",
        "max_num_epochs": "MaxNumEpochs",
        "max_seq_len_source": "MaxSeqLenSource",
        "max_seq_len_target": "MaxSeqLenTarget",
        "min_num_epochs": "MinNumEpochs",
        "momentum": "Momentum",
        "num_embed_source": "NumEmbedSource",
        "num_embed_target": "NumEmbedTarget",
        "num_layers_decoder": "NumLayersDecoder",
        "num_layers_encoder": "NumLayersEncoder",
        "optimized_metric": "OptimizedMetric",
        "optimizer_type": "OptimizerType",
        "plateau_reduce_lr_factor": "PlateauReduceLrFactor",
        "plateau_reduce_lr_threshold": "PlateauReduceLrThreshold",
        "rnn_attention_in_upper_layers": "RnnAttentionInUpperLayers",
        "rnn_attention_num_hidden": "RnnAttentionNumHidden",
        "rnn_attention_type": "RnnAttentionType",
        "rnn_cell_type": "RnnCellType",
        "rnn_decoder_state_init": "RnnDecoderStateInit",
        "rnn_first_residual_layer": "RnnFirstResidualLayer",
        "rnn_num_hidden": "RnnNumHidden",
        "rnn_residual_connections": "RnnResidualConnections",
        "rnn_decoder_hidden_dropout": "RnnDecoderHiddenDropout",
        "training_metric": "TrainingMetric",
        "weight_decay": "WeightDecay",
        "weight_init_scale": "WeightInitScale",
        "weight_init_type": "WeightInitType",
        "xavier_factor_type": "XavierFactorType",
    },
    "semantic_segmentation": {
        "backbone": "Backbone",
        "use_pretrained_model": "UsePretrainedModel",
        "algorithm": "Algorithm",
        "num_classes": "NumClasses",
        "num_training_samples": "NumTrainingSamples",
        "base_size": "BaseSize",
        "crop_size": "CropSize",
        "early_stopping": "EarlyStopping",
        "early_stopping_min_epochs": "EarlyStoppingMinEpochs",
        "early_stopping_patience": "EarlyStoppingPatience",
        "early_stopping_tolerance": "EarlyStoppingTolerance",
        "epochs": "Epochs",
        "gamma1": "Gamma1",
        "gamma2": "Gamma2",
        "learning_rate": "LearningRate",
        "lr_scheduler": "LrScheduler",
        "lr_scheduler_factor": "LrSchedulerFactor",
        "lr_scheduler_step": "LrSchedulerStep",
        "mini_batch_size": "MiniBatchSize",
        "momentum": "Momentum",
        "optimizer": "Optimizer",
        "syncbn": "Syncbn",
        "validation_mini_batch_size": "ValidationMiniBatchSize",
        "weight_decay": "WeightDecay",
    },
    "object2vec": {
        **{
            f"enc{side}_{name}": f"Enc{side}{accessor}"
            for side in (0, 1)
            for name, accessor in {
                "max_seq_len": "MaxSeqLen",
                "vocab_size": "VocabSize",
                "network": "Network",
                "cnn_filter_width": "CnnFilterWidth",
                "layers": "Layers",
                "token_embedding_dim": "TokenEmbeddingDim",
                "pretrained_embedding_file": "PretrainedEmbeddingFile",
                "vocab_file": "VocabFile",
                "freeze_pretrained_embedding": "FreezePretrainedEmbedding",
            }.items()
        },
        "bucket_width": "BucketWidth",
        "comparator_list": "ComparatorList",
        "dropout": "Dropout",
        "early_stopping_patience": "EarlyStoppingPatience",
        "early_stopping_tolerance": "EarlyStoppingTolerance",
        "enc_dim": "EncDim",
        "epochs": "Epochs",
        "learning_rate": "LearningRate",
        "mini_batch_size": "MiniBatchSize",
        "mlp_activation": "MlpActivation",
        "mlp_dim": "MlpDim",
        "mlp_layers": "MlpLayers",
        "negative_sampling_rate": "NegativeSamplingRate",
        "num_classes": "NumClasses",
        "optimizer": "Optimizer",
        "output_layer": "OutputLayer",
        "tied_token_embedding_weight": "TiedTokenEmbeddingWeight",
        "token_embedding_storage_type": "TokenEmbeddingStorageType",
        "weight_decay": "WeightDecay",
    },
    "image_classification": {
        "num_classes": "NumClasses",
        "num_training_samples": "NumTrainingSamples",
        "augmentation_type": "AugmentationType",
        "beta_1": "Beta1",
        "beta_2": "Beta2",
        "checkpoint_frequency": "CheckpointFrequency",
        "early_stopping": "EarlyStopping",
        "early_stopping_min_epochs": "EarlyStoppingMinEpochs",
        "early_stopping_patience": "EarlyStoppingPatience",
        "early_stopping_tolerance": "EarlyStoppingTolerance",
        "epochs": "Epochs",
        "eps": "Eps",
        "gamma": "Gamma",
        "image_shape": "ImageShape",
        "kv_store": "KvStore",
        "learning_rate": "LearningRate",
        "lr_scheduler_factor": "LrSchedulerFactor",
        "lr_scheduler_step": "LrSchedulerStep",
        "mini_batch_size": "MiniBatchSize",
        "momentum": "Momentum",
        "multi_label": "MultiLabel",
        "num_layers": "NumLayers",
        "optimizer": "Optimizer",
        "precision_dtype": "PrecisionDtype",
        "resize": "Resize",
        "top_k": "TopK",
        "use_pretrained_model": "UsePretrainedModel",
        "use_weighted_loss": "UseWeightedLoss",
        "weight_decay": "WeightDecay",
    },
    "object_detection": {
        "base_network": "BaseNetwork",
        "early_stopping": "EarlyStopping",
        "early_stopping_min_epochs": "EarlyStoppingMinEpochs",
        "early_stopping_patience": "EarlyStoppingPatience",
        "early_stopping_tolerance": "EarlyStoppingTolerance",
        "epochs": "Epochs",
        "freeze_layer_pattern": "FreezeLayerPattern",
        "image_shape": "ImageShape",
        "kv_store": "KvStore",
        "label_width": "LabelWidth",
        "learning_rate": "LearningRate",
        "lr_scheduler_factor": "LrSchedulerFactor",
        "lr_scheduler_step": "LrSchedulerStep",
        "mini_batch_size": "MiniBatchSize",
        "momentum": "Momentum",
        "nms_threshold": "NmsThreshold",
        "num_classes": "NumClasses",
        "num_training_samples": "NumTrainingSamples",
        "optimizer": "Optimizer",
        "overlap_threshold": "OverlapThreshold",
        "use_pretrained_model": "UsePretrainedModel",
        "weight_decay": "WeightDecay",
    },
    "deepar": {
        "context_length": "ContextLength",
        "epochs": "Epochs",
        "prediction_length": "PredictionLength",
        "time_freq": "TimeFreq",
        "cardinality": "Cardinality",
        "dropout_rate": "DropoutRate",
        "early_stopping_patience": "EarlyStoppingPatience",
        "embedding_dimension": "EmbeddingDimension",
        "learning_rate": "LearningRate",
        "likelihood": "Likelihood",
        "mini_batch_size": "MiniBatchSize",
        "num_cells": "NumCells",
        "num_dynamic_feat": "NumDynamicFeat",
        "num_eval_samples": "NumEvalSamples",
        "num_layers": "NumLayers",
        "test_quantiles": "TestQuantiles",
    },
    "blazingtext": {
        "mode": "Mode",
        "batch_size": "BatchSize",
        "buckets": "Buckets",
        "early_stopping": "EarlyStopping",
        "epochs": "Epochs",
        "evaluation": "Evaluation",
        "learning_rate": "LearningRate",
        "min_char": "MinChar",
        "min_count": "MinCount",
        "max_char": "MaxChar",
        "min_epochs": "MinEpochs",
        "negative_samples": "NegativeSamples",
        "patience": "Patience",
        "sampling_threshold": "SamplingThreshold",
        "subwords": "Subwords",
        "vector_dim": "VectorDim",
        "window_size": "WindowSize",
        "word_ngrams": "WordNgrams",
    },
    "xgboost": {
        "booster": "Booster",
        "nthread": "NThread",
        "eta": "Eta",
        "gamma": "Gamma",
        "max_depth": "MaxDepth",
        "min_child_weight": "MinChildWeight",
        "max_delta_step": "MaxDeltaStep",
        "subsample": "Subsample",
        "colsample_bytree": "ColSampleByTree",
        "colsample_bylevel": "ColSampleByLevel",
        "lambda": "Lambda",
        "alpha": "Alpha",
        "tree_method": "TreeMethod",
        "sketch_eps": "SketchEps",
        "scale_pos_weight": "ScalePosWeight",
        "updater": "Updater",
        "refresh_leaf": "RefreshLeaf",
        "process_type": "ProcessType",
        "grow_policy": "GrowPolicy",
        "max_leaves": "MaxLeaves",
        "max_bin": "MaxBin",
        "sample_type": "SampleType",
        "normalize_type": "NormalizeType",
        "rate_drop": "RateDrop",
        "one_drop": "OneDrop",
        "skip_drop": "SkipDrop",
        "lambda_bias": "LambdaBias",
        "tweedie_variance_power": "TweedieVariancePower",
        "objective": "Objective",
        "num_class": "NumClasses",
        "base_score": "BaseScore",
        "eval_metric": "EvalMetric",
        "seed": "Seed",
        "num_round": "NumRound",
        # Younger than the connector; named as it names the others.
        "colsample_bynode": "ColSampleByNode",
        "csv_weights": "CsvWeights",
        "deterministic_histogram": "DeterministicHistogram",
        "early_stopping_rounds": "EarlyStoppingRounds",
        "interaction_constraints": "InteractionConstraints",
        "monotone_constraints": "MonotoneConstraints",
        "single_precision_histogram": "SinglePrecisionHistogram",
        "verbosity": "Verbosity",
    },
}

TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list}


def specified(algorithm):
    """The entries of the specification that concern the class, by name, in one form, with our defaults where the service has none."""
    name = algorithm.algorithm().name
    file = Path(__file__).parents[1] / "specification" / f"{name}.json"
    specification = json.loads(file.read_text())
    task = predictor_type(algorithm)
    losses = {name: entry["values"] for name, entry in specification.get("loss_by_predictor_type", {}).items()}
    entries = [in_one_form(entry, task, losses) for entry in specification["hyperparameters"]]
    for entry in entries:
        if entry["name"] == "objective":
            objectives = OBJECTIVES[algorithm]
            entry |= {"choices": objectives, "default": None if algorithm is XGBoostClassifier else objectives[0]}
    found = {entry["name"]: entry for entry in entries if concerns(entry, task, losses)}
    if modes := MODES.get(algorithm):
        found = {name: entry for name, entry in found.items() if name in specification["hyperparameters_by_mode"][modes]}
        is_supervised = modes == "supervised"
        found["mode"] |= {"choices": [mode for mode in found["mode"]["choices"] if (mode == "supervised") == is_supervised]}
        found["mode"] |= {"default": "supervised", "required": False} if is_supervised else {}
    for entry, meaningful in MEANINGFUL.get(name, {}).items():
        found[entry] |= meaningful
    for (owner, required), default in DEFAULTED.items():
        if owner == name:
            found[required] |= {"required": False, "default": default}
    return found


def predictor_type(algorithm):
    """The task of a class whose algorithm has several."""
    param = algorithm.declared.get("predictor_type")
    return param and param.default


def concerns(entry, task, losses):
    """Whether a hyperparameter of an algorithm with several tasks means anything in this one."""
    condition = entry.get("applies_when", "")
    if "predictor_type" in condition:
        return f"predictor_type == {task}" in condition
    if entry["name"] == "num_calibration_samples":  # thresholds are calibrated for two classes
        return task == "binary_classifier"
    if condition == "classification":
        return task != "regressor"
    if condition.startswith("loss ") or "model_selection" in condition:
        named = set(re.findall(r"\w+", condition))
        return bool(named & set(losses[task])) or "model_selection" in condition and task == "binary_classifier"
    return True


def in_one_form(entry, task, losses):
    """Truth values without their spelling as choices, choices and defaults of one task."""
    entry = dict(entry)
    if entry["type"] == "bool" and entry["choices"]:
        entry["special_values"] = [choice for choice in entry["choices"] if choice.lower() not in ("true", "false")]
        entry["choices"] = None
    if entry["name"] == "predictor_type":
        entry |= {"choices": [task], "default": task, "required": False}
    if entry["name"] == "loss":
        entry["choices"] = [choice for choice in entry["choices"] if choice in losses[task]]
    if entry["name"] in OPEN_UPPER_ENDS and entry["max"] is not None:
        entry["max_exclusive"] = True
    if entry["type"] == "list" and isinstance(entry["default"], str) and entry["default"] not in entry.get("special_values", []):
        entry["default"] = re.split(r",\s*", entry["default"])
    return entry | enforced(entry)


def enforced(entry):
    """The range that the open implementation enforces where the table gives a wider one or none."""
    notes = f"{entry.get('bound_note', '')}; {entry.get('default_note', '')}"
    if least := re.search(r"open implementation enforces >= (\d+)", notes):
        return {"min": int(least[1])}
    return {"min": 0, "max": 1, "min_exclusive": True} if "open implementation enforces (0,1]" in notes else {}


def declared(algorithm):
    return {
        name: param
        for name, param in algorithm.declared.items()
        if isinstance(param, Hyperparameter) and not isinstance(param, OwnHyperparameter)
    }


ENTRIES = [pytest.param(cls, entry, id=f"{cls.__name__}-{name}") for cls in ALGORITHMS for name, entry in specified(cls).items()]
every_algorithm = pytest.mark.parametrize("cls", ALGORITHMS)
every_hyperparameter = pytest.mark.parametrize(("cls", "entry"), ENTRIES)


@every_algorithm
def test_the_hyperparameters_are_those_of_the_specification(cls):
    assert set(declared(cls)) == set(specified(cls))


@every_hyperparameter
def test_a_hyperparameter_is_declared_as_specified(cls, entry):
    param = declared(cls)[entry["name"]]
    assert {
        "type": param.type,
        "default": param.default,
        "required": param.required,
        "min": param.minimum,
        "max": param.maximum,
        "min_exclusive": param.min_exclusive,
        "max_exclusive": param.max_exclusive,
        "choices": param.choices,
        "special": param.special,
    } == {
        "type": TYPES[entry["type"]],
        "default": entry["default"],
        "required": entry["required"] and entry["name"] not in INFERRED,
        "min": entry["min"],
        "max": entry["max"],
        "min_exclusive": entry["min_exclusive"],
        "max_exclusive": entry["max_exclusive"],
        "choices": entry["choices"],
        "special": entry.get("special_values", []),
    }


def inside(entry):
    """Values at the edge of what the specification allows."""
    step = 1 if entry["type"] == "int" else 1e-9
    if entry["type"] == "bool":
        return [False, True, *entry.get("special_values", [])]
    if entry["choices"]:
        return [[choice] if entry["type"] == "list" else choice for choice in entry["choices"]]
    bounds = [(entry["min"], step * entry["min_exclusive"]), (entry["max"], -step * entry["max_exclusive"])]
    limited = [bound + inward for bound, inward in bounds if bound is not None]
    if entry["type"] == "list":  # the range is that of its items
        limited = [[bound] for bound in limited]
    anything = {"int": -1, "float": -1.5, "str": "a", "list": ["a"]}[entry["type"]]
    return (limited or [anything]) + entry.get("special_values", [])


def outside(entry):
    """Values just beyond what the specification allows."""
    step = 1 if entry["type"] == "int" else 1e-9
    if entry["choices"]:
        return ["another", ["another"]]
    bounds = [(entry["min"], -step * (not entry["min_exclusive"])), (entry["max"], step * (not entry["max_exclusive"]))]
    of_another_type = {"str": [7], "list": [7]}.get(entry["type"], ["another"])
    beyond = [bound + outward for bound, outward in bounds if bound is not None]
    return ([[bound] for bound in beyond] if entry["type"] == "list" else beyond) + of_another_type


@every_hyperparameter
def test_a_value_at_the_edge_of_the_specified_range_is_taken(cls, entry):
    for value in inside(entry):
        assert cls(**{entry["name"]: value}).value(entry["name"]) == value


@every_hyperparameter
def test_a_value_beyond_the_specified_range_is_refused(cls, entry):
    for value in outside(entry):
        with pytest.raises(InvalidParams, match=f"{entry['name']} must be"):
            cls(**{entry["name"]: value})


@every_hyperparameter
def test_a_hyperparameter_has_the_accessors_of_the_connector(cls, entry):
    accessor, value = ACCESSORS[cls.algorithm().name][entry["name"]], inside(entry)[0]
    estimator = cls()
    assert getattr(estimator, f"set{accessor}")(value) is estimator
    assert getattr(estimator, f"get{accessor}")() == value


@every_hyperparameter
def test_a_hyperparameter_is_documented_in_the_class(cls, entry):
    assert f"{entry['name']} : {declared(cls)[entry['name']].describe()}, " in cls.__doc__


@every_algorithm
def test_what_is_inferred_is_documented_as_taken_from_the_data(cls):
    for name in {name for name in INFERRED & set(declared(cls)) if specified(cls)[name]["default"] is None}:
        assert "taken from the data" in declared(cls)[name].doc


@every_algorithm
def test_missing_required_hyperparameters_are_the_problems_of_a_bare_estimator(cls):
    required = [name for name, entry in specified(cls).items() if entry["required"] and name not in INFERRED]
    missed = [problem.split(" is required")[0] for problem in cls().problems()]
    assert [name for name in missed if not name.endswith("Col")] == required


@every_algorithm
def test_a_table_of_strings_as_the_service_takes_it_works_as_keyword_arguments(cls):
    table = {name: entry["default"] for name, entry in specified(cls).items() if entry["default"] is not None}
    as_text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in table.items()}
    values = cls(**as_text).hyperparameters()
    assert {name: values[name] for name in table} == table

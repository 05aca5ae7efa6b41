"""Hyperparameters of the linear learner, by the service's names, and the columns it reads."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import Declarations, Hyperparameter, OwnHyperparameter
from sparkml_algos.rows import fields

MAX_CLASSES = 1_000_000


FIELDS = (fields.features(), fields.label(), fields.weight(), fields.validation())


class LinearLearnerParams(Declarations):
    """What all three kinds of linear learner have in common."""

    reads = FIELDS

    feature_dim = Hyperparameter(
        int, "Number of features; taken from the data and, where given, checked.", default="auto", minimum=1, special=["auto"]
    )
    epochs = Hyperparameter(int, "Most passes over the training rows.", default=15, minimum=1)
    mini_batch_size = Hyperparameter(int, "Rows per mini-batch, of all workers together.", default=1000, minimum=1)
    min_steps_per_epoch = OwnHyperparameter(
        int,
        "About how many steps an epoch has at least: where rows make fewer mini-batches, it has several passes over them.",
        default=40,
        minimum=1,
    )
    num_models = Hyperparameter(
        int,
        "Models trained side by side, the first with exactly the given settings, others with nearby ones; auto is 32.",
        default="auto",
        minimum=1,
        special=["auto"],
    )
    use_bias = Hyperparameter(bool, "Fit an intercept.", default=True)
    optimizer = Hyperparameter(str, "Optimizer; auto is adam.", default="auto", choices=["auto", "sgd", "adam", "rmsprop"])
    learning_rate = Hyperparameter(
        float,
        "Step size at the start; auto is 1 / √features, with rmsprop half of it.",
        default="auto",
        minimum=0,
        min_exclusive=True,
        special=["auto"],
    )
    momentum = Hyperparameter(
        float,
        "Share of the last step that is repeated in the next (sgd); auto is 0.",
        default="auto",
        minimum=0,
        maximum=1,
        max_exclusive=True,
        special=["auto"],
    )
    beta_1 = Hyperparameter(
        float,
        "Share of the past in the running mean of gradients (adam); auto is 0.9.",
        default="auto",
        minimum=0,
        maximum=1,
        max_exclusive=True,
        special=["auto"],
        accessor="Beta1",
    )
    beta_2 = Hyperparameter(
        float,
        "Share of the past in the running mean of squared gradients (adam); auto is 0.999.",
        default="auto",
        minimum=0,
        maximum=1,
        max_exclusive=True,
        special=["auto"],
        accessor="Beta2",
    )
    bias_lr_mult = Hyperparameter(
        float,
        "Learning rate of the bias relative to that of the weights; auto is √features, at most 10.",
        default="auto",
        minimum=0,
        min_exclusive=True,
        special=["auto"],
    )
    l1 = Hyperparameter(
        float, "Weight of the L1 penalty; auto is 0, and other values in other models.", default="auto", minimum=0, special=["auto"]
    )
    wd = Hyperparameter(
        float, "Weight of the L2 penalty; auto is 0, and other values in other models.", default="auto", minimum=0, special=["auto"]
    )
    bias_wd_mult = Hyperparameter(
        float, "L2 penalty of the bias relative to that of the weights; auto is 0.", default="auto", minimum=0, special=["auto"]
    )
    use_lr_scheduler = Hyperparameter(bool, "Lower the learning rate in the course of the training.", default=True)
    lr_scheduler_step = Hyperparameter(
        int,
        "Steps from one reduction of the learning rate to the next; auto makes 100 reductions in the whole training.",
        default="auto",
        minimum=1,
        special=["auto"],
    )
    lr_scheduler_factor = Hyperparameter(
        float,
        "What a reduction multiplies the learning rate by; auto leaves a fiftieth of it at the end.",
        default="auto",
        minimum=0,
        maximum=1,
        min_exclusive=True,
        max_exclusive=True,
        special=["auto"],
    )
    lr_scheduler_minimum_lr = Hyperparameter(
        float, "No reduction goes below this learning rate; auto is 1e-5.", default="auto", minimum=0, min_exclusive=True, special=["auto"]
    )
    init_method = Hyperparameter(
        str,
        "Weights start uniform in ±init_scale, or normal with deviation init_sigma.",
        default="uniform",
        choices=["uniform", "normal"],
    )
    init_scale = Hyperparameter(float, "Largest absolute weight of a uniform start.", default=0.07, minimum=0, min_exclusive=True)
    init_sigma = Hyperparameter(float, "Standard deviation of the weights of a normal start.", default=0.01, minimum=0, min_exclusive=True)
    init_bias = Hyperparameter(float, "Bias at the start, for normalised features.", default=0)
    normalize_data = Hyperparameter(bool, "Train on features of mean 0 and deviation 1; auto does.", default=True, special=["auto"])
    unbias_data = Hyperparameter(bool, "Train on features of mean 0; auto does so with use_bias.", default="auto", special=["auto"])
    num_point_for_scaler = Hyperparameter(int, "Rows sampled for means and deviations.", default=10_000, minimum=1)
    early_stopping_patience = Hyperparameter(
        int, "Epochs without gain after which training stops; more than epochs switches that off.", default=3, minimum=1
    )
    early_stopping_tolerance = Hyperparameter(
        float,
        "Gain, relative to the best value so far, below which an epoch counts as without.",
        default=0.001,
        minimum=0,
        min_exclusive=True,
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if not found and not self.value("use_bias"):
            unbiased = [name for name in ("unbias_data", "unbias_label") if name in self.declared and self.value(name) is True]
            found += [f"{name}=True needs use_bias=True: without a bias the shift cannot be undone" for name in unbiased]
        return found


class LinearLearnerRegressorParams(LinearLearnerParams):
    """What the regressor has besides."""

    predictor_type = Hyperparameter(str, "Is the class.", default="regressor", choices=["regressor"])
    loss = Hyperparameter(
        str,
        "Loss; auto is squared_loss.",
        default="auto",
        choices=[
            "auto",
            "squared_loss",
            "absolute_loss",
            "eps_insensitive_squared_loss",
            "eps_insensitive_absolute_loss",
            "quantile_loss",
            "huber_loss",
        ],
    )
    quantile = Hyperparameter(float, "Chance that the label lies below the prediction (quantile_loss).", default=0.5, minimum=0, maximum=1)
    huber_delta = Hyperparameter(
        float,
        "Error, in deviations of the label where that is normalised, beyond which huber_loss is linear.",
        default=1.0,
        minimum=0,
        min_exclusive=True,
    )
    loss_insensitivity = Hyperparameter(
        float,
        "Error up to which the eps_insensitive losses are 0, in deviations of the label where that is normalised.",
        default=0.01,
        minimum=0,
        min_exclusive=True,
    )
    normalize_label = Hyperparameter(bool, "Train on a label of mean 0 and deviation 1; auto does.", default="auto", special=["auto"])
    unbias_label = Hyperparameter(bool, "Train on a label of mean 0; auto does so with use_bias.", default="auto", special=["auto"])


class LinearLearnerBinaryClassifierParams(LinearLearnerParams):
    """What the classifier for two classes has besides."""

    predictor_type = Hyperparameter(str, "Is the class.", default="binary_classifier", choices=["binary_classifier"])
    loss = Hyperparameter(str, "Loss; auto is logistic.", default="auto", choices=["auto", "logistic", "hinge_loss"])
    margin = Hyperparameter(float, "Margin of hinge_loss.", default=1.0, minimum=0, min_exclusive=True)
    positive_example_weight_mult = Hyperparameter(
        float,
        "What rows of class 1 weigh in the loss; balanced is negatives / positives; auto tries 1, balanced and its root.",
        default=1.0,
        minimum=0,
        min_exclusive=True,
        special=["balanced", "auto"],
    )
    binary_classifier_model_selection_criteria = Hyperparameter(
        str,
        "What decides between models and thresholds.",
        default="accuracy",
        choices=["accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"],
    )
    target_recall = Hyperparameter(float, "Recall that precision_at_target_recall holds.", default=0.8, minimum=0, maximum=1)
    target_precision = Hyperparameter(float, "Precision that recall_at_target_precision holds.", default=0.8, minimum=0, maximum=1)
    f_beta = Hyperparameter(float, "Beta of the F score.", default=1.0, minimum=0, min_exclusive=True, accessor="FBeta", on_model=True)
    num_calibration_samples = Hyperparameter(
        int, "Rows the threshold is calibrated on; auto is at most 100,000.", default="auto", minimum=1, special=["auto"]
    )


class LinearLearnerMultiClassClassifierParams(LinearLearnerParams):
    """What the classifier for many classes has besides."""

    predictor_type = Hyperparameter(str, "Is the class.", default="multiclass_classifier", choices=["multiclass_classifier"])
    num_classes = Hyperparameter(int, "Number of classes; taken from the data and, where given, checked.", minimum=3, maximum=MAX_CLASSES)
    loss = Hyperparameter(str, "Loss; auto is softmax_loss.", default="auto", choices=["auto", "softmax_loss"])
    balance_multiclass_weights = Hyperparameter(
        bool,
        "Let rows weigh inversely to the frequency of their class.",
        default=False,
        accessor="BalanceMultiClassWeights",
    )
    accuracy_top_k = Hyperparameter(
        int,
        "A row counts as right in multiclass_top_k_accuracy if its label is among so many best scores.",
        default=3,
        minimum=1,
        on_model=True,
    )
    f_beta = Hyperparameter(float, "Beta of the F score.", default=1.0, minimum=0, min_exclusive=True, accessor="FBeta", on_model=True)

    def problems(self) -> list[str]:
        found = super().problems()
        arrives_late = "input_mode" in self.declared and self.value("input_mode") == "Pipe" if not found else False
        if arrives_late and self.value("num_classes") is None:
            found.append("num_classes is required with input_mode='Pipe': training starts before all labels are known")
        return found

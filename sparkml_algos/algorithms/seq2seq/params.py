"""Hyperparameters of sequence to sequence, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.algorithms.seq2seq.settings import CNN, RNN, contradictions
from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.rows import fields
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.lists import Sentence

#: The two sides.
ROLES = ("source", "target")

FIELDS = (
    Field(
        "source",
        Sentence(),
        "What is translated: a string of words with blanks between them, an array of words, or an array of their ids.",
        default="source",
        scoring=True,
        evaluating=True,
    ),
    Field("target", Sentence(), "Its translation, in a form of its own.", default="target", evaluating=True),
    fields.validation(),
)


class Seq2SeqParams(PredictionParams):
    """Hyperparameters and columns of `Seq2Seq` and `Seq2SeqModel`."""

    reads = FIELDS

    encoder_type = Hyperparameter(str, "Encoder: recurrent or convolutional.", default=RNN, choices=[RNN, CNN])
    decoder_type = Hyperparameter(str, "Decoder: recurrent or convolutional.", default=RNN, choices=[RNN, CNN])
    num_layers_encoder = Hyperparameter(int, "Layers of the encoder.", default=1, minimum=1)
    num_layers_decoder = Hyperparameter(int, "Layers of the decoder.", default=1, minimum=1)
    num_embed_source = Hyperparameter(int, "Numbers of a source word's embedding.", default=512, minimum=1)
    num_embed_target = Hyperparameter(int, "Numbers of a target word's embedding.", default=512, minimum=1)
    embed_dropout_source = Hyperparameter(
        float, "Share of the numbers of source embeddings set to 0 at random in training.", default=0.0, minimum=0.0, maximum=1.0
    )
    embed_dropout_target = Hyperparameter(float, "The same of target embeddings.", default=0.0, minimum=0.0, maximum=1.0)
    rnn_cell_type = Hyperparameter(str, "Recurrent cell.", default="lstm", choices=["lstm", "gru"])
    rnn_num_hidden = Hyperparameter(
        int, "Units of a recurrent layer, of which the two directions of the encoder's first have half each.", default=1024, minimum=2
    )
    rnn_residual_connections = Hyperparameter(bool, "Add what goes into recurrent layers to what comes out.", default=False)
    rnn_first_residual_layer = Hyperparameter(int, "First layer of which this is so, counted from 1.", default=2, minimum=1)
    rnn_attention_type = Hyperparameter(
        str,
        "How a recurrent decoder's state s scores an encoder's h: dot s·h, bilinear sᵀWh, mlp vᵀtanh(W[s;h]); or fixed, the last h alone.",
        default="mlp",
        choices=["dot", "fixed", "mlp", "bilinear"],
    )
    rnn_attention_num_hidden = Hyperparameter(int, "Units within mlp attention; rnn_num_hidden by default.", minimum=1)
    rnn_attention_in_upper_layers = Hyperparameter(
        bool, "Attend from the decoder's first layer, and give what is found to those above; else attend from the last one.", default=True
    )
    rnn_input_feeding = OwnHyperparameter(
        bool,
        "Feed what a recurrent decoder has made of a step to its next one; without, all steps are computed at once, which is faster.",
        default=True,
    )
    rnn_decoder_state_init = Hyperparameter(
        str,
        "Where a recurrent decoder starts: at the last encoder state, their mean, or zero.",
        default="last",
        choices=["last", "avg", "zero"],
    )
    rnn_decoder_hidden_dropout = Hyperparameter(
        float, "Share set to 0 of context and decoder state where they are joined.", default=0.0, minimum=0.0, maximum=1.0
    )
    cnn_num_hidden = Hyperparameter(int, "Units of a convolutional layer.", default=512, minimum=1)
    cnn_kernel_width_encoder = Hyperparameter(int, "Words that a layer of a convolutional encoder sees.", default=3, minimum=1)
    cnn_kernel_width_decoder = Hyperparameter(int, "Words that a layer of a convolutional decoder sees.", default=5, minimum=1)
    cnn_activation_type = Hyperparameter(
        str, "Activation of convolutional layers.", default="glu", choices=["glu", "relu", "softrelu", "sigmoid", "tanh"]
    )
    cnn_hidden_dropout = Hyperparameter(
        float, "Share set to 0 of what goes into a convolutional layer.", default=0.0, minimum=0.0, maximum=1.0
    )
    max_seq_len_source = Hyperparameter(int, "Words of a source that are read; what follows is cut off.", default=100, minimum=1)
    max_seq_len_target = Hyperparameter(int, "Words of a target that are trained on, and of a translation at most.", default=100, minimum=1)
    max_vocab_size_source = OwnHyperparameter(
        int, "Words of the source's vocabulary, where that is counted, the four reserved ones among them.", default=50_000, minimum=5
    )
    max_vocab_size_target = OwnHyperparameter(int, "The same of the target's.", default=50_000, minimum=5)
    min_word_count = OwnHyperparameter(int, "Times that a word must occur to be in a vocabulary that is counted.", default=1, minimum=1)
    vocab_dir = OwnHyperparameter(
        str, "Folder, on any storage of the session, with vocab.src.json and vocab.trg.json, maps of words to ids; else words are counted."
    )
    batch_size = Hyperparameter(int, "Pairs per update, of all workers together.", default=64, minimum=1)
    bucketing_enabled = Hyperparameter(bool, "Take pairs of like lengths into a mini-batch, which saves padding.", default=True)
    bucket_width = Hyperparameter(
        int, "Lengths of the longer side that are alike; of the other side scaled by the mean ratio of lengths.", default=10, minimum=1
    )
    loss_type = Hyperparameter(str, "Loss: of each target word.", default="cross-entropy", choices=["cross-entropy"])
    optimizer_type = Hyperparameter(str, "Optimizer.", default="adam", choices=["adam", "sgd", "rmsprop"])
    learning_rate = Hyperparameter(float, "Learning rate at the start.", default=0.0003)
    momentum = Hyperparameter(float, "Momentum of sgd; none by default. It must not be given with another optimizer.")
    weight_decay = Hyperparameter(float, "How many times itself each parameter is added to its gradient.", default=0)
    clip_gradient = Hyperparameter(float, "Bound of the absolute value of each derivative; negative for none.", default=1)
    lr_scheduler_type = Hyperparameter(
        str,
        "Learning rate: cut where nothing is gained, or lr / (1 + r·t), or its root, t being updates.",
        default="plateau_reduce",
        choices=["plateau_reduce", "fixed_rate_inv_t", "fixed_rate_inv_sqrt_t"],
    )
    plateau_reduce_lr_factor = Hyperparameter(float, "What plateau_reduce multiplies the learning rate with.", default=0.5)
    plateau_reduce_lr_threshold = Hyperparameter(
        int,
        "Checkpoints without a gain after which it does so; where checkpoint_threshold is no larger, training ends before the lower rate "
        "is of use, unless max_num_epochs or min_num_epochs keep it going.",
        default=3,
        minimum=1,
    )
    fixed_rate_lr_half_life = Hyperparameter(
        int, "Checkpoints after which schedules of a fixed rate have halved the learning rate.", default=10, minimum=1
    )
    weight_init_type = Hyperparameter(str, "How weights start.", default="xavier", choices=["uniform", "xavier"])
    weight_init_scale = Hyperparameter(
        float, "Weights start uniform from −scale to scale; with xavier, from −√(scale / fan) to √(scale / fan).", default=2.34
    )
    xavier_factor_type = Hyperparameter(
        str, "The fan of xavier: numbers that come in, that go out, or their mean.", default="in", choices=["in", "out", "avg"]
    )
    checkpoint_frequency_num_batches = Hyperparameter(
        int, "Updates from one checkpoint to the next, where the model is judged on the rows for validation.", default=1000, minimum=1
    )
    checkpoint_threshold = Hyperparameter(
        int, "Checkpoints in a row without a gain in optimized_metric after which training ends.", default=3, minimum=1
    )
    min_num_epochs = Hyperparameter(int, "Passes over the rows before it may end so.", default=0, minimum=0)
    max_num_epochs = Hyperparameter(
        int, "Passes at most; where it is given, training does not end before, whether anything is gained or not.", minimum=1
    )
    max_num_batches = Hyperparameter(int, "Updates at most; -1 for no cap.", default=-1, special=[-1])
    optimized_metric = Hyperparameter(
        str,
        "What early stopping and plateau_reduce watch, and the best state is chosen by; on rows for validation where there are such.",
        default="perplexity",
        choices=["perplexity", "accuracy", "bleu"],
    )
    training_metric = Hyperparameter(
        str,
        "Which of the two the summary's objectiveHistory follows; both are measured.",
        default="perplexity",
        choices=["perplexity", "accuracy"],
    )
    bleu_sample_size = Hyperparameter(
        int, "Pairs for validation that are translated at each checkpoint to measure BLEU; -1 for all.", default=0, special=[-1]
    )
    beam_size = Hyperparameter(int, "Beginnings of a translation that are followed at the same time.", default=5, minimum=1)

    attentionCol = ColumnParam(
        "Output column, where it is named: of each word of the prediction how much it looks at each source word, an array of arrays."
    )

    def problems(self) -> list[str]:
        found = super().problems()
        return found or contradictions(Hyperparameters(**self.hyperparameters()), None)

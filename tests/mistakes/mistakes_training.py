"""Training and data."""

import contextlib
from unittest import mock

import numpy
from catalogue import mistake

import kerata
from kerata import errors, layers


def regression():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def batches(count):
    for _ in range(count):
        yield numpy.ones((2, 4)), numpy.ones((2, 1))


SHOWN = (regression, batches)


@mistake("Training before `compile`", errors.NotCompiled, """
model 'sequential': the model is not compiled, so `fit` does not know how to go on.
  expected: compile before fit and evaluate
  got:      fit of a model that was only made
  try:      model.compile(optimizer='adam', loss=..., metrics=[...])
""",
    "`model.compile(optimizer=\"adam\", loss=\"mse\")` before `fit`.",
)  # fmt: skip
def not_compiled():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 1)))


@mistake("Empty data", errors.InvalidArgument, """
fit: the data are empty.
  expected: one row at least
  got:      0 rows
  try:      print x.shape: a filter may have let nothing through
""",
    "Print `x.shape`: often a filter let nothing through.",
)  # fmt: skip
def empty_data():
    regression().fit(numpy.ones((0, 4)), numpy.ones((0, 1)))


@mistake("More rows than targets", errors.ShapeMismatch, """
fit: the data differ in their numbers of rows.
  expected: the same number for each
  got:      x: 8, y: 7
  try:      print the shapes: the first axis is that of the rows
""",
    "Print `x.shape` and `y.shape`: the first axes must agree.",
)  # fmt: skip
def unequal_lengths():
    regression().fit(numpy.ones((8, 4)), numpy.ones((7, 1)))


@mistake("Sample weights for some of the rows", errors.ShapeMismatch, """
fit: the data differ in their numbers of rows.
  expected: the same number for each
  got:      x: 8, y: 8, sample_weight: 4
  try:      print the shapes: the first axis is that of the rows
""",
    "One weight for each row.",
)  # fmt: skip
def too_few_sample_weights():
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), sample_weight=numpy.ones(4))


@mistake("A batch size of zero", errors.InvalidArgument, """
fit: `batch_size` is no such number.
  expected: an int of at least 1, or None
  got:      batch_size=0
  try:      print the number that it comes from
""",
    "`batch_size=32`.",
)  # fmt: skip
def empty_batches():
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), batch_size=0)


@mistake("Rows of unequal length", errors.ShapeMismatch, """
predict: x: the rows are of unequal shapes.
  expected: one shape
  got:      (2,), (3,)
  try:      keras.utils.pad_sequences fills up lists of numbers; pictures are resized
""",
    "`kerata.utils.pad_sequences(rows)` brings them to one length.",
)  # fmt: skip
def ragged_rows():
    rows = [[1, 2, 3], [4, 5]]
    regression().predict(rows)


@mistake("A table with a column of text", errors.InvalidType, """
fit: x: some columns are text, and the model takes numbers.
  expected: numbers in every column
  got:      text in ['place']
  try:      leave them out, or encode them; or name the inputs of the model as the columns: kerata.Input((1,), dtype="string", name=...)
""",
    "`kerata.utils.FeatureSpace` turns the columns of a table into numbers.",
)  # fmt: skip
def table_with_text():
    import pandas

    table = pandas.DataFrame({"age": [30, 40], "place": ["Rome", "Oslo"]})
    regression().fit(table, numpy.ones((2, 1)))


@mistake("A share for validation that is no share", errors.InvalidArgument, """
fit: `validation_split` is a fraction.
  expected: between 0 and 1
  got:      20
  try:      validation_split=0.2 keeps the last 20 % of the rows
""",
    "`validation_split=0.2`.",
)  # fmt: skip
def validation_in_per_cent():
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), validation_split=20)


@mistake("`validation_split` with a generator", errors.InvalidArgument, """
fit: `validation_split` needs arrays.
  got:      generator
  try:      give validation_data instead
""",
    "Give `validation_data=`: a generator's rows cannot be counted.",
)  # fmt: skip
def validation_split_of_a_generator():
    regression().fit(batches(4), validation_split=0.2)


@mistake("A generator function that is not called", errors.InvalidType, """
fit: x: these data are not understood.
  expected: an array, a nest of arrays, or an iterable that yields batches
  got:      function
  try:      the parentheses are missing: call the generator function
""",
    "`model.fit(batches(4))`.",
)  # fmt: skip
def generator_that_is_not_called():
    regression().fit(batches)


@mistake("A generator that ends early", UserWarning, """
train: in epoch 3 the data ended after 0 of 2 steps, so the run ends here. A generator for several epochs must go on for ever, or be an object that can be iterated again.
""",
    "Let it go on for ever (`while True:`) and give `steps_per_epoch`, or pass an object that can be iterated again.",
)  # fmt: skip
def generator_that_ends_early():
    regression().fit(batches(4), epochs=3, steps_per_epoch=2, verbose=0)


@mistake("A generator without batches", errors.InvalidArgument, """
fit: the data are empty.
  expected: one batch at least
  got:      none
  try:      try it by hand: next(iter(data)); a generator that was used up gives nothing more
""",
    "Try it by hand: `next(batches())`; a generator that was used up gives nothing more.",
)  # fmt: skip
def generator_without_batches():
    regression().fit(batches(0), verbose=0)


@mistake("Targets beside a generator", errors.InvalidArgument, """
fit: an iterable of batches brings its own targets.
  expected: y=None, sample_weight=None
  try:      let it yield (x, y) or (x, y, sample_weight); or dicts, and y="..." names the entry
""",
    "Let the generator yield pairs `(x, y)`.",
)  # fmt: skip
def targets_beside_a_generator():
    regression().fit(batches(4), numpy.ones((8, 1)))


@mistake("A generator whose batches have too many parts", errors.InvalidArgument, """
fit: a batch has too many parts.
  expected: x, (x, y) or (x, y, sample_weight)
  got:      a tuple of 4
  try:      several inputs come as one: ((x1, x2), y)
""",
    "Yield `(x, y)`; several inputs go in a tuple of their own: `((x1, x2), y)`.",
)  # fmt: skip
def batches_of_four_parts():
    x, y = numpy.ones((2, 4)), numpy.ones((2, 1))
    regression().fit((x, x, x, y) for _ in range(3))


@mistake("The name of a file instead of data", errors.InvalidType, """
fit: batch: the data are text, and the model takes numbers.
  expected: numbers
  got:      an array of dtype <U1
  try:      turn text and categories into numbers first, or start the model with kerata.Input((1,), dtype="string") and TextVectorization or StringLookup
""",
    "`x = numpy.load(\"x.npy\")`.",
)  # fmt: skip
def name_of_a_file():
    regression().fit("x.npy")


@mistake("A typo in an argument of `fit`", TypeError, """
Trainer.fit() got an unexpected keyword argument 'epoch'
  try:      did you mean 'epochs' or 'initial_epoch' or 'steps_per_epoch'?
""",
    "`model.fit(x, y, epochs=5)`.",
)  # fmt: skip
def unknown_argument_of_fit():
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), epoch=5)


@mistake("Epochs as text", errors.InvalidType, """
fit: `epochs` is no such number.
  expected: an int of at least 0, or None
  got:      epochs='5'
  try:      epochs=int(…)
""",
    "`epochs=int(text)`.",
)  # fmt: skip
def epochs_as_text():
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), epochs="5", verbose=0)


@mistake("The class of a callback instead of a callback", errors.InvalidType, """
fit: callbacks: this is no callback.
  expected: a Callback
  got:      <class 'kerata.callbacks.stopping.EarlyStopping'>
  try:      EarlyStopping() makes one
""",
    "`callbacks=[kerata.callbacks.EarlyStopping()]`.",
)  # fmt: skip
def class_of_a_callback():
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), callbacks=[kerata.callbacks.EarlyStopping])


@mistake("A callback that watches what is not there", UserWarning, """
EarlyStopping watches 'val_loss', which is not among the logs: ['loss']. Names that begin with val_ need validation_data.
""",
    "Give `validation_split` or `validation_data`, or watch `\"loss\"`.",
)  # fmt: skip
def nothing_to_monitor():
    stop = kerata.callbacks.EarlyStopping(monitor="val_loss")
    regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), callbacks=[stop], verbose=0)


@mistake("A checkpoint without a known ending", errors.InvalidArgument, """
ModelCheckpoint: filepath: the file's name has another ending.
  expected: .keras or .h5
  got:      best
  try:      use 'best.keras'
""",
    "`ModelCheckpoint(\"best.keras\")`.",
)  # fmt: skip
def checkpoint_without_an_ending():
    kerata.callbacks.ModelCheckpoint("best")


@mistake("A typo in the name of an optimizer", errors.UnknownName, """
compile: optimizer: there is no optimizer named 'addam'.
  try:      did you mean 'adam' or 'nadam' or 'adamax'?
""",
    "`\"adam\"`, or `kerata.optimizers.Adam(1e-3)`.",
)  # fmt: skip
def unknown_optimizer():
    model = kerata.Sequential([layers.Dense(1)])
    model.compile(optimizer="addam")


@mistake("A loss in the place of the optimizer", errors.UnknownName, """
compile: optimizer: there is no optimizer named 'mse'.
  try:      'mse' is a loss: compile(optimizer='adam', loss='mse')
""",
    "`model.compile(\"adam\", \"mse\")`: the optimizer comes first.",
)  # fmt: skip
def loss_for_an_optimizer():
    model = kerata.Sequential([layers.Dense(1)])
    model.compile("mse", "adam")


@mistake("A negative learning rate", errors.InvalidArgument, """
optimizer: learning_rate: this is no learning rate.
  expected: a number from 0 up
  got:      -0.1
  try:      optimizers go downhill by themselves; 0.001 is a good start for Adam
""",
    "`kerata.optimizers.SGD(0.1)`: the optimizer goes downhill by itself.",
)  # fmt: skip
def negative_learning_rate():
    kerata.optimizers.SGD(-0.1)


@mistake("A learning rate that is no number", errors.InvalidType, """
optimizer: learning_rate: this is no learning rate.
  expected: a number, a schedule, or a function without arguments
  got:      '1e-3'
  try:      a number without quotes: learning_rate=0.001
""",
    "`kerata.optimizers.Adam(1e-3)`, without quotes.",
)  # fmt: skip
def learning_rate_as_text():
    kerata.optimizers.Adam("1e-3")


@mistake("`lr`, as it was called long ago", UserWarning, """
optimizers: `lr=` is now called `learning_rate=`.
""",
    "`kerata.optimizers.Adam(learning_rate=0.01)`.",
)  # fmt: skip
def old_name_of_the_learning_rate():
    kerata.optimizers.Adam(lr=0.01)


@mistake("One optimizer for two models", errors.InvalidArgument, """
optimizer 'adam': the optimizer was not built with these Variables.
  expected: some of sequential/dense/kernel, sequential/dense/bias
  got:      sequential_1/dense_1/kernel, sequential_1/dense_1/bias
  try:      make a new optimizer (compile the model anew) after adding or unfreezing weights
""",
    "An optimizer for each model: it keeps slots for the weights that it trains.",
)  # fmt: skip
def optimizer_of_two_models():
    adam = kerata.optimizers.Adam()
    x, y = numpy.ones((8, 4)), numpy.ones((8, 1))
    for _ in range(2):
        model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
        model.compile(adam, "mse")
        model.train_on_batch(x, y)


@mistake("Everything is frozen", UserWarning, """
The model 'sequential' has no trainable weights: training changes nothing.
""",
    "`layer.trainable = True` for the layers that are to learn.",
)  # fmt: skip
def everything_is_frozen():
    model = regression()
    model.trainable = False
    model.compile("sgd", "mse")
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 1)), verbose=0)


@mistake("A learning rate so large that the loss becomes NaN", UserWarning, """
model 'sequential': the loss is no longer finite. The data, the layers and the loss are well, so the steps were too large: the weights grew out of bounds. Try a smaller learning_rate, inputs scaled to about 1, or clipnorm=1.0 in the optimizer.
""",
    "A smaller `learning_rate`, inputs scaled to about 1, or `clipnorm=1.0`.",
)  # fmt: skip
def learning_rate_too_large():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile(kerata.optimizers.SGD(1e6), "mse")
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 1)), epochs=20, verbose=0)


@mistake("NaN among the data", UserWarning, """
model 'sequential': the loss is no longer finite. The data hold NaN or infinity: 1 of 32 values of x, the first at [5, 2]. Fill them, or leave such rows out: numpy.isfinite(x) finds them.
""",
    "`numpy.isnan(x).any(axis=0)` tells the columns; fill them, or leave the rows out.",
)  # fmt: skip
def nan_among_the_data():
    x, y = numpy.ones((8, 4)), numpy.ones((8, 1))
    x[5, 2] = numpy.nan
    regression().fit(x, y, verbose=0)


@mistake("NaN among the targets", UserWarning, """
model 'sequential': the loss is no longer finite. The data hold NaN or infinity: 1 of 8 values of y, the first at [5, 0]. Fill them, or leave such rows out: numpy.isfinite(y) finds them.
""",
    "`x, y = x[~numpy.isnan(y)], y[~numpy.isnan(y)]`.",
)  # fmt: skip
def nan_among_the_targets():
    x, y = numpy.ones((8, 4)), numpy.ones((8, 1))
    y[5] = numpy.nan
    regression().fit(x, y, verbose=0)


@mistake("A layer that makes NaN", UserWarning, """
model 'sequential': the loss is no longer finite. It began in layer 'log' (Lambda), which makes NaN or infinity ([…] of 12 values) of finite inputs: keep logarithms, roots, quotients and exponentials away from the edge of what they are defined for.
""",
    "`kerata.ops.log(x + 1e-7)`: keep logarithms, roots and quotients away from the edge.",
)  # fmt: skip
def layer_that_makes_nan():
    log = layers.Lambda(kerata.ops.log, name="log")
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3, name="first"), log, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(numpy.eye(4), numpy.ones((4, 1)), verbose=0)


@mistake("A root whose slope at 0 is infinite", UserWarning, """
model 'sequential': the loss is no longer finite. Values are finite, and the gradient that comes back to layer 'sequential/dense' is not: a root, a norm or a quotient behind it has no slope at 0; + 1e-7 keeps away from there.
""",
    "`kerata.ops.sqrt(kerata.ops.square(x) + 1e-7)`, or `kerata.ops.abs(x)`.",
)  # fmt: skip
def slope_that_is_infinite():
    size = layers.Lambda(lambda x: kerata.ops.sqrt(kerata.ops.square(x)), name="size")
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3), size])
    model.compile("sgd", "mse")
    model.fit(numpy.zeros((4, 4)), numpy.ones((4, 3)), epochs=2, verbose=0)


@contextlib.contextmanager
def little_memory():
    """The engine says what it says where a device has too little memory."""
    from jax.errors import JaxRuntimeError

    def run(*_):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 51539607552 bytes.")

    with mock.patch("kerata.training.loop.Program.run", run):
        yield


def weights_stand(model, before, **_):
    assert all((now == then).all() for now, then in zip(model.get_weights(), before))


@mistake("Out of memory", errors.OutOfMemory, """
model 'sequential': there is not enough memory for a step.
  expected: room for weights, their slots, and what each layer keeps of a batch for its gradient
  got:      batches of 64 rows of shapes (4,), (1,); weights and slots 144.0 KiB, the largest sequential/dense/kernel (4, 2048) 32.0 KiB, adam/sequential_dense_kernel_momentum (4, 2048) 32.0 KiB, adam/sequential_dense_kernel_velocity (4, 2048) 32.0 KiB; the engine says: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 51539607552 bytes.
  try:      batch_size=32 or less; then dtype policy 'mixed_bfloat16', smaller layers, or kerata.RematScope around them
""",
    "`model.fit(x, y, batch_size=16)`, then the dtype policy `\"mixed_bfloat16\"`, then a smaller model.",
    around=little_memory, after=weights_stand,
)  # fmt: skip
def memory_runs_out():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(2048), layers.Dense(1)])
    before = model.get_weights()
    model.compile("adam", "mse")
    model.fit(numpy.ones((64, 4)), numpy.ones((64, 1)), batch_size=64, verbose=0)


@mistake("Training with the engine that only infers", errors.Unsupported, """
training: the numpy engine takes no gradients.
  try:      kerata.config.set_engine('jax')
""",
    "`KERATA_ENGINE=jax` or `torch`; NumPy is the readable reference, for `predict`.",
)  # fmt: skip
def training_with_numpy():
    with kerata.config.using_engine("numpy"):
        regression().fit(numpy.ones((8, 4)), numpy.ones((8, 1)), verbose=0)


@mistake("Numbers and text in one operation", errors.InvalidType, """
kerata.ops: this cannot be turned into a tensor.
  expected: a tensor, an array, numbers or lists of them
  got:      str: '1'
  try:      turn it into numbers first: float(x)
""",
    "`float(\"1\")`, or `array.astype(\"float32\")`.",
)  # fmt: skip
def text_in_an_operation():
    kerata.ops.add(numpy.ones(3), "1")


@mistake("A list of lists that is no rectangle", errors.InvalidArgument, """
kerata.ops: a ragged or mixed list is no tensor.
  expected: rows of one length, of numbers
  got:      [[1, 2, 3], [4, 5]]
  try:      kerata.utils.pad_sequences fills rows up
""",
    "`kerata.utils.pad_sequences(rows)` fills the rows up.",
)  # fmt: skip
def list_that_is_no_rectangle():
    kerata.ops.convert_to_tensor([[1, 2, 3], [4, 5]])


@mistake("A vocabulary that is not there yet", errors.NotBuilt, """
layer 'string_lookup' (StringLookup): the layer has no vocabulary yet.
  try:      call adapt(data), or give one: vocabulary=[…]
in layer 'text_vectorization' (TextVectorization), called with inputs=str160[2]
""",
    "`text.adapt(sentences)`, or `TextVectorization(vocabulary=[…])`.",
)  # fmt: skip
def vocabulary_without_adapt():
    text = layers.TextVectorization()
    text(numpy.array(["a cat", "a dog"]))

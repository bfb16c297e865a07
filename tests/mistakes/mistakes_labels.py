"""Labels, losses and metrics."""

import numpy
from catalogue import mistake

import kerata
from kerata import errors, layers


def classifier(units=3, activation="softmax"):
    return kerata.Sequential([kerata.Input((4,)), layers.Dense(units, activation=activation)])


SHOWN = (classifier,)


@mistake("A label that names no class", errors.InvalidArgument, """
fit: y, the labels: 1 of 4 labels name no class.
  expected: integers from 0 to 2, since the predictions have 3 classes
  got:      5 at [3]
  try:      give the last layer 6 units, or look for wrong labels
""",
    "Number the classes from 0, and give the last layer as many units as there are classes.",
)  # fmt: skip
def label_out_of_range():
    model = classifier(units=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = numpy.ones((4, 4)), numpy.array([0, 1, 2, 5])
    model.fit(x, y, verbose=0)


@mistake("Labels that count from 1", errors.InvalidArgument, """
fit: y, the labels: 1 of 3 labels name no class.
  expected: integers from 0 to 2, since the predictions have 3 classes
  got:      3 at [2]
  try:      the labels count from 1: subtract 1
""",
    "`model.fit(x, y - 1)`.",
)  # fmt: skip
def labels_from_one():
    model = classifier(units=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = numpy.ones((3, 4)), numpy.array([1, 2, 3])
    model.fit(x, y, verbose=0)


@mistake("A negative label", errors.InvalidArgument, """
fit: y, the labels: 1 of 3 labels name no class.
  expected: integers from 0 to 2, since the predictions have 3 classes
  got:      -1 at [1]
  try:      if -1 marks what has no label, use SparseCategoricalCrossentropy(ignore_class=-1)
""",
    "`loss=kerata.losses.SparseCategoricalCrossentropy(ignore_class=-1)`, where -1 marks what has no label.",
)  # fmt: skip
def negative_label():
    model = classifier(units=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = numpy.ones((3, 4)), numpy.array([0, -1, 2])
    model.fit(x, y, verbose=0)


@mistake("Real numbers where class numbers are meant", errors.InvalidArgument, """
fit: y, the labels: 1 of 3 labels name no class.
  expected: integers from 0 to 2, since the predictions have 3 classes
  got:      0.5 at [1]
  try:      these are no class numbers: for targets that are real numbers use loss='mean_squared_error'
""",
    "`loss=\"mse\"` for targets that are measured; class numbers are whole.",
)  # fmt: skip
def real_numbers_as_labels():
    model = classifier(units=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = numpy.ones((3, 4)), numpy.array([0.0, 0.5, 2.0])
    model.fit(x, y, verbose=0)


@mistake("Labels that are words", errors.InvalidType, """
fit: y: the data are text, and the model takes numbers.
  expected: numbers
  got:      an array of dtype <U4
  try:      turn text and categories into numbers first, or start the model with kerata.Input((1,), dtype="string") and TextVectorization or StringLookup
""",
    "`names, y = numpy.unique(y, return_inverse=True)` numbers them.",
)  # fmt: skip
def labels_that_are_words():
    model = classifier(units=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = numpy.ones((3, 4)), numpy.array(["cat", "dog", "bird"])
    model.fit(x, y, verbose=0)


@mistake("One-hot labels with the loss for class numbers", errors.ShapeMismatch, """
loss 'sparse_categorical_crossentropy': the labels look like one-hot rows; this loss takes class numbers, one a sample.
  expected: y_true of shape (3,)
  got:      y_true of shape (3, 3)
  try:      keep the labels and use loss='categorical_crossentropy', or turn the rows into class numbers: y = numpy.argmax(y, axis=-1)
in the loss of output 'dense'
""",
    "`loss=\"categorical_crossentropy\"`, or `y = numpy.argmax(y, axis=-1)`.",
)  # fmt: skip
def one_hot_with_sparse_loss():
    model = classifier(units=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = numpy.ones((3, 4)), numpy.eye(3)
    model.fit(x, y, verbose=0)


@mistake("Class numbers with the loss for one-hot labels", errors.ShapeMismatch, """
loss 'categorical_crossentropy': the labels look like class numbers, one a sample; this loss takes one-hot rows.
  expected: y_true of shape (3, 3)
  got:      y_true of shape (3,)
  try:      keep the labels and use loss='sparse_categorical_crossentropy', or turn them into rows: y = kerata.utils.to_categorical(y, num_classes=3)
in the loss of output 'dense'
""",
    "`loss=\"sparse_categorical_crossentropy\"`, or `y = kerata.utils.to_categorical(y)`.",
)  # fmt: skip
def class_numbers_with_categorical_loss():
    model = classifier(units=3)
    model.compile("adam", "categorical_crossentropy")
    x, y = numpy.ones((3, 4)), numpy.array([0, 1, 2])
    model.fit(x, y, verbose=0)


@mistake("One-hot labels of more classes than the model has", errors.ShapeMismatch, """
loss 'categorical_crossentropy': labels and predictions do not fit.
  expected: y_true of shape (5, 3)
  got:      y_true of shape (5, 5)
  try:      the labels have 5 classes and the model 3: give the last layer 5 units, or make the labels with to_categorical(y, num_classes=3)
in the loss of output 'dense'
""",
    "`layers.Dense(5, activation=\"softmax\")` at the end.",
)  # fmt: skip
def more_classes_than_units():
    model = classifier(units=3)
    model.compile("adam", "categorical_crossentropy")
    x, y = numpy.ones((5, 4)), numpy.eye(5)
    model.fit(x, y, verbose=0)


@mistake("`binary_crossentropy` with a softmax over two units, labels 0 and 1", errors.ShapeMismatch, """
loss 'binary_crossentropy': targets and predictions do not belong together.
  expected: y_true of shape (4, 2), as the model's output
  got:      y_true of shape (4,)
  try:      for a yes-no question end the model with Dense(1); for 2 classes use 'sparse_categorical_crossentropy'
in the loss of output 'dense'
""",
    "End with `layers.Dense(1, activation=\"sigmoid\")`, or keep two units with `sparse_categorical_crossentropy`.",
)  # fmt: skip
def binary_loss_with_two_units():
    model = classifier(units=2)
    model.compile("adam", "binary_crossentropy")
    x, y = numpy.ones((4, 4)), numpy.array([0, 1, 1, 0])
    model.fit(x, y, verbose=0)


@mistake("Softmax over a single unit", UserWarning, """
layer 'dense': softmax over a single unit is always 1, so nothing can be learned. For a yes-no question use activation='sigmoid' with binary_crossentropy.
""",
    "`layers.Dense(1, activation=\"sigmoid\")`: softmax over one number is always 1.",
)  # fmt: skip
def softmax_over_one_unit():
    model = classifier(units=1, activation="softmax")
    model.compile("adam", "binary_crossentropy")
    model.evaluate(numpy.ones((4, 4)), numpy.array([0, 1, 1, 0]), verbose=0)


@mistake("Softmax, and a loss that takes its argument for scores", UserWarning, """
layer 'dense': it ends in softmax, and SparseCategoricalCrossentropy(from_logits=True) takes its outputs for scores: the softmax would be applied twice. Leave out one of the two.
""",
    "Either the softmax or `from_logits=True`: `layers.Dense(3)` at the end, or the loss without `from_logits`.",
)  # fmt: skip
def softmax_beside_from_logits():
    model = classifier(units=3, activation="softmax")
    model.compile("adam", kerata.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.evaluate(numpy.ones((4, 4)), numpy.array([0, 1, 2, 0]), verbose=0)


@mistake("No softmax, and a loss that wants probabilities", UserWarning, """
layer 'dense': it has no activation, and sparse_categorical_crossentropy takes its outputs for probabilities. Give it activation='softmax', or the loss from_logits=True.
""",
    "`activation=\"softmax\"` in the last layer, or `SparseCategoricalCrossentropy(from_logits=True)`.",
)  # fmt: skip
def scores_without_from_logits():
    model = classifier(units=3, activation=None)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.evaluate(numpy.ones((4, 4)), numpy.array([0, 1, 2, 0]), verbose=0)


@mistake("Softmax, and a loss that takes each unit for a question of its own", UserWarning, """
layer 'dense': it ends in softmax over 3 units, and binary_crossentropy takes each of them for a question of its own. For one class of several use categorical_crossentropy; for several answers at once activation='sigmoid'.
""",
    "`loss=\"categorical_crossentropy\"` for one class of several.",
)  # fmt: skip
def binary_loss_beside_softmax():
    model = classifier(units=3, activation="softmax")
    model.compile("adam", "binary_crossentropy")
    model.evaluate(numpy.ones((3, 4)), numpy.eye(3), verbose=0)


@mistake("Targets with more columns than the model has outputs", errors.ShapeMismatch, """
loss 'mean_squared_error': targets and predictions do not belong together.
  expected: y_true of shape (8, 2), as the model's output
  got:      y_true of shape (8, 3)
  try:      give the last layer 3 units, as many as the targets have columns
in the loss of output 'dense'
""",
    "Give the last layer as many units as there are columns.",
)  # fmt: skip
def more_columns_than_units():
    model = classifier(units=2, activation=None)
    model.compile("adam", "mse")
    x, y = numpy.ones((8, 4)), numpy.ones((8, 3))
    model.fit(x, y, verbose=0)


@mistake("One target a row for several outputs, which would broadcast", errors.ShapeMismatch, """
loss 'mean_squared_error': targets and predictions do not belong together.
  expected: y_true of shape (8, 8), as the model's output
  got:      y_true of shape (8,)
  try:      compare model.output_shape with y.shape: the last layer decides the one, your data the other
in the loss of output 'dense'
""",
    "`layers.Dense(1)` for one number a row.",
)  # fmt: skip
def targets_that_would_broadcast():
    model = classifier(units=8, activation=None)
    model.compile("adam", "mse")
    x, y = numpy.ones((8, 4)), numpy.ones(8)
    model.fit(x, y, verbose=0)


@mistake("One column of targets for several outputs", UserWarning, """
loss 'mean_squared_error' compares y_true of shape (8, 1) with y_pred of shape (8, 8): the single column is repeated. If that is not meant, give the last layer as many units as the targets have columns.
""",
    "`layers.Dense(1)`, unless each output is meant to learn the same.",
)  # fmt: skip
def column_that_is_repeated():
    model = classifier(units=8, activation=None)
    model.compile("adam", "mse")
    x, y = numpy.ones((8, 4)), numpy.ones((8, 1))
    model.evaluate(x, y, verbose=0)


@mistake("No targets", errors.InvalidArgument, """
fit: y: the loss needs targets and there are none.
  expected: an array of targets
  got:      None
  try:      fit(x, y); a generator or data set yields pairs (x, y)
""",
    "`model.fit(x, y)`.",
)  # fmt: skip
def no_targets():
    model = classifier()
    model.compile("adam", "mse")
    model.fit(numpy.ones((8, 4)), verbose=0)


@mistake("Neither a loss nor `add_loss`", errors.InvalidArgument, """
model 'sequential': there is no loss to minimise.
  expected: a loss
  got:      None
  try:      give `loss=` to compile, or call add_loss in a layer
""",
    "`model.compile(\"adam\", loss=\"mse\")`.",
)  # fmt: skip
def no_loss():
    model = classifier()
    model.compile("adam")
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 3)), verbose=0)


@mistake("A typo in the name of a loss", errors.UnknownName, """
compile: loss: there is no loss named 'sparse_categorical_crossentrpy'.
  try:      did you mean 'sparse_categorical_crossentropy' or 'categorical_crossentropy' or 'categorical_focal_crossentropy'?
""",
    "The names are those of the functions in `kerata.losses`.",
)  # fmt: skip
def unknown_loss():
    model = classifier()
    model.compile("adam", loss="sparse_categorical_crossentrpy")


@mistake("A typo in the name of a metric", errors.UnknownName, """
compile: metrics: there is no metric named 'acuracy'.
  try:      did you mean 'accuracy' or 'binary_accuracy' or 'auc'?
""",
    "`metrics=[\"accuracy\"]`.",
)  # fmt: skip
def unknown_metric():
    model = classifier()
    model.compile("adam", "mse", metrics=["acuracy"])
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 3)), verbose=0)


@mistake("A metric for an output that is not there", errors.UnknownName, """
compile: there is no output for `metrics` named 'prize'.
  try:      did you mean 'price'?
""",
    "The keys are the names of the output layers, `model.output_names`.",
)  # fmt: skip
def metric_on_the_wrong_output():
    x = kerata.Input((4,))
    model = kerata.Model(x, [layers.Dense(1, name="price")(x), layers.Dense(1, name="rent")(x)])
    model.compile("adam", "mse", metrics={"prize": ["mae"]})
    model.fit(numpy.ones((8, 4)), [numpy.ones((8, 1)), numpy.ones((8, 1))], verbose=0)


@mistake("A loss for an output that is not there", errors.UnknownName, """
compile: there is no output for `loss` named 'rents'.
  try:      did you mean 'rent'?
""",
    "The keys are the names of the output layers, `model.output_names`.",
)  # fmt: skip
def loss_for_the_wrong_output():
    x = kerata.Input((4,))
    model = kerata.Model(x, [layers.Dense(1, name="price")(x), layers.Dense(1, name="rent")(x)])
    model.compile("adam", {"price": "mse", "rents": "mse"})


@mistake("Fewer losses than outputs", errors.InvalidArgument, """
compile: `loss` has the wrong number of entries.
  expected: 3, one for each output ['price', 'rent', 'tax']
  got:      2
  try:      a single one serves all outputs; or give a dict: {'price': …}
""",
    "One loss for all outputs, `loss=\"mse\"`, or one for each, or a dict by the outputs' names.",
)  # fmt: skip
def fewer_losses_than_outputs():
    x = kerata.Input((4,))
    model = kerata.Model(x, [layers.Dense(1, name=name)(x) for name in ("price", "rent", "tax")])
    model.compile("adam", ["mse", "mae"])


@mistake("One target for a model with two outputs", errors.InvalidArgument, """
fit: the number of targets in `y` is wrong.
  expected: 2: ['price', 'rent']
  got:      1
  try:      give a list in this order, or a dict by these names
""",
    "`model.fit(x, [y1, y2])`, in the order of `Model(inputs, outputs=[…])`.",
)  # fmt: skip
def fewer_targets_than_outputs():
    x = kerata.Input((4,))
    model = kerata.Model(x, [layers.Dense(1, name="price")(x), layers.Dense(1, name="rent")(x)])
    model.compile("adam", "mse")
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 1)), verbose=0)


@mistake("Two losses for a model with one output", errors.InvalidArgument, """
compile: `loss` has the wrong number of entries.
  expected: one, for 'dense'
  got:      2: ['mse', 'mae']
  try:      further numbers to watch belong to `metrics`
""",
    "`loss=\"mse\"`; another number to watch belongs to `metrics`.",
)  # fmt: skip
def two_losses_for_one_output():
    model = classifier()
    model.compile("adam", loss=["mse", "mae"])


@mistake("A loss function of one argument", errors.InvalidType, """
compile: loss: a loss is called with targets and predictions.
  expected: <lambda>(y_true, y_pred)
  got:      <lambda>(error): too many positional arguments
  try:      further settings go into defaults, or into functools.partial
""",
    "`def loss(y_true, y_pred): …`.",
)  # fmt: skip
def loss_of_one_argument():
    model = classifier()
    model.compile("adam", loss=lambda error: error**2)
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 3)), verbose=0)


@mistake("A loss function that forgets to return", errors.InvalidType, """
kerata.ops: None is no tensor.
  try:      did a function forget to return?
in the loss of output 'dense'
""",
    "`return` the loss, one value a sample.",
)  # fmt: skip
def loss_that_returns_nothing():
    def squares(y_true, y_pred):
        kerata.ops.mean((y_true - y_pred) ** 2)

    model = classifier()
    model.compile("adam", loss=squares)
    model.fit(numpy.ones((8, 4)), numpy.ones((8, 3)), verbose=0)


@mistake("Called too early: the loss itself in the place of its result", errors.InvalidType, """
compile: loss: this is no loss.
  expected: a name, a Loss, or a function (y_true, y_pred)
  got:      3.0
  try:      loss='mse', or a function itself, without calling it
""",
    "`loss=kerata.losses.Huber()`, or its name.",
)  # fmt: skip
def loss_that_is_no_loss():
    model = classifier()
    model.compile("adam", loss=3.0)


@mistake("A weight for each class, and two outputs", errors.InvalidArgument, """
fit: `class_weight` needs one output with class labels.
  try:      use sample_weight instead
""",
    "`sample_weight=[w1, w2]`, with a weight for each row of each output.",
)  # fmt: skip
def class_weight_with_two_outputs():
    x = kerata.Input((4,))
    model = kerata.Model(x, [layers.Dense(1, name="price")(x), layers.Dense(1, name="rent")(x)])
    model.compile("adam", "mse")
    y = [numpy.ones((8, 1)), numpy.ones((8, 1))]
    model.fit(numpy.ones((8, 4)), y, class_weight={0: 1.0, 1: 2.0}, verbose=0)

"""Shapes of inputs."""

import numpy
from catalogue import mistake

import kerata
from kerata import errors, layers


@mistake("Rows of another length than the model was made for", errors.ShapeMismatch, """
input 'input_layer' of model 'sequential': the data do not fit the input.
  expected: shape (None, 4)
  got:      shape (8, 3)
  try:      make the model for such data, with kerata.Input((3,)), or bring the data to its shape
in layer 'sequential' (Sequential), called with inputs=float32[8, 3], training=False
""",
    "Give `Input` the shape of one row of your data, `x.shape[1:]`.",
)  # fmt: skip
def wrong_last_dimension():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(2)])
    model.predict(numpy.ones((8, 3)), verbose=0)


@mistake("One sample instead of a batch of one", errors.ShapeMismatch, """
input 'input_layer' of model 'sequential': the data do not fit the input.
  expected: shape (None, 28, 28, 1)
  got:      shape (28, 28, 1)
  try:      is the batch axis missing? x[None] makes a batch of one sample
in layer 'sequential' (Sequential), called with inputs=float32[28, 28, 1], training=False
""",
    "A model takes batches: `model.predict(sample[None])`.",
)  # fmt: skip
def one_sample_is_no_batch():
    model = kerata.Sequential([kerata.Input((28, 28, 1)), layers.Flatten(), layers.Dense(2)])
    sample = numpy.ones((28, 28, 1))
    model.predict(sample, verbose=0)


@mistake("Grey images without their channel axis", errors.ShapeMismatch, """
layer 'conv2d' (Conv2D): the input has the wrong number of axes.
  expected: 4 axes, the batch included
  got:      shape (None, 28, 28)
  try:      add the missing axis: x[..., None] for a channel axis, x[None] for a batch of one sample
in layer 'conv2d' (Conv2D), called with inputs=float32[None, 28, 28]
""",
    "`x = x[..., None]`, or `numpy.expand_dims(x, -1)`.",
)  # fmt: skip
def images_without_channels():
    model = kerata.Sequential([kerata.Input((28, 28)), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(10)])


@mistake("Images without channels come to a model that wants them", errors.ShapeMismatch, """
layer 'conv2d' (Conv2D): the input has the wrong number of axes.
  expected: 4 axes, the batch included
  got:      shape (8, 28, 28)
  try:      add the missing axis: x[..., None] for a channel axis, x[None] for a batch of one sample
in layer 'conv2d' (Conv2D), called with inputs=float32[8, 28, 28]
""",
    "`x = x[..., None]`, or `numpy.expand_dims(x, -1)`.",
)  # fmt: skip
def data_without_channels():
    conv = layers.Conv2D(8, 3)
    conv(numpy.ones((8, 28, 28)))


@mistake("Channels first, where channels last are meant", errors.ShapeMismatch, """
input 'input_layer' of model 'sequential': the data do not fit the input.
  expected: shape (None, 32, 32, 3)
  got:      shape (8, 3, 32, 32)
  try:      the channels come first here and last there: numpy.moveaxis(x, 1, -1)
in layer 'sequential' (Sequential), called with inputs=float32[8, 3, 32, 32], training=False
""",
    "`x = numpy.moveaxis(x, 1, -1)`, or build the layers with `data_format=\"channels_first\"`.",
)  # fmt: skip
def channels_first():
    model = kerata.Sequential([kerata.Input((32, 32, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.predict(numpy.ones((8, 3, 32, 32)), verbose=0)


@mistake("A recurrent layer on rows without a time axis", errors.ShapeMismatch, """
layer 'lstm' (LSTM): the input has the wrong number of axes.
  expected: 3 axes, the batch included
  got:      shape (None, 20)
  try:      sequences are (batch, time, features): x[..., None] for one feature a step; between recurrent layers return_sequences=True
in layer 'lstm' (LSTM), called with sequences=float32[None, 20]
""",
    "Sequences are (batch, time, features): `x = x[..., None]` makes each number a step with one feature.",
)  # fmt: skip
def recurrence_without_time():
    model = kerata.Sequential([kerata.Input((20,)), layers.LSTM(8), layers.Dense(1)])


@mistake("Stacked recurrent layers without `return_sequences`", errors.ShapeMismatch, """
layer 'lstm_1' (LSTM): the input has the wrong number of axes.
  expected: 3 axes, the batch included
  got:      shape (None, 8)
  try:      sequences are (batch, time, features): x[..., None] for one feature a step; between recurrent layers return_sequences=True
in layer 'lstm_1' (LSTM), called with sequences=float32[None, 8]
""",
    "All but the last recurrent layer: `layers.LSTM(8, return_sequences=True)`.",
)  # fmt: skip
def recurrence_that_ends_too_early():
    model = kerata.Sequential([kerata.Input((20, 3)), layers.LSTM(8), layers.LSTM(8)])


@mistake("`Dense` on an axis of unknown length", errors.ShapeMismatch, """
layer 'dense' (Dense): the weights depend on a size that is not known yet.
  expected: a known size along axis -1
  got:      shape (None, None)
  try:      give this size in Input(shape): only the others, such as the number of steps, may be None
in layer 'dense' (Dense), called with inputs=float32[None, None]
""",
    "`kerata.Input((None, 16))`: only the number of features must be known, not the number of steps.",
)  # fmt: skip
def unknown_number_of_features():
    inputs = kerata.Input((None,))
    layers.Dense(2)(inputs)


@mistake("`Flatten` and `Dense` on images of another size than before", errors.ShapeMismatch, """
input 'input_layer' of model 'sequential': the data do not fit the input.
  expected: shape (1, 8, 8, 3)
  got:      shape (1, 10, 10, 3)
  try:      make the model for such data, with kerata.Input((10, 10, 3)), or bring the data to its shape
in layer 'sequential' (Sequential), called with inputs=float32[1, 10, 10, 3]
""",
    "Resize the images, or put `layers.GlobalAveragePooling2D()` in the place of `Flatten`.",
)  # fmt: skip
def images_of_another_size():
    model = kerata.Sequential([layers.Flatten(), layers.Dense(2)])
    model(numpy.ones((1, 8, 8, 3)))
    model(numpy.ones((1, 10, 10, 3)))


@mistake("A kernel larger than the image", errors.ShapeMismatch, """
layer 'sequential/conv2d' (Conv2D): the window is larger than the input.
  expected: at least (3, 3) cells along axes (1, 2)
  got:      shape (None, 2, 2, 1)
  try:      padding="same" keeps the size; or there are too many layers before this that make it smaller
in layer 'sequential/conv2d' (Conv2D), called with inputs=float32[None, 2, 2, 1]
""",
    "`padding=\"same\"`, a smaller kernel, or fewer layers that shrink the image before it.",
)  # fmt: skip
def kernel_larger_than_the_image():
    model = kerata.Sequential([kerata.Input((2, 2, 1)), layers.Conv2D(8, kernel_size=3)])


@mistake("More pooling than the image bears", errors.ShapeMismatch, """
layer 'max_pooling2d_2' (MaxPooling2D): the window is larger than the input.
  expected: at least (2, 2) cells along axes (1, 2)
  got:      shape (None, 1, 1, 1)
  try:      padding="same" keeps the size; or there are too many layers before this that make it smaller
in layer 'max_pooling2d_2' (MaxPooling2D), called with inputs=float32[None, 1, 1, 1]
""",
    "Leave out a pooling layer, or give it `padding=\"same\"`.",
)  # fmt: skip
def too_much_pooling():
    x = kerata.Input((6, 6, 1))
    for _ in range(3):
        x = layers.MaxPooling2D()(x)


@mistake("Joining tensors that differ along another axis", errors.ShapeMismatch, """
layer 'concatenate' (Concatenate): only along axis -1 may the sizes differ; axis 1 does.
  expected: one size along axis 1
  got:      shapes (None, 4, 3), (None, 5, 3)
  try:      join along that axis: axis=1
in layer 'concatenate' (Concatenate), called with inputs=[float32[None, 4, 3], float32[None, 5, 3]]
""",
    "Join along the axis where they differ: `layers.Concatenate(axis=1)`.",
)  # fmt: skip
def joining_what_does_not_fit():
    left, right = kerata.Input((4, 3)), kerata.Input((5, 3))
    layers.Concatenate()([left, right])


@mistake("Adding tensors of different width", errors.ShapeMismatch, """
layer 'add' (Add): the shapes of the inputs do not go together.
  expected: equal sizes, or 1, along the other axes
  got:      shapes (None, 16), (None, 8)
  try:      bring one to the shape of the other: Dense for the last axis, Reshape or pooling for those before
in layer 'add' (Add), called with inputs=[float32[None, 16], float32[None, 8]]
""",
    "Bring both to one width first: `layers.Dense(8)(x)` on the shortcut.",
)  # fmt: skip
def adding_what_does_not_fit():
    x = kerata.Input((16,))
    layers.Add()([x, layers.Dense(8)(x)])


@mistake("`Add` with one tensor", errors.InvalidArgument, """
layer 'add' (Add): the input is not what is merged here.
  expected: a list of tensors
  got:      one tensor of shape (None, 4)
  try:      Add()([x, y])
in layer 'add' (Add), called with inputs=float32[None, 4]
""",
    "`layers.Add()([x, y])`: the tensors come in a list.",
)  # fmt: skip
def merging_one_tensor():
    layers.Add()(kerata.Input((4,)))


@mistake("`Reshape` to another number of values", errors.ShapeMismatch, """
layer 'reshape' (Reshape): the values do not fit into the new shape.
  expected: 9 values
  got:      10 values in shape (10,), target_shape=(3, 3)
  try:      the batch axis stays as it is and is not counted
in layer 'reshape' (Reshape), called with inputs=float32[None, 10]
""",
    "The product of the new shape must be that of the old; -1 stands for one axis that follows from the others.",
)  # fmt: skip
def reshaping_to_another_size():
    layers.Reshape((3, 3))(kerata.Input((10,)))


@mistake("`BatchNormalization` along an axis that is not there", errors.ShapeMismatch, """
layer 'batch_normalization' (BatchNormalization): there is no such axis in the input.
  expected: an axis from -4 to 3
  got:      axis 4 of shape (None, 8, 8, 3)
  try:      axes count from 0, the batch; -1 is the last, the channels or features
in layer 'batch_normalization' (BatchNormalization), called with inputs=float32[None, 8, 8, 3]
""",
    "`axis=-1` for channels last, `axis=1` for channels first.",
)  # fmt: skip
def normalization_axis_out_of_range():
    layers.BatchNormalization(axis=4)(kerata.Input((8, 8, 3)))


@mistake("`GlobalAveragePooling2D` after `Flatten`", errors.ShapeMismatch, """
layer 'global_average_pooling2d' (GlobalAveragePooling2D): the input has the wrong number of axes.
  expected: 4 axes, the batch included
  got:      shape (None, 192)
  try:      axes were lost before: by Flatten, by pooling, or by a recurrent layer without return_sequences=True
in layer 'global_average_pooling2d' (GlobalAveragePooling2D), called with inputs=float32[None, 192]
""",
    "Leave `Flatten` out: global pooling does its work.",
)  # fmt: skip
def pooling_after_flatten():
    model = kerata.Sequential([kerata.Input((8, 8, 3)), layers.Flatten(), layers.GlobalAveragePooling2D()])


@mistake("A product of matrices that do not fit", errors.ShapeMismatch, """
ops.matmul: the shapes do not go together.
  expected: the last axis of x1 as long as the last but one of x2
  got:      x1: float32[2, 3], x2: float32[2, 3]
  try:      compare the shapes; ops.transpose, reshape and expand_dims change them
""",
    "`kerata.ops.matmul(a, kerata.ops.transpose(b))`.",
)  # fmt: skip
def matrices_that_do_not_fit():
    a, b = numpy.ones((2, 3)), numpy.ones((2, 3))
    kerata.ops.matmul(a, b)


@mistake("One input for a model with two", errors.InvalidArgument, """
model 'functional': the number of inputs is wrong.
  expected: 2: a (None, 3), b (None, 2)
  got:      1: (8, 3)
  try:      give a list in this order, or a dict by these names
in layer 'functional' (Functional), called with inputs=float32[8, 3], training=False
""",
    "`model.predict([a, b])`: the inputs come in a list, in the order of `Model(inputs=[…])`.",
)  # fmt: skip
def one_input_of_two():
    a, b = kerata.Input((3,), name="a"), kerata.Input((2,), name="b")
    model = kerata.Model([a, b], layers.Dense(1)(layers.Concatenate()([a, b])))
    model.predict(numpy.ones((8, 3)), verbose=0)


@mistake("A dict of inputs with a wrong name", errors.InvalidArgument, """
model 'functional': the dict lacks the input 'place'.
  expected: ['age', 'place']
  got:      ['age', 'plaec']
  try:      'plaec' is no input: did you mean 'place' or 'age'?
in layer 'functional' (Functional), called with inputs={age: float32[8, 3], plaec: float32[8, 2]}, training=False
""",
    "Name the inputs in the dict as they are named in `Input(…, name=…)`.",
)  # fmt: skip
def input_of_another_name():
    a, b = kerata.Input((3,), name="age"), kerata.Input((2,), name="place")
    model = kerata.Model({"age": a, "place": b}, layers.Dense(1)(layers.Concatenate()([a, b])))
    model.predict({"age": numpy.ones((8, 3)), "plaec": numpy.ones((8, 2))}, verbose=0)


@mistake("A word index larger than the vocabulary", errors.InvalidArgument, """
layer 'embedding' (Embedding): a number is not in the table.
  expected: ints from 0 to 99
  got:      from 3 to 100
  try:      `input_dim` is the size of the vocabulary: the largest number plus one
in layer 'embedding' (Embedding), called with inputs=int32[1, 3]
""",
    "`input_dim` is the largest index plus one: `layers.Embedding(x.max() + 1, 8)`.",
)  # fmt: skip
def index_out_of_vocabulary():
    words = layers.Embedding(input_dim=100, output_dim=8)
    words(numpy.array([[3, 7, 100]]))


@mistake("A word index larger than the vocabulary, in `fit`", errors.InvalidArgument, """
layer 'sequential/embedding' (Embedding): a number is not in the table.
  expected: ints from 0 to 99
  got:      from 3 to 100
  try:      `input_dim` is the size of the vocabulary: the largest number plus one
""",
    "`input_dim` is the largest index plus one: `layers.Embedding(x.max() + 1, 8)`.",
)  # fmt: skip
def index_out_of_vocabulary_in_fit():
    model = kerata.Sequential([kerata.Input((3,)), layers.Embedding(100, 8), layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = numpy.array([[3, 7, 100]]), numpy.ones((1, 1))
    model.fit(x, y, verbose=0)


@mistake("Text given to a layer for numbers", errors.InvalidType, """
predict: x: the data are text, and the model takes numbers.
  expected: numbers
  got:      an array of dtype <U4
  try:      turn text and categories into numbers first, or start the model with kerata.Input((1,), dtype="string") and TextVectorization or StringLookup
""",
    "`layers.TextVectorization`, `StringLookup` or `CategoryEncoding` turn text into numbers.",
)  # fmt: skip
def text_is_no_number():
    model = kerata.Sequential([kerata.Input((1,)), layers.Dense(1)])
    model.predict(numpy.array([["red"], ["blue"]]), verbose=0)


@mistake("A layer called on plain lists", errors.ShapeMismatch, """
layer 'dense' (Dense): the number of inputs is wrong.
  expected: 1 tensor(s)
  got:      4: 1.0, 2.0, 3.0, 4.0
  try:      plain lists are no tensors: numpy.array(x)
in layer 'dense' (Dense), called with inputs=[[1.0, 2.0], [3.0, 4.0]]
""",
    "`layers.Dense(2)(numpy.array([[1.0, 2.0], [3.0, 4.0]]))`.",
)  # fmt: skip
def layer_called_on_lists():
    layers.Dense(2)([[1.0, 2.0], [3.0, 4.0]])

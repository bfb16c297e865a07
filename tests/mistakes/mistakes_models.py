"""Making layers and models."""

import numpy
from catalogue import mistake

import kerata
from kerata import errors, layers


@mistake("A negative number of units", errors.InvalidArgument, """
Dense: `units` cannot be this.
  expected: a positive int
  got:      units=-10
  try:      print the value: what is it computed from?
""",
    "`layers.Dense(10)`.",
)  # fmt: skip
def negative_units():
    layers.Dense(-10)


@mistake("Units that are no whole number", errors.InvalidArgument, """
Dense: `units` cannot be this.
  expected: a positive int
  got:      units=3.5
  try:      units=3.5 is no int: divide with //, or int(units)
""",
    "`layers.Dense(x.shape[-1] // 2)`: a single slash makes a float.",
)  # fmt: skip
def units_that_are_a_float():
    layers.Dense(7 / 2)


@mistake("The units forgotten in a variable that is None", errors.InvalidArgument, """
Dense: `units` cannot be this.
  expected: a positive int
  got:      units=None
  try:      print the value: what is it computed from?
""",
    "Print the value: often a function forgot to return it.",
)  # fmt: skip
def units_that_are_none():
    layers.Dense(None)


@mistake("A typo in the name of an activation", errors.UnknownName, """
Dense: activation: there is no activation named 'rellu'.
  try:      did you mean 'relu' or 'relu6' or 'elu'?
""",
    "The names are those of the functions in `kerata.activations`.",
)  # fmt: skip
def unknown_activation():
    layers.Dense(10, activation="rellu")


@mistake("A typo in the name of an argument", errors.InvalidType, """
Dense(…): unknown arguments.
  got:      ['activaton']
  try:      did you mean 'activation' or 'quantization_config'?
""",
    "`layers.Dense(10, activation=\"relu\")`.",
)  # fmt: skip
def unknown_argument():
    layers.Dense(10, activaton="relu")


@mistake("A padding that is not there", errors.InvalidArgument, """
Conv2D: `padding` cannot be this.
  expected: ('valid', 'same')
  got:      padding='sane'
  try:      did you mean 'same'?
""",
    "`padding=\"same\"` or `padding=\"valid\"`.",
)  # fmt: skip
def unknown_padding():
    layers.Conv2D(8, 3, padding="sane")


@mistake("A typo in the name of an initializer", errors.UnknownName, """
Dense: kernel_initializer: there is no initializer named 'glorot_unifrom'.
  try:      did you mean 'glorot_uniform' or 'glorot_normal' or 'random_uniform'?
""",
    "The names are those of the classes in `kerata.initializers`, in small letters.",
)  # fmt: skip
def unknown_initializer():
    layers.Dense(10, kernel_initializer="glorot_unifrom")


@mistake("A typo in the name of a regularizer", errors.UnknownName, """
Dense: kernel_regularizer: there is no regularizer named 'L3'.
  try:      did you mean 'L2' or 'L1'?
""",
    "`kernel_regularizer=\"l2\"`, or `kerata.regularizers.L2(1e-4)`.",
)  # fmt: skip
def unknown_regularizer():
    layers.Dense(10, kernel_regularizer="L3")


@mistake("A dtype that is not there", errors.UnknownName, """
Dense: dtype: there is no dtype policy named 'flaot32'.
  try:      did you mean 'float32' or 'float64' or 'float16'?
""",
    "`dtype=\"float32\"`, or a policy such as `\"mixed_bfloat16\"`.",
)  # fmt: skip
def unknown_dtype():
    layers.Dense(10, dtype="flaot32")


@mistake("`Dropout` in per cent", errors.InvalidArgument, """
Dropout: `rate` cannot be this.
  expected: 0 <= rate <= 1
  got:      rate=20
  try:      for 20 % give 0.2
""",
    "`layers.Dropout(0.2)`.",
)  # fmt: skip
def dropout_in_per_cent():
    layers.Dropout(20)


@mistake("A kernel with the wrong number of sizes", errors.InvalidArgument, """
Conv2D: `kernel_size` cannot be this.
  expected: an int or 2 ints, each 1 or more
  got:      kernel_size=(3, 3, 3)
  try:      one number for every axis, or 2 for the 2 axes of its own besides batch and channels
""",
    "`kernel_size=3`, or one for each axis: `(3, 3)`.",
)  # fmt: skip
def kernel_of_three_sizes():
    layers.Conv2D(8, kernel_size=(3, 3, 3))


@mistake("`RNN` with a number instead of a cell", errors.InvalidType, """
RNN: this is no cell.
  expected: an object with `call(inputs, states)` and `state_size`
  got:      32
  try:      it has no `call` and no `state_size`
""",
    "`layers.SimpleRNN(32)`, or `layers.RNN(layers.LSTMCell(32))`.",
)  # fmt: skip
def rnn_without_a_cell():
    layers.RNN(32)


@mistake("`Bidirectional` around what is not recurrent", errors.InvalidType, """
Bidirectional: `layer` is a recurrent layer.
  expected: a layer such as LSTM or GRU
  got:      <Dense name=dense, built=False>
  try:      for other layers Bidirectional has no meaning: leave it out
""",
    "`layers.Bidirectional(layers.LSTM(8))`.",
)  # fmt: skip
def bidirectional_dense():
    layers.Bidirectional(layers.Dense(8))


@mistake("The parentheses of a layer forgotten", errors.InvalidType, """
model 'sequential': only layers can be added.
  expected: a layer
  got:      <class 'kerata.layers.reshaping.Flatten'>
  try:      the parentheses are missing: Flatten(…)
""",
    "`kerata.Sequential([layers.Flatten(), layers.Dense(1)])`.",
)  # fmt: skip
def layer_without_parentheses():
    kerata.Sequential([layers.Flatten, layers.Dense(1)])


@mistake("The brackets of `Sequential` forgotten", errors.InvalidType, """
model 'sequential': the layers come in a list.
  expected: a list of layers
  got:      <Dense name=dense, built=False>
  try:      kerata.Sequential([layers.Dense(8), layers.Dense(1)])
""",
    "`kerata.Sequential([layers.Dense(8), layers.Dense(1)])`: the layers come in a list.",
)  # fmt: skip
def sequential_without_brackets():
    kerata.Sequential(layers.Dense(8), layers.Dense(1))


@mistake("Layers in a list given to `Model`", errors.InvalidArgument, """
Model: a model takes inputs and outputs, or only keywords.
  expected: Model(inputs, outputs)
  got:      1 argument: [<Dense name=dense, built=False>, <Dense name=dense_1, built=False>]
  try:      a list of layers makes a Sequential([…]); a subclass passes only keywords to super().__init__
""",
    "`kerata.Sequential([…])` takes a list of layers; `Model` takes inputs and outputs.",
)  # fmt: skip
def model_of_a_list():
    kerata.Model([layers.Dense(8), layers.Dense(1)])


@mistake("A layer given to `Model` as its output", errors.InvalidType, """
model 'functional': an output of a functional model is a symbolic tensor.
  expected: kerata.Input(...) or the result of layers called on one
  got:      <Dense name=dense, built=False>
  try:      call the layer on a tensor: outputs = layer(inputs)
""",
    "`outputs = layers.Dense(1)(inputs)`: the layer must be called.",
)  # fmt: skip
def layer_as_an_output():
    inputs = kerata.Input((4,))
    outputs = layers.Dense(1)
    kerata.Model(inputs, outputs)


@mistake("Outputs that do not come from the inputs", errors.InvalidArgument, """
input of 'dense': an output does not follow from the given inputs.
  expected: inputs ['inputs']
  got:      it also needs 'others' of shape (None, 4)
  try:      list every Input that the outputs need
""",
    "Follow the outputs back: some layer is called on another `Input` than the one given to `Model`.",
)  # fmt: skip
def disconnected_model():
    inputs, others = kerata.Input((4,), name="inputs"), kerata.Input((4,), name="others")
    kerata.Model(inputs, layers.Dense(1)(others))


@mistake("Two layers of one name", errors.InvalidArgument, """
model 'sequential': two layers have the same name.
  expected: a name for each layer
  got:      'hidden'
  try:      give one of them another `name=`; the same layer cannot be stacked twice
""",
    "`layers.Dense(8, name=\"hidden_2\")`, or no names at all.",
)  # fmt: skip
def one_name_twice():
    kerata.Sequential([kerata.Input((4,)), layers.Dense(8, name="hidden"), layers.Dense(8, name="hidden")])


@mistake("Two layers of one name in a functional model", errors.InvalidArgument, """
model 'functional': two layers have the same name.
  expected: a name for each layer
  got:      'hidden'
  try:      give one of them another `name=`
""",
    "`layers.Dense(8, name=\"hidden_2\")`, or no names at all.",
)  # fmt: skip
def one_name_twice_in_a_graph():
    inputs = kerata.Input((4,))
    x = layers.Dense(8, name="hidden")(inputs)
    kerata.Model(inputs, layers.Dense(8, name="hidden")(x))


@mistake("One layer stacked twice", errors.InvalidArgument, """
model 'sequential': two layers have the same name.
  expected: a name for each layer
  got:      'dense'
  try:      give one of them another `name=`; the same layer cannot be stacked twice
""",
    "Make a layer for each place; to share weights call the layer twice and use `Model(inputs, outputs)`.",
)  # fmt: skip
def one_layer_twice():
    dense = layers.Dense(4)
    kerata.Sequential([kerata.Input((4,)), dense, dense])


@mistake("An `Input` in the middle of the stack", errors.InvalidArgument, """
model 'sequential': an Input comes first, and there is one at most.
  expected: an Input before all layers
  got:      already there: ['dense']
  try:      put it first; layers inside need no Input of their own
""",
    "`Input` comes first, once.",
)  # fmt: skip
def input_in_the_middle():
    kerata.Sequential([layers.Dense(4), kerata.Input((4,)), layers.Dense(2)])


@mistake("A slash in a name", errors.InvalidArgument, """
Dense: a layer's name holds no '/'.
  got:      'block1/dense'
  try:      name='block1_dense'
""",
    "Use an underscore: the slash divides the names in a path.",
)  # fmt: skip
def slash_in_a_name():
    layers.Dense(8, name="block1/dense")


@mistake("NumPy on a tensor that has no values yet", errors.InvalidType, """
KerasTensor 'input_layer': a symbolic tensor has no values yet, so it cannot be turned into a NumPy array.
  expected: an operation of kerata
  got:      shape=(None, 4), dtype=float32
  try:      compute with kerata.ops or inside a Layer's `call`; values come when the model is called on data
""",
    "`kerata.ops.exp(inputs)`: nearly every function of NumPy is there under its name.",
)  # fmt: skip
def numpy_on_a_symbolic_tensor():
    inputs = kerata.Input((4,))
    outputs = numpy.exp(inputs)


@mistake("`if` on a tensor that has no values yet", errors.InvalidType, """
KerasTensor 'keras_tensor': a symbolic tensor has no values yet, so it cannot be used as a condition.
  expected: an operation of kerata
  got:      shape=(None,), dtype=bool
  try:      compute with kerata.ops or inside a Layer's `call`; values come when the model is called on data
""",
    "`kerata.ops.where(x > 0, x, 0.1 * x)` chooses value by value.",
)  # fmt: skip
def condition_on_a_symbolic_tensor():
    x = kerata.Input(())
    if x > 0:
        y = x


@mistake("A loop over a tensor that has no values yet", errors.InvalidType, """
KerasTensor 'input_layer': a symbolic tensor has no values yet, so it cannot be looped over.
  expected: an operation of kerata
  got:      shape=(None, 3), dtype=float32
  try:      compute with kerata.ops or inside a Layer's `call`; values come when the model is called on data
""",
    "Index it with numbers: `x[:, 0]`, `x[:, 1]` …, or compute with the whole.",
)  # fmt: skip
def loop_over_a_symbolic_tensor():
    inputs = kerata.Input((3,))
    columns = [column for column in inputs]


@mistake("`summary` before the input's shape is known", errors.NotBuilt, """
layer 'sequential' (Sequential): the layer has no weights yet.
  try:      build it, or call it on data, first
""",
    "Start with `kerata.Input((4,))`, or call `model.build((None, 4))`.",
)  # fmt: skip
def weights_before_they_are_made():
    model = kerata.Sequential([layers.Dense(8), layers.Dense(1)])
    model.count_params()


@mistake("A weight of a layer that is not built", AttributeError, """
layer 'dense' (Dense) has no `kernel` before it is built: call it on data, or build(input_shape).
""",
    "`layer.build((None, 4))`, or call the layer on data first.",
)  # fmt: skip
def kernel_before_it_is_made():
    layer = layers.Dense(8)
    layer.kernel


@mistake("The output of a layer that was never called", errors.StateError, """
dense: it has no symbolic output: it was never called on symbolic tensors.
  try:      call it on kerata.Input(...), or build the Sequential model with an Input
""",
    "Start the model with `kerata.Input(…)`, or call it once.",
)  # fmt: skip
def output_of_a_layer_never_called():
    layers.Dense(8).output


@mistake("Weights of another shape", errors.ShapeMismatch, """
layer 'dense' (Dense).set_weights: the arrays have other shapes than the weights.
  expected: [(4, 2), (2,)]
  got:      [(4, 3), (3,)]
  try:      they come in the order of `get_weights()`, from a layer or model of the same architecture
""",
    "`[w.shape for w in layer.get_weights()]` tells what the layer wants.",
)  # fmt: skip
def weights_of_another_shape():
    layer = layers.Dense(2)
    layer.build((None, 4))
    layer.set_weights([numpy.ones((4, 3)), numpy.ones(3)])


@mistake("Too few weights", errors.InvalidArgument, """
layer 'dense' (Dense).set_weights: the number of arrays is wrong.
  expected: 2 arrays of shapes [(4, 2), (2,)]
  got:      1 arrays
  try:      get_weights() shows them in their order
""",
    "`len(layer.get_weights())` tells how many there are: often the bias is forgotten.",
)  # fmt: skip
def too_few_weights():
    layer = layers.Dense(2)
    layer.build((None, 4))
    layer.set_weights([numpy.ones((4, 2))])


@mistake("A layer that is not in the model", errors.UnknownName, """
model 'sequential': there is no layer named 'hiden'.
  try:      did you mean 'hidden'?
""",
    "`[layer.name for layer in model.layers]`.",
)  # fmt: skip
def layer_that_is_not_there():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(8, name="hidden"), layers.Dense(1, name="score")])
    model.get_layer("hiden")


@mistake("An engine that is not there", errors.UnknownName, """
kerata.config.set_engine: there is no engine named 'tensorflow'.
  try:      known names: jax, numpy, torch
""",
    "`KERATA_ENGINE=jax` or `torch`.",
)  # fmt: skip
def unknown_engine():
    kerata.config.set_backend("tensorflow")


@mistake("A device that is not there", errors.InvalidArgument, """
device: there is no such device.
  expected: ['cpu:0']
  got:      gpu:7
  try:      JAX sees the devices above; nvidia-smi tells what the machine has
""",
    "`\"cpu\"`, or `\"gpu:0\"` where there is one.",
)  # fmt: skip
def unknown_device():
    with kerata.device("gpu:7"):
        kerata.ops.ones(3)

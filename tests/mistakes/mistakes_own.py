"""Layers and models of your own."""

import numpy
from catalogue import mistake

import kerata
from kerata import errors, layers


@mistake("`super().__init__()` forgotten", errors.StateError, """
Scale: the layer is not initialised.
  expected: `super().__init__()` before anything else
  try:      call `super().__init__(**kwargs)` first in its `__init__`
""",
    "`super().__init__(**kwargs)` is the first line of `__init__`.",
)  # fmt: skip
def super_forgotten():
    class Scale(layers.Layer):
        def __init__(self, factor):
            self.factor = factor

        def call(self, x):
            return x * self.factor

    Scale(2.0)(numpy.ones((1, 3)))


@mistake("`super().__init__()` forgotten in a model", errors.StateError, """
Net: the layer is not initialised.
  expected: `super().__init__()` before anything else
  try:      call `super().__init__(**kwargs)` first in its `__init__`
""",
    "`super().__init__(**kwargs)` is the first line of `__init__`.",
)  # fmt: skip
def super_forgotten_in_a_model():
    class Net(kerata.Model):
        def __init__(self):
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    Net()(numpy.ones((1, 3)))


@mistake("No `call`", errors.Unsupported, """
Net 'net': the model has no `call`.
  expected: a method `call(self, inputs)`
  got:      the methods ['__init__', 'forward']
  try:      define `call(self, inputs)`, or make the model with Model(inputs, outputs)
in layer 'net' (Net), called with args=float32[1, 3]
""",
    "`def call(self, x): …` — not `forward`, nor `__call__`.",
)  # fmt: skip
def no_call():
    class Net(kerata.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def forward(self, x):
            return self.dense(x)

    Net()(numpy.ones((1, 3)))


@mistake("`call` returns nothing", errors.InvalidType, """
model 'functional': an output of a functional model is a symbolic tensor.
  expected: kerata.Input(...) or the result of layers called on one
  got:      None
  try:      did a function or a `call` forget to return?
""",
    "`return` the outputs.",
)  # fmt: skip
def call_returns_nothing():
    class Twice(layers.Layer):
        def call(self, x):
            2 * x

    inputs = kerata.Input((3,))
    kerata.Model(inputs, Twice()(inputs))


@mistake("Layers made anew in each call", errors.StateError, """
model 'net': train step: each run of the step makes new Variables, so they never come to an end.
  expected: layers made in `__init__`, weights in `build`
  got:      made anew each time: net/dense_[…]/kernel, net/dense_[…]/bias
  try:      move `self.dense = layers.Dense(…)` to `__init__`, and call self.dense(x) in `call`
""",
    "Make layers in `__init__`, weights in `build`.",
)  # fmt: skip
def layers_made_in_call():
    class Net(kerata.Model):
        def call(self, x):
            return layers.Dense(1)(x)

    model = Net()
    model.compile("sgd", "mse")
    model.fit(numpy.ones((4, 3)), numpy.ones((4, 1)), verbose=0)


@mistake("Weights made anew in each call", errors.StateError, """
layer 'scale' (Scale): a weight is made in `call`, which would make another one at each call.
  expected: weights made in `build(self, input_shape)`, which runs once
  got:      add_weight(name=None)
  try:      move add_weight to `build`, and keep its result: self.scale = self.add_weight(…)
in layer 'scale' (Scale), called with x=float32[1, 3]
""",
    "Make weights in `build(self, input_shape)`.",
)  # fmt: skip
def weights_made_in_call():
    class Scale(layers.Layer):
        def call(self, x):
            return x * self.add_weight(shape=(), initializer="ones")

    layer = Scale()
    layer(numpy.ones((1, 3)))


@mistake("`if` on a tensor's value in a compiled step", errors.ValueUnknown, """
mistakes_own.py, line […], in call: `if`, `while` or `assert` asks for the value of a tensor, which has none while the step is being compiled.
  expected: a formula that holds for all values
  got:      Attempted boolean conversion of traced array with shape bool[].
  try:      use kerata.ops: where, cond, while_loop, and the functions of NumPy under their names; or compile(…, run_eagerly=True)
in layer 'net' (Net), called with x=float32[4, 3], training=True
""",
    "`kerata.ops.where(mean > 0, x, -x)`, or `kerata.ops.cond`; or `compile(…, run_eagerly=True)` to look inside.",
)  # fmt: skip
def condition_in_a_compiled_step():
    class Net(kerata.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            x = self.dense(x)
            if kerata.ops.mean(x) > 0:
                return x
            return -x

    model = Net()
    model.compile("sgd", "mse")
    model.fit(numpy.ones((4, 3)), numpy.ones((4, 1)), verbose=0)


@mistake("NumPy in a compiled step", errors.ValueUnknown, """
mistakes_own.py, line […], in call: NumPy asks for the values of a tensor, which has none while the step is being compiled.
  expected: a formula that holds for all values
  got:      The numpy.ndarray conversion method __array__() was called on traced array with shape float32[2520,3]
  try:      use kerata.ops: where, cond, while_loop, and the functions of NumPy under their names; or compile(…, run_eagerly=True)
in layer 'center' (Center), called with x=float32[None, 3]
""",
    "`kerata.ops.median(x)`; or `compile(…, run_eagerly=True)` to look inside.",
)  # fmt: skip
def numpy_in_a_compiled_step():
    class Center(layers.Layer):
        def call(self, x):
            return x - numpy.median(x)

    model = kerata.Sequential([kerata.Input((3,)), Center(), layers.Dense(1)])


@mistake("A layer that holds itself", errors.StateError, """
layer 'block' (Block): the calls go round in a circle and never end.
  expected: a `call` that reaches an end
  got:      a layer that calls itself, or holds itself
  try:      call the layers inside it, each once
""",
    "Hold only the layers that stand below.",
)  # fmt: skip
def layer_that_holds_itself():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = self

        def call(self, x):
            return self.inner(x)

    Block()(numpy.ones((1, 3)))


@mistake("A model that calls itself without end", errors.StateError, """
layer 'net' (Net): the calls go round in a circle and never end.
  expected: a `call` that reaches an end
  got:      a layer that calls itself, or holds itself
  try:      call the layers inside it, each once
""",
    "Call the layers inside: `self.dense(x)`.",
)  # fmt: skip
def model_that_calls_itself():
    class Net(kerata.Model):
        def call(self, x):
            return self(x)

    Net()(numpy.ones((1, 3)))


@mistake("A weight shape that is not known", errors.ShapeMismatch, """
Variable 'variable': a Variable's shape is known in full.
  expected: ints alone
  got:      (None, 3)
  try:      take sizes from the axes that are known, such as input_shape[-1]
in layer 'scale' (Scale), called with x=float32[None, 3]
""",
    "Take the sizes from `input_shape` along axes that are known: `input_shape[-1]`, not `input_shape[0]`.",
)  # fmt: skip
def weight_for_each_sample():
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=input_shape)

        def call(self, x):
            return x * self.scale

    Scale()(kerata.Input((3,)))


@mistake("Assigning values of another shape", errors.ShapeMismatch, """
Variable 'variable': a Variable keeps its shape.
  expected: (3,)
  got:      (4,)
  try:      compare the shapes; a value of another shape needs another Variable
""",
    "A Variable keeps its shape: make a new one of the shape wanted.",
)  # fmt: skip
def assignment_of_another_shape():
    counter = kerata.Variable(numpy.zeros(3))
    counter.assign(numpy.ones(4))


@mistake("A step of one's own whose loss does not depend on the weights", errors.InvalidArgument, """
optimizer 'sgd': no Variable has a gradient.
  expected: a loss that depends on the Variables
  got:      None for sequential/dense/kernel, sequential/dense/bias
  try:      compute the loss with kerata.ops from what the model returns; NumPy and stop_gradient cut it off
""",
    "Compute the loss from what the model returns inside the function; NumPy and `stop_gradient` cut the way back.",
)  # fmt: skip
def no_gradients():
    model = kerata.Sequential([kerata.Input((3,)), layers.Dense(1)])
    optimizer = kerata.optimizers.SGD(0.1)
    gradients = [None for _ in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)


@mistake("A gradient for some weights only", UserWarning, """
optimizer 'sgd': the loss does not depend on sequential/dense/bias; they stay as they are.
""",
    "Leave the layers out of the list of variables, or let the loss use them.",
)  # fmt: skip
def some_gradients():
    model = kerata.Sequential([kerata.Input((3,)), layers.Dense(1)])
    optimizer = kerata.optimizers.SGD(0.1)
    gradients = [numpy.ones((3, 1)), None]
    optimizer.apply(gradients, model.trainable_variables)


@mistake("`train_step` returns nothing", errors.InvalidType, """
train_step_returns_nothing.<locals>.Net.train_step: `train_step` returned nothing.
  expected: a dict of what to log
  got:      None
  try:      return {"loss": loss}, or self.get_metrics_result()
""",
    "`return {\"loss\": loss}`.",
)  # fmt: skip
def train_step_returns_nothing():
    class Net(kerata.Sequential):
        def train_step(self, data):
            x, y = data
            self(x, training=True)

    model = Net([kerata.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(numpy.ones((4, 3)), numpy.ones((4, 1)), verbose=0)


@mistake("A layer whose arguments are no data", errors.InvalidType, """
serialize: this object cannot be saved: it has no `get_config`.
  expected: plain data, or an object of a class with `get_config`
  got:      an object of class object
  try:      give its class `get_config` and `from_config`, and register it with kerata.saving.register_keras_serializable
""",
    "Give plain data (numbers, strings, lists), or write `get_config` and `from_config`.",
)  # fmt: skip
def config_that_is_no_data():
    class Rule(layers.Layer):
        def __init__(self, rule, **kwargs):
            super().__init__(**kwargs)
            self.rule = rule

        def call(self, x):
            return x

    model = kerata.Sequential([kerata.Input((3,)), Rule(object())])
    model.save("model.keras")


@mistake("A class of your own that the file names", errors.UnknownName, """
deserialize (module 'mistakes_own'): there is no class named 'Scale'.
  try:      only kerata's own classes and registered ones are made from a config: decorate the class with @kerata.saving.register_keras_serializable(), or load with custom_objects={'Scale': Scale}
""",
    "`@kerata.saving.register_keras_serializable()` above the class, or `load_model(…, custom_objects={…})`.",
)  # fmt: skip
def class_that_is_not_registered():
    class Scale(layers.Layer):
        def call(self, x):
            return 2 * x

    model = kerata.Sequential([kerata.Input((3,)), Scale()])
    model.save("model.keras")
    kerata.models.load_model("model.keras")


@mistake("A lambda in a file", errors.InvalidArgument, """
deserialize: the file names a lambda, and code is never taken from files.
  try:      define the function, and load with custom_objects={name: function}
""",
    "Define a function with a name, decorate it with `@kerata.saving.register_keras_serializable()`, and save anew.",
)  # fmt: skip
def lambda_in_a_file():
    model = kerata.Sequential([kerata.Input((3,)), layers.Lambda(lambda x: 2 * x)])
    model.save("model.keras")
    kerata.models.load_model("model.keras")

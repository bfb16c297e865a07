"""Learning digits almost without labels: pictures are told apart first, and a hundred labels come later.

python examples/contrastive.py --epochs 5
Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), 2020.
"""

import argparse

import kerata
from kerata import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--rows", type=int, default=None, help="train on the first rows only")
parser.add_argument("--labels", type=int, default=100, help="how many labels the last step may see")
arguments = parser.parse_args()
kerata.utils.set_random_seed(0)

(x_train, y_train), (x_test, y_test) = kerata.datasets.mnist.load_data()
x_train, x_test = (x[: arguments.rows, ..., None].astype("float32") / 255 for x in (x_train, x_test))
y_test = y_test[: arguments.rows]


class Contrastive(kerata.Model):
    """Draws two views of each picture together and those of different pictures apart."""

    def __init__(self, encoder, temperature=0.2):
        super().__init__()
        self.encoder, self.temperature = encoder, temperature
        self.views = kerata.Sequential(
            [
                layers.RandomRotation(0.06, fill_mode="constant", seed=1),
                layers.RandomTranslation(0.12, 0.12, fill_mode="constant", seed=2),
                layers.RandomZoom(0.2, fill_mode="constant", seed=3),
            ]
        )
        self.projection = kerata.Sequential([layers.Dense(64, activation="relu"), layers.Dense(32)])

    def call(self, x, training=False):
        return self.projection(self.encoder(x, training=training))

    def train_step(self, data):
        count = ops.shape(data)[0]

        def loss_fn():
            views = ops.concatenate([self.views(data, training=True), self.views(data, training=True)])
            codes = ops.normalize(self(views, training=True), axis=-1)
            alike = codes @ ops.transpose(codes) / self.temperature - 1e9 * ops.eye(2 * count)
            twins = ops.roll(ops.arange(2 * count), count)
            loss = ops.sparse_categorical_crossentropy(twins, alike, from_logits=True)
            found = ops.mean(ops.cast(ops.argmax(alike, axis=-1) == twins, "float32"))
            return ops.mean(loss), found

        (loss, found), gradients = kerata.value_and_grad(loss_fn, self, has_aux=True)()
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss, "found_its_twin": found}


encoder = kerata.Sequential(
    [
        kerata.Input((28, 28, 1)),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.Conv2D(64, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
    ]
)
learner = Contrastive(encoder)
learner.compile(kerata.optimizers.Adam(0.001))
learner.fit(x_train, epochs=arguments.epochs, batch_size=256)

encoder.trainable = False
reader = kerata.Sequential([encoder, layers.Dense(10, activation="softmax")])
reader.compile(kerata.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
reader.fit(x_train[: arguments.labels], y_train[: arguments.labels], epochs=60, verbose=0)
_, accuracy = reader.evaluate(x_test, y_test, verbose=0)
print(f"With {arguments.labels} labels: {accuracy:.1%} of {len(x_test):,} test images right")

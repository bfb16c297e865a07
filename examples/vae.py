"""A variational autoencoder of handwritten digits: `train_step` with two terms of loss, written once for every engine.

python examples/vae.py --epochs 5
Kingma and Welling, "Auto-Encoding Variational Bayes", 2013.
"""

import argparse

import numpy as np

import kerata
from kerata import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--rows", type=int, default=None, help="train on the first rows only")
arguments = parser.parse_args()
kerata.utils.set_random_seed(0)

(x_train, _), (x_test, _) = kerata.datasets.mnist.load_data()
x_train, x_test = (x[: arguments.rows, ..., None].astype("float32") / 255 for x in (x_train, x_test))


class Autoencoder(kerata.Model):
    def __init__(self, size=2):
        super().__init__()
        self.encoder = kerata.Sequential(
            [
                layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
                layers.Flatten(),
                layers.Dense(2 * size),
            ]
        )
        self.decoder = kerata.Sequential(
            [
                layers.Dense(7 * 7 * 64, activation="relu"),
                layers.Reshape((7, 7, 64)),
                layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2DTranspose(1, 3, strides=2, padding="same"),
            ]
        )
        self.seeds = kerata.random.SeedGenerator(0)
        self.trackers = {name: kerata.metrics.Mean(name=name) for name in ("loss", "reconstruction", "divergence")}

    @property
    def metrics(self):
        return list(self.trackers.values())

    def terms(self, x):
        """Return the evidence lower bound's two terms, in nats for each image."""
        mean, log_variance = ops.split(self.encoder(x), 2, axis=-1)
        code = mean + ops.exp(0.5 * log_variance) * kerata.random.normal(ops.shape(mean), seed=self.seeds)
        error = ops.binary_crossentropy(x, self.decoder(code), from_logits=True)
        divergence = 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1 - log_variance)
        return ops.mean(ops.sum(error, axis=(1, 2, 3))), ops.mean(ops.sum(divergence, axis=-1))

    def track(self, terms):
        for name, value in zip(("loss", "reconstruction", "divergence"), (sum(terms), *terms)):
            self.trackers[name].update_state(value)
        return self.get_metrics_result()

    def call(self, x):
        return ops.sigmoid(self.decoder(ops.split(self.encoder(x), 2, axis=-1)[0]))

    def train_step(self, data):
        def loss_fn():
            terms = self.terms(data)
            return sum(terms), terms

        (_, terms), gradients = kerata.value_and_grad(loss_fn, self, has_aux=True)()
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.track(terms)

    def test_step(self, data):
        return self.track(self.terms(data))


vae = Autoencoder()
vae.compile(kerata.optimizers.Adam(0.001))
vae.fit(x_train, epochs=arguments.epochs, batch_size=128, validation_data=x_test)

# Walk through the two dimensions of the code, and print what the decoder draws there.
steps = np.linspace(-1.5, 1.5, 5, dtype="float32")
drawn = vae.decoder(np.stack(np.meshgrid(steps, steps[:2]), axis=-1).reshape(-1, 2))
pictures = np.asarray(ops.convert_to_numpy(ops.sigmoid(drawn)))[:, 4:24:2, 4:24, 0].reshape(2, 5, 10, 20)
for row in pictures:
    for line in range(10):
        print("  ".join("".join(" .:+#"[min(4, int(5 * p))] for p in picture[line]) for picture in row))
    print()

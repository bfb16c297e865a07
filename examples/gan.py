"""A generative adversarial network of handwritten digits: two networks, two optimizers, one `train_step`.

python examples/gan.py --epochs 10
Goodfellow et al., "Generative Adversarial Nets", 2014; convolutions after Radford et al., "DCGAN", 2015.
"""

import argparse

import numpy as np

import kerata
from kerata import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--rows", type=int, default=None, help="train on the first rows only")
arguments = parser.parse_args()
kerata.utils.set_random_seed(0)

(x_train, _), _ = kerata.datasets.mnist.load_data()
x_train = x_train[: arguments.rows, ..., None].astype("float32") / 127.5 - 1
NOISE = 64

discriminator = kerata.Sequential(
    [
        kerata.Input((28, 28, 1)),
        layers.Conv2D(32, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Conv2D(64, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(1),
    ],
    name="discriminator",
)
generator = kerata.Sequential(
    [
        kerata.Input((NOISE,)),
        layers.Dense(7 * 7 * 64, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Reshape((7, 7, 64)),
        layers.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh"),
    ],
    name="generator",
)


class GAN(kerata.Model):
    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.seeds = kerata.random.SeedGenerator(0)
        self.right = kerata.metrics.Mean(name="told_apart")  # the share of pictures that the discriminator gets right

    def compile(self, generator_optimizer, discriminator_optimizer):
        super().compile()
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def metrics(self):
        return [self.right]

    def call(self, noise):
        return self.generator(noise)

    def train_step(self, data):
        def learn(optimizer, network, loss_fn):
            (loss, seen), gradients = kerata.value_and_grad(loss_fn, network, has_aux=True)()
            optimizer.apply(gradients, network.trainable_variables)
            return loss, seen

        def judged(real):
            noise = kerata.random.normal((ops.shape(data)[0], NOISE), seed=self.seeds)
            logits = self.discriminator(self.generator(noise, training=True), training=True)
            return ops.mean(ops.binary_crossentropy(real * ops.ones_like(logits), logits, from_logits=True)), logits

        def discriminator_loss():
            fakes_loss, fakes = judged(0.0)
            logits = self.discriminator(data, training=True)
            loss = ops.mean(ops.binary_crossentropy(ops.ones_like(logits), logits, from_logits=True))
            return loss + fakes_loss, (logits, fakes)

        d_loss, (reals, fakes) = learn(self.discriminator_optimizer, self.discriminator, discriminator_loss)
        g_loss, _ = learn(self.generator_optimizer, self.generator, lambda: judged(1.0))
        self.right.update_state(ops.concatenate([reals > 0, fakes < 0]))
        return {"d_loss": d_loss, "g_loss": g_loss, **self.get_metrics_result()}


gan = GAN(generator, discriminator)
gan.compile(kerata.optimizers.Adam(2e-4, beta_1=0.5), kerata.optimizers.Adam(2e-4, beta_1=0.5))
gan.fit(x_train, epochs=arguments.epochs, batch_size=128)

drawn = gan.predict(np.random.default_rng(0).normal(size=(4, NOISE)).astype("float32"), verbose=0)
for line in range(4, 24, 2):
    print("  ".join("".join(" .:+#"[min(4, int(2.5 * (p + 1)))] for p in picture[line, 4:24, 0]) for picture in drawn))

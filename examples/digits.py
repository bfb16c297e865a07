"""Read handwritten digits: train a convolutional network on MNIST, evaluate it, save it, load it, use it.

make demo                       (or: python examples/digits.py --epochs 10)
"""

import argparse
import time

import numpy as np

from kerata import Sequential, layers
from kerata.datasets import mnist
from kerata.models import load_model
from kerata.utils import set_random_seed, to_categorical

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--file", default="digits.keras")
arguments = parser.parse_args()

set_random_seed(1)
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train = x_train.reshape(-1, 28, 28, 1).astype("float32") / 255
x_test = x_test.reshape(-1, 28, 28, 1).astype("float32") / 255

model = Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.25),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
model.summary()
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])

print(f"\nTraining on {len(x_train):,} images, {arguments.epochs} epochs. The first step compiles the program.")
began = time.perf_counter()
model.fit(
    x_train, to_categorical(y_train, 10), batch_size=128, epochs=arguments.epochs,
    validation_data=(x_test, to_categorical(y_test, 10)),
)  # fmt: skip
print(f"Trained in {time.perf_counter() - began:.0f} s.")

loss, accuracy = model.evaluate(x_test, to_categorical(y_test, 10), verbose=0)
print(f"\nOn {len(x_test):,} images it has never seen: loss {loss:.4f}, accuracy {accuracy:.2%}")

model.save(arguments.file)
model = load_model(arguments.file)
print(f"Saved to {arguments.file} and loaded again.")

some = np.random.default_rng(0).choice(len(x_test), 8, replace=False)
probabilities = model.predict(x_test[some], verbose=0)
for row, p in zip(some, probabilities):
    answer = int(p.argmax())
    print(f"image {row:>4}: a {answer}, {p[answer]:.1%} sure; it is a {y_test[row]}")

print(f"""
Where to go next
  kerata run your_script.py        run a script written for Keras
  kerata info                      engine, devices, versions, folders
  examples/own_loop.py             the same freedom as a hand-written loop
  docs/guide.md                    the guide
  model = kerata.models.load_model("{arguments.file}")   use this network in your own program
""")

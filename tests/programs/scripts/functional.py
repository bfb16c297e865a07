"""Two inputs, two outputs, callbacks, a file: Keras's functional API."""

import os
import sys

import numpy as np

import keras
from keras import layers

keras.utils.set_random_seed(3)
rng = np.random.default_rng(3)
numbers = rng.normal(size=(512, 4)).astype("float32")
words = rng.integers(0, 20, size=(512, 6))
total = numbers.sum(axis=1, keepdims=True)
many = (words > 9).mean(axis=1, keepdims=True) > 0.5

number_input = keras.Input(shape=(4,), name="numbers")
word_input = keras.Input(shape=(6,), dtype="int32", name="words")
word_vectors = layers.Embedding(20, 8)(word_input)
word_vector = layers.GlobalAveragePooling1D()(word_vectors)
joined = layers.concatenate([layers.Dense(16, activation="relu")(number_input), word_vector])
total_output = layers.Dense(1, name="total")(joined)
many_output = layers.Dense(1, activation="sigmoid", name="many")(joined)
model = keras.Model(inputs=[number_input, word_input], outputs=[total_output, many_output])

model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.02),
    loss=["mse", "binary_crossentropy"],
    metrics=[["mae"], ["accuracy"]],
)
folder = sys.argv[1]
history = model.fit(
    [numbers, words],
    [total, many],
    epochs=12,
    batch_size=64,
    validation_split=0.25,
    verbose=0,
    callbacks=[
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=5),
        keras.callbacks.ModelCheckpoint(os.path.join(folder, "best.keras"), save_best_only=True),
    ],
)
assert history.history["val_loss"][-1] < 0.7 * history.history["val_loss"][0], history.history["val_loss"]

best = keras.models.load_model(os.path.join(folder, "best.keras"))
guessed_total, guessed_many = best.predict([numbers, words], verbose=0)
assert guessed_total.shape == (512, 1)
print("right:", float(np.mean((guessed_many > 0.5) == many)))

"""A model, a layer, a loss and a metric of one's own, as tf.keras programs write them."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import backend as K

tf.random.set_seed(0)
np.random.seed(0)
print("GPUs:", len(tf.config.list_physical_devices("GPU")) >= 0)


class Scale(keras.layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale = Scale()
        self.hidden = keras.layers.Dense(16, activation=tf.nn.relu)
        self.out = keras.layers.Dense(1)

    def call(self, inputs):
        return self.out(self.hidden(self.scale(inputs)))


def own_loss(y_true, y_pred):
    return tf.reduce_mean(tf.square(tf.cast(y_true, tf.float32) - y_pred), axis=-1)


def own_metric(y_true, y_pred):
    return K.mean(K.abs(y_true - y_pred))


x = np.random.rand(400, 3).astype("float32")
y = (x @ np.array([[1.0], [-2.0], [3.0]]) + 0.5).astype("float32")
model = Net()
model.compile(optimizer=keras.optimizers.Adam(0.02), loss=own_loss, metrics=[own_metric])
model.fit(x, y, epochs=30, batch_size=40, verbose=0)
loss, error = model.evaluate(x, y, verbose=0)
print("weights:", len(model.trainable_weights))
print("small error:", error < 0.1)

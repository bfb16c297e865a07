"""A program of 2017: paths and arguments that Keras has left behind."""

import numpy as np
from keras.layers.core import Activation, Dense, Dropout, Flatten
from keras.layers.convolutional import Conv2D
from keras.layers.pooling import MaxPooling2D
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import np_utils

np.random.seed(7)
labels = np.arange(240) % 3
images = np.random.rand(240, 8, 8, 1) * 0.2
for image, label in zip(images, labels):
    image[2 * label : 2 * label + 3] += 0.8
targets = np_utils.to_categorical(labels, 3)

model = Sequential()
model.add(Conv2D(4, (3, 3), input_shape=(8, 8, 1)))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.1))
model.add(Flatten())
model.add(Dense(3))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer=SGD(lr=0.1, momentum=0.9), metrics=["accuracy"])
model.fit(images[:180], targets[:180], epochs=8, batch_size=20, verbose=0)
score = model.evaluate(images[180:], targets[180:], verbose=0)
print("Test accuracy:", score[1])

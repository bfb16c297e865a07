"""A loop of one's own: a subclassed model, a data loader and ten lines of training.

python examples/own_loop.py --epochs 10
"""

import argparse

import numpy as np

import kerata
from kerata import data, layers, losses, ops, optimizers

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--rows", type=int, default=None, help="train on the first rows only")
arguments = parser.parse_args()
kerata.utils.set_random_seed(0)


def prepare(images):
    return (images.astype("float32") / 255 - 0.5) / 0.5


(x_train, y_train), (x_test, y_test) = kerata.datasets.mnist.load_data()
x_train, y_train = prepare(x_train[: arguments.rows]), y_train[: arguments.rows].astype("int32")
x_test, y_test = prepare(x_test), y_test.astype("int32")
train_loader = data.DataLoader(data.ArrayDataset(x_train, y_train), batch_size=32, shuffle=True)
test_loader = data.DataLoader(data.ArrayDataset(x_test, y_test), batch_size=1000)


class Net(kerata.Model):
    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.fc1 = layers.Dense(256)
        self.fc2 = layers.Dense(10)

    def call(self, x):
        x = self.flatten(x)
        x = ops.relu(self.fc1(x))
        return self.fc2(x)


net = Net()
criterion = losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = optimizers.Adam(learning_rate=0.001)
net(x_train[:1])  # the weights take their shapes from a first batch
optimizer.build(net.trainable_variables)


@kerata.jit
def step(x, y):
    loss, gradients = kerata.value_and_grad(lambda: criterion(y, net(x, training=True)), net)()
    optimizer.apply(gradients, net.trainable_variables)
    return loss


for epoch in range(arguments.epochs):
    running_loss = [step(x, y) for x, y in train_loader]
    print(f"Epoch {epoch + 1}: loss {np.mean(running_loss):.3f}", flush=True)

predict = kerata.jit(net)
correct = sum(int((np.asarray(predict(x)).argmax(-1) == y).sum()) for x, y in test_loader)
print(f"Accuracy on {len(x_test):,} test images: {correct / len(x_test):.2%}")

"""A small network learns from a large one: its own `compute_loss`, and everything else of `fit` stays.

python examples/distiller.py --epochs 3
Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

import argparse

import kerata
from kerata import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--rows", type=int, default=None, help="train on the first rows only")
arguments = parser.parse_args()
kerata.utils.set_random_seed(0)

(x_train, y_train), (x_test, y_test) = kerata.datasets.mnist.load_data()
x_train, x_test = (x[: arguments.rows, ..., None].astype("float32") / 255 for x in (x_train, x_test))
y_train, y_test = y_train[: arguments.rows], y_test[: arguments.rows]


def network(name, width):
    return kerata.Sequential(
        [
            kerata.Input((28, 28, 1)),
            layers.Conv2D(width, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(2 * width, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10),
        ],
        name=name,
    )


class Distiller(kerata.Model):
    """The student's loss is that of the labels, and how far its soft answers are from the teacher's."""

    def __init__(self, student, teacher, share=0.1, temperature=5.0):
        super().__init__()
        self.student, self.teacher, self.share, self.temperature = student, teacher, share, temperature
        teacher.trainable = False

    def call(self, x, training=False):
        return self.student(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        of_labels = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return of_labels
        wanted = ops.softmax(self.teacher(x, training=False) / self.temperature)
        of_teacher = ops.categorical_crossentropy(wanted, y_pred / self.temperature, from_logits=True)
        return self.share * of_labels + (1 - self.share) * self.temperature**2 * ops.mean(of_teacher)


def trained(model):
    loss = kerata.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(kerata.optimizers.Adam(0.002), loss, metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=arguments.epochs, batch_size=128, verbose=2)
    return model.evaluate(x_test, y_test, verbose=0)[1]


teacher, student = network("teacher", 32), network("student", 4)
scores = {
    "teacher": trained(teacher),
    "student by itself": trained(kerata.models.clone_model(student)),
    "student taught": trained(Distiller(student, teacher)),
}
for name, accuracy in scores.items():
    print(f"{name:>18}: {accuracy:.2%}")

"""Run a fragment of a program with the names that it leaves open: `kerata run supply.py program.fragment.py`.

Its text is run as it is, but for lines such as `x_train = ...`, where the dots mean "put yours here".
"""

import ast
import sys

from keras.datasets import mnist
from keras.utils import to_categorical

COUNT = 2000


def rows(images, labels):
    return images[:COUNT].reshape(-1, 784) / 255.0, to_categorical(labels[:COUNT], 10)


train, test = mnist.load_data()
names = {"__name__": "__main__", "input_shape": 784, "num_classes": 10}
names["x_train"], names["y_train"] = rows(*train)
names["x_test"], names["y_test"] = names["x_val"], names["y_val"] = rows(*test)

with open(sys.argv[1], encoding="utf-8") as file:
    program = ast.parse(file.read())
program.body = [
    line
    for line in program.body
    if not (isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and line.value.value is ...)
]
exec(compile(program, sys.argv[1], "exec"), names)
loss, accuracy = names["model"].evaluate(names["x_test"], names["y_test"], verbose=0)
print("Accuracy of the fragment's model:", accuracy)

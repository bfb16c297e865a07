"""What an object remembers of its constructor, and that it can be made anew from it."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import kerata
from kerata.core import registry
from kerata.core.configurable import Configurable


class Base(Configurable):
    """One of kerata's own: it keeps its arguments as attributes, in their standard form."""

    __module__ = "kerata.example"

    def __init__(self, name=None, **kwargs):
        self.name = name or "base_1"
        if kwargs:
            raise TypeError(f"unknown: {sorted(kwargs)}")


class Own(Base):
    __module__ = "kerata.example"

    def __init__(self, size, seed=None, steps=(1, 2), **kwargs):
        super().__init__(**kwargs)
        self.size = (size, size) if isinstance(size, int) else size
        self.seed = 7 if seed is None else seed
        self.steps = steps


@registry.register_keras_serializable("test")
class Users(Own):
    """What a user writes: the argument `size` is no longer the attribute `size`."""

    def __init__(self, width, size=5, **kwargs):
        super().__init__(size=size * 10, **kwargs)
        self.width = width * 2


class Fixed(Own):
    def __init__(self, **kwargs):
        super().__init__(size=3, **kwargs)


class Several(Configurable):
    def __init__(self, first, /, second, *rest, flag=False):
        self.given = (first, second, rest, flag)


class NoConstructor(Own):
    pass


class Bare(Configurable):
    pass


class Method(Configurable):
    __module__ = "kerata.example"

    def __init__(self, apply=None):
        self._apply = apply

    def apply(self):
        return None


class Property(Configurable):
    __module__ = "kerata.example"

    def __init__(self, rate):
        self._rate = rate

    @property
    def rate(self):
        return self._rate


OWN = {"size": (3, 3), "seed": 7, "steps": (1, 2)}

CASES = [
    ("by position", lambda: Own(3), OWN),
    ("by keyword", lambda: Own(size=3, seed=1), {**OWN, "seed": 1}),
    ("several by position", lambda: Own(3, 4, (5,)), {"size": (3, 3), "seed": 4, "steps": (5,)}),
    ("through **kwargs", lambda: Own(3, name="n"), {**OWN, "name": "n"}),
    ("a user's constructor", lambda: Users(4), {"width": 4, "size": 5}),
    ("a user's, through **kwargs", lambda: Users(4, seed=9), {"width": 4, "size": 5, "seed": 9}),
    ("kept by the base, through **kwargs", lambda: Users(4, seed=None), {"width": 4, "size": 5, "seed": 7}),
    ("fixed by the subclass", lambda: Fixed(), {}),
    ("fixed, with a name", lambda: Fixed(name="f"), {"name": "f"}),
    ("inherited constructor", lambda: NoConstructor(3), OWN),
    ("no constructor", lambda: Bare(), {}),
    (
        "by position only, and the rest", lambda: Several(1, 2, 3, 4),
        {"first": 1, "second": 2, "rest": (3, 4), "flag": False}),
    ("no rest", lambda: Several(1, 2, flag=True), {"first": 1, "second": 2, "flag": True}),
    ("a method of the name", lambda: Method(2), {"apply": 2}),
    ("a property of the name", lambda: Property(2), {"rate": 2}),
]  # fmt: skip


@pytest.mark.parametrize("make, expected", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_config(make, expected):
    item = make()
    assert item.get_config() == expected
    again = type(item).from_config(item.get_config())
    assert again.get_config() == expected
    assert {k: v for k, v in vars(again).items() if k != "_captured"} == {
        k: v for k, v in vars(item).items() if k != "_captured"
    }


def test_the_config_follows_an_attribute_that_was_changed():
    item = Own(3)
    item.seed = 99
    assert item.get_config() == {**OWN, "seed": 99}


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_keep_what_was_captured(clone):
    item = Users(4, name="n")
    assert clone(item).get_config() == item.get_config() == {"width": 4, "size": 5, "name": "n"}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Own(), "missing 1 required positional argument: 'size'"),
        (lambda: Own(1, siez=2), "unknown: ['siez']"),
        (lambda: Property(1, 2), "takes 2 positional arguments but 3 were given"),
        (lambda: Bare(1), "takes no arguments"),
    ],
)
def test_wrong_arguments_are_refused_by_the_constructor_itself(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert message in str(caught.value).replace("Base.__init__() got an unexpected keyword argument", "unknown")


def test_objects_and_arrays_inside_arguments_become_data_and_come_back():
    class Holder(Configurable):
        def __init__(self, item, many=(), options=None, array=None):
            self.held, self.many, self.options, self.array_held = item, many, options, array

    item = Holder(Users(2), many=[Users(3)], options={"a": Users(4), "b": (1, None)}, array=np.arange(3.0))
    config = item.get_config()
    assert config["item"]["registered_name"] == "test>Users" and config["item"]["config"] == {"width": 2, "size": 5}
    assert config["options"]["b"] == (1, None)
    again = Holder.from_config(config)
    assert (again.held.width, again.many[0].width, again.options["a"].width) == (4, 6, 8)
    np.testing.assert_array_equal(again.array_held, item.array_held)
    assert again.get_config() == config


def test_a_layer_that_came_as_an_argument_is_no_member_by_that():
    from kerata.core.tracking import Stateful, members

    class Layerish(Configurable, Stateful):
        def __init__(self, inner):
            self.own = Stateful()

    item = Layerish(Stateful())
    assert list(members(item)) == [item.own]


def test_what_is_held_is_remembered_until_a_variable_is_made():
    from kerata.core.tracking import members, remembered
    from kerata.core.variable import Variable

    class Chest(kerata.layers.Layer):
        pass

    chest = Chest()
    chest.first = kerata.layers.Dense(1)
    with remembered():
        before = members(chest)
        assert members(chest) is before and before == [chest.first]
        chest.first.build((None, 2))
        assert len(chest.weights) == 2
        chest.second = kerata.layers.Dense(1)
        chest.second.build((None, 2))
        assert len(chest.weights) == 4
        chest.third = Variable(0.0)
        assert members(chest)[-1] is chest.third
    assert members(chest) is not members(chest)


def test_signature_shows_the_constructor():
    assert str(inspect.signature(Own)) == "(size, seed=None, steps=(1, 2), **kwargs)"
    assert str(inspect.signature(Bare)) == "()"


def test_a_constructor_that_came_after_the_class_is_captured():
    class Late(Configurable):
        pass

    def __init__(self, depth=3):
        self.depth = depth

    Late.__init__ = __init__
    assert Late().get_config() == {"depth": 3}

"""What a function reads besides its arguments: where it changes, the function is traced again."""

import array
import collections
import dataclasses
import functools
import random
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax._count.program import Program

W, X = jnp.ones((3, 4)), jnp.arange(3.0)
CASES = {}


def case(make):
    """Register a maker of a function and of what changes behind its back."""
    CASES[make.__name__.strip("_").replace("_", " ")] = make


class Layer:
    """What people write who know no pytrees."""

    gain = 1.0

    def __init__(self):
        self.act, self.w = jnp.tanh, W

    def step(self, v):
        return v * 2

    def __call__(self, x):
        return self.act(self.step(x @ self.w)) * self.gain


@case
def _a_function_of_a_library_replaced():
    layer = Layer()
    return layer, lambda: setattr(layer, "act", jax.nn.relu)


@case
def _a_lambda_replaced():
    layer = Layer()
    layer.act = lambda v: v + 1
    return layer, lambda: setattr(layer, "act", lambda v: v + 2)


@case
def _a_method_replaced():
    class Own(Layer):
        def step(self, v):
            return v

    return Own(), lambda: setattr(Own, "step", lambda self, v: v * 3)


@case
def _a_method_of_one_object_replaced():
    layer = Layer()
    return layer, lambda: setattr(layer, "step", lambda v: v * 3)


@case
def _an_attribute_of_a_base_class():
    class Base(Layer):
        gain = 1.0

    class Own(Base):
        pass

    return Own(), lambda: setattr(Base, "gain", 3.0)


@case
def _an_attribute_of_a_metaclass():
    class Meta(type):
        more = 1.0

    class Own(metaclass=Meta):
        def __call__(self, x):
            return x @ W * type(self).more

    return Own(), lambda: setattr(Meta, "more", 3.0)


def module():
    """An Equinox module with a setting in its class."""

    class Own(eqx.Module):
        w: jax.Array
        gain = 2.0

        def __call__(self, x, key=None):
            return x @ self.w * type(self).gain

    return Own


@case
def _an_attribute_of_the_class_of_a_module():
    kind = module()
    return kind(W), lambda: setattr(kind, "gain", 3.0)


@case
def _of_a_module_inside_another():
    kind = module()
    return eqx.nn.Sequential([kind(W)]), lambda: setattr(kind, "gain", 3.0)


@case
def _slots():
    class Own:
        __slots__ = ("gain", "w")

        def __call__(self, x):
            return x @ self.w * self.gain

    own = Own()
    own.w, own.gain = W, 1.0
    return own, lambda: setattr(own, "gain", 3.0)


@case
def _a_property():
    class Own(Layer):
        @property
        def more(self):
            return 1.0

        def __call__(self, x):
            return x @ self.w * self.more

    return Own(), lambda: setattr(Own, "more", property(lambda self: 3.0))


@case
def _a_static_method():
    class Own(Layer):
        @staticmethod
        def more(v):
            return v

        def __call__(self, x):
            return self.more(x @ self.w)

    return Own(), lambda: setattr(Own, "more", staticmethod(lambda v: v * 3))


@case
def _a_keyword_default():
    def f(x, *, gain=1.0):
        return x @ W * gain

    return f, lambda: f.__kwdefaults__.update(gain=3.0)


@case
def _an_attribute_of_a_function():
    def f(x):
        return x @ W * f.gain

    f.gain = 1.0
    return f, lambda: setattr(f, "gain", 3.0)


@case
def _a_global_function():
    names = {"W": W}
    exec("def g(v): return v\ndef f(x): return g(x @ W)", names)
    return names["f"], lambda: exec("def g(v): return v * 3", names)


@case
def _numpy_in_a_partial():
    gain = np.ones(4, np.float32)
    f = functools.partial(lambda gain, x: x @ W * gain, gain)
    return f, lambda: gain.__setitem__(slice(None), 3.0)


@case
def _numpy_in_a_partial_that_is_called():
    gain = np.ones(4, np.float32)
    inner = functools.partial(lambda gain, x: x @ W * gain, gain)
    return (lambda x: inner(x)), lambda: gain.__setitem__(slice(None), 3.0)


@case
def _a_dictionary_that_is_static():
    class Own(eqx.Module):
        w: jax.Array
        settings: dict = eqx.field(static=True)

        def __call__(self, x):
            return x @ self.w * self.settings["gain"]

    settings = {"gain": 1.0}
    return Own(W, settings), lambda: settings.update(gain=3.0)


@case
def _a_dtype_in_a_list():
    kinds = [jnp.float32]
    return (lambda x: (x @ W / 2).astype(kinds[0])), lambda: kinds.__setitem__(0, jnp.int32)


@case
def _a_function_in_a_dictionary():
    table = {"act": jnp.tanh}
    return (lambda x: table["act"](x @ W)), lambda: table.update(act=jnp.sin)


@case
def _a_dataclass():
    @dataclasses.dataclass
    class Settings:
        gain: float = 1.0

    settings = Settings()
    return (lambda x: x @ W * settings.gain), lambda: setattr(settings, "gain", 3.0)


@case
def _an_attribute_of_a_list():
    class Own(list):
        gain = 1.0

    own = Own([1.0])
    return (lambda x: x @ W * own.gain), lambda: setattr(own, "gain", 3.0)


@case
def _a_dictionary_read_by_attribute():
    class Dots(dict):
        __getattr__ = dict.__getitem__

    dots = Dots(gain=1.0)
    return (lambda x: x @ W * dots.gain), lambda: dots.update(gain=3.0)


@case
def _a_float64_array_written_in_place():
    gains = np.ones(4)
    return (lambda x: x @ W * gains), lambda: gains.__setitem__(0, 3.0)


@case
def _an_integer_array_of_64_bits_written_in_place():
    gains = np.ones(4, np.int64)
    return (lambda x: x @ W * gains), lambda: gains.__setitem__(0, 3)


@case
def _a_class_made_by_a_function():
    kind = dataclasses.make_dataclass("Settings", ["gains"], frozen=True)
    settings = kind([1.0])
    return (lambda x: x @ W * settings.gains[0]), lambda: settings.gains.__setitem__(0, 3.0)


def _with_gain(settings):
    def decorate(f):
        @functools.wraps(f)
        def wrapper(*args):
            return settings["gain"] * f(*args)

        return wrapper

    return decorate


@case
def _the_closure_of_a_wrapper():
    settings = {"gain": 1.0}
    return _with_gain(settings)(lambda x: x @ W), lambda: settings.update(gain=3.0)


@case
def _a_mapped_wrapper():
    settings = {"gain": 1.0}
    mapped = jax.vmap(_with_gain(settings)(lambda x: x @ W))
    return (lambda x: mapped(x[None])[0]), lambda: settings.update(gain=3.0)


@case
def _a_wrapped_method():
    settings = {"gain": 1.0}

    class Own(Layer):
        step = _with_gain(settings)(Layer.step)

    return Own(), lambda: settings.update(gain=3.0)


CONTAINERS = {
    "UserDict": collections.UserDict(gain=1.0),
    "OrderedDict": collections.OrderedDict(gain=1.0),
    "bytearray": bytearray([1]),
    "array": array.array("d", [1.0]),
    "deque": collections.deque([1.0]),
    "UserList": collections.UserList([1.0]),
    "set": {1},
}


@pytest.fixture(autouse=True)
def as_users_write():
    """Rows against matrices."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", list(CASES))
def test_traced_again_where_something_has_changed(name):
    f, change = CASES[name]()
    counted = joulax.count(f)
    before = counted(X)[0]
    np.testing.assert_array_equal(before, f(X))
    np.testing.assert_array_equal(counted(X)[0], f(X))
    change()
    after = counted(X)[0]
    assert after.dtype == f(X).dtype
    np.testing.assert_allclose(after, f(X), rtol=1e-6)
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("name", list(CONTAINERS))
def test_containers_are_looked_into(name):
    box = CONTAINERS[name]
    key = "gain" if hasattr(box, "keys") else 0
    read = (lambda: max(box)) if name == "set" else (lambda: box[key])
    counted = joulax.count(lambda x: x @ W * read())
    assert float(counted(X)[0][0]) == 3.0
    box.add(3) if name == "set" else box.__setitem__(key, 3)
    assert float(counted(X)[0][0]) == 9.0


GENERATORS = {
    "numpy": (np.random.default_rng(0), lambda g: g.normal()),
    "numpy, older": (np.random.RandomState(0), lambda g: g.normal()),
    "python": (random.Random(0), lambda g: g.random()),
}


@pytest.mark.parametrize("name", list(GENERATORS))
def test_random_numbers_of_the_host_are_refused(name):
    """They would be drawn once, and be the same at every call."""
    generator, draw = GENERATORS[name]
    with pytest.raises(ValueError, match="writes generator"):
        joulax.count(lambda x: x @ W + draw(generator))(X)
    noise = draw(generator)
    joulax.count(lambda x: x @ W + noise)(X)


def test_a_proxy_of_a_dictionary_is_looked_into():
    settings = {"gain": 1.0}
    proxy = types.MappingProxyType(settings)
    counted = joulax.count(lambda x: x @ W * proxy["gain"])
    counted(X)
    settings["gain"] = 3.0
    assert float(counted(X)[0][0]) == 9.0


def test_nothing_is_traced_again_where_nothing_has_changed(monkeypatch):
    """Objects made anew, of the same class and with the same settings, are the same."""
    made, init = [], Program.__init__
    noted = lambda self, *args: made.append(1) or init(self, *args)
    monkeypatch.setattr(Program, "__init__", noted)
    holder = types.SimpleNamespace(layer=Layer(), act=lambda v: v)
    counted = joulax.count(lambda x: holder.act(holder.layer(x)))
    for _ in range(3):
        holder.layer, gain = Layer(), 1.0
        holder.layer.gain = gain
        counted(X)
    assert len(made) == 1
    holder.layer.gain = 2.0
    counted(X)
    assert len(made) == 2


def test_what_is_written_into_an_argument_is_returned_or_refused():
    def noted(p, x):
        p["seen"] = p["seen"] + 1.0
        return x @ p["w"]

    def returned(p, x):
        out = noted(p, x)
        return out, p

    p = {"w": W, "seen": jnp.zeros(())}
    with pytest.raises(ValueError, match="seen.*Return the new state"):
        joulax.count(noted, weights=0)(p, X)
    (_, after), _ = joulax.count(returned, weights=0)(p, X)
    assert (float(after["seen"]), float(p["seen"])) == (1.0, 0.0)

# %% [markdown]
# # Three networks by their shapes
#
# ResNet-50, ViT-B/16 and GPT-2 (124 M), written with Equinox; no weight is ever made.

# %%
import time

import equinox as eqx
import jax
import jax.numpy as jnp

import joulax

# %% [markdown]
# ## ResNet-50


# %%
class Conv(eqx.Module):
    conv: eqx.nn.Conv2d
    gain: jax.Array
    bias: jax.Array

    def __init__(self, ins, outs, kernel, stride, key):
        pad = kernel // 2
        self.conv = eqx.nn.Conv2d(ins, outs, kernel, stride, pad, use_bias=False, key=key)
        self.gain, self.bias = jnp.ones(outs), jnp.zeros(outs)

    def __call__(self, x):
        return self.conv(x) * self.gain[:, None, None] + self.bias[:, None, None]


class Bottleneck(eqx.Module):
    narrow: Conv
    middle: Conv
    wide: Conv
    shortcut: Conv | None

    def __init__(self, ins, width, stride, key):
        keys = jax.random.split(key, 4)
        self.narrow = Conv(ins, width, 1, 1, keys[0])
        self.middle = Conv(width, width, 3, stride, keys[1])
        self.wide = Conv(width, 4 * width, 1, 1, keys[2])
        self.shortcut = Conv(ins, 4 * width, 1, stride, keys[3]) if ins != 4 * width else None

    def __call__(self, x):
        y = jax.nn.relu(self.middle(jax.nn.relu(self.narrow(x))))
        return jax.nn.relu(self.wide(y) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet50(eqx.Module):
    stem: Conv
    stages: list[list[Bottleneck]]
    head: eqx.nn.Linear

    def __init__(self, key):
        self.stem = Conv(3, 64, 7, 2, key)
        self.stages, ins = [], 64
        for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            blocks = []
            for i in range(depth):
                blocks.append(Bottleneck(ins, width, stride if i == 0 else 1, key))
                ins = 4 * width
            self.stages.append(blocks)
        self.head = eqx.nn.Linear(2048, 1000, key=key)

    def __call__(self, x):
        x = jax.nn.relu(self.stem(x))
        x = eqx.nn.MaxPool2d(3, 2, 1)(x)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return self.head(x.mean((1, 2)))


# %% [markdown]
# ## Transformers


# %%
class Attention(eqx.Module):
    qkv: eqx.nn.Linear
    proj: eqx.nn.Linear
    heads: int = eqx.field(static=True)

    def __init__(self, width, heads, key):
        self.qkv = eqx.nn.Linear(width, 3 * width, key=key)
        self.proj = eqx.nn.Linear(width, width, key=key)
        self.heads = heads

    def __call__(self, x):
        split = lambda t: t.reshape(len(x), self.heads, -1).transpose(1, 0, 2)
        q, k, v = map(split, jnp.split(jax.vmap(self.qkv)(x), 3, axis=-1))
        scores = q @ k.transpose(0, 2, 1) * q.shape[-1] ** -0.5
        mixed = jax.nn.softmax(scores) @ v
        return jax.vmap(self.proj)(mixed.transpose(1, 0, 2).reshape(x.shape))


class Block(eqx.Module):
    norm1: eqx.nn.LayerNorm
    attention: Attention
    norm2: eqx.nn.LayerNorm
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, width, heads, key):
        self.norm1, self.norm2 = eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width)
        self.attention = Attention(width, heads, key)
        self.up = eqx.nn.Linear(width, 4 * width, key=key)
        self.down = eqx.nn.Linear(4 * width, width, key=key)

    def __call__(self, x):
        x = x + self.attention(jax.vmap(self.norm1)(x))
        hidden = jax.nn.gelu(jax.vmap(self.up)(jax.vmap(self.norm2)(x)))
        return x + jax.vmap(self.down)(hidden)


class ViT(eqx.Module):
    patches: eqx.nn.Conv2d
    token: jax.Array
    position: jax.Array
    blocks: list[Block]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, key):
        self.patches = eqx.nn.Conv2d(3, 768, 16, 16, key=key)
        self.token, self.position = jnp.zeros((1, 768)), jnp.zeros((197, 768))
        self.blocks = [Block(768, 12, key) for _ in range(12)]
        self.norm, self.head = eqx.nn.LayerNorm(768), eqx.nn.Linear(768, 1000, key=key)

    def __call__(self, x):
        x = self.patches(x).reshape(768, -1).T
        x = jnp.concatenate([self.token, x]) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[0]))


class GPT2(eqx.Module):
    tokens: jax.Array
    position: jax.Array
    blocks: list[Block]
    norm: eqx.nn.LayerNorm

    def __init__(self, key):
        self.tokens, self.position = jnp.zeros((50257, 768)), jnp.zeros((1024, 768))
        self.blocks = [Block(768, 12, key) for _ in range(12)]
        self.norm = eqx.nn.LayerNorm(768)

    def __call__(self, text):
        x = self.tokens[text] + self.position
        for block in self.blocks:
            x = block(x)
        return jax.vmap(self.norm)(x) @ self.tokens.T


# %% [markdown]
# ## By shapes alone


# %%
def summarise(network, *inputs):
    """A summary, and the seconds it took."""
    start = time.perf_counter()
    model = eqx.filter_eval_shape(network, jax.random.key(0))
    made = joulax.summary(model)(*inputs)
    return made, time.perf_counter() - start


def main():
    """Print and check all three."""
    image = jax.ShapeDtypeStruct((3, 224, 224), jnp.result_type(float))
    text = jax.ShapeDtypeStruct((1024,), jnp.int32)
    for network, shape, macs in (
        (ResNet50, image, 3.947_8e9),
        (ViT, image, 17.563_7e9),
        (GPT2, text, 145.824_2e9),
    ):
        made, seconds = summarise(network, shape)
        print(f"{network.__name__}, {seconds:.1f} s\n{made}\n")
        assert abs(made.total.dense_mac / macs - 1) < 1e-3, made.total


if __name__ == "__main__":
    main()

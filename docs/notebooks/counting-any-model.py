# %% [markdown]
# # Counting any model
#
# `count` reads what JAX traces, so it does not care which library a model comes from, or whether it
# spikes. Three well-known ones in plain `jax.numpy`, with random weights, and their
# multiply-accumulates by layer.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import jax
import jax.numpy as jnp
from jax import lax

import joulax


def weight(*shape):
    """A random weight; a new key for each shape is enough here."""
    return 0.02 * jax.random.normal(jax.random.key(sum(shape)), shape)


def normal(x, axes=-1):
    """Normalisation without parameters."""
    return (x - x.mean(axes, keepdims=True)) / jnp.sqrt(x.var(axes, keepdims=True) + 1e-5)


# %% [markdown]
# ## ResNet-50


# %%
def conv(w, x, stride=1):
    """A convolution as in torchvision: padding of half the kernel."""
    pad = (w.shape[-1] // 2,) * 2
    return lax.conv_general_dilated(x[None], w, (stride, stride), (pad, pad))[0]


def block(p, x, stride):
    """A bottleneck."""
    y = jax.nn.relu(normal(conv(p["down"], x), (1, 2)))
    y = jax.nn.relu(normal(conv(p["middle"], y, stride), (1, 2)))
    y = normal(conv(p["up"], y), (1, 2))
    return jax.nn.relu(y + (normal(conv(p["skip"], x, stride), (1, 2)) if "skip" in p else x))


def resnet50():
    """Parameters by name."""
    stages, inside = {}, 64
    for s, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for b in range(blocks):
            p = {
                "down": weight(width, inside, 1, 1),
                "middle": weight(width, width, 3, 3),
                "up": weight(4 * width, width, 1, 1),
            }
            stages[f"stage{s}.{b}"] = p | (
                {"skip": weight(4 * width, inside, 1, 1)} if b == 0 else {}
            )
            inside = 4 * width
    return {"stem": weight(64, 3, 7, 7), "head": weight(1000, 2048)} | stages


def run_resnet(p, x):
    """Class scores of one image."""
    x = jax.nn.relu(normal(conv(p["stem"], x, 2), (1, 2)))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3), (1, 2, 2), ((0, 0), (1, 1), (1, 1)))
    for name in (n for n in p if n.startswith("stage")):
        x = block(p[name], x, 2 if name[5:] in ("1.0", "2.0", "3.0") else 1)
    return p["head"] @ x.mean((1, 2))


def total(account):
    """Multiply-accumulates with nothing skipped, and those with a nonzero input."""
    dense, mac = (sum(float(getattr(r, f)) for r in account.values()) for f in ("dense", "synops"))
    return f"{dense / 1e9:.3f} G dense, {mac / 1e9:.3f} G with a nonzero input"


image = jax.random.normal(jax.random.key(1), (3, 224, 224))
resnet = jax.jit(joulax.count(run_resnet, weights=0))(resnet50(), image)[1]
total(resnet)

# %% [markdown]
# FLOP counters say 4.11 G for this network. They count padding as work; a position outside the
# image is no synapse here. The second number is what skipping zeros behind every ReLU would leave.

# %%
ax = joulax.plot.layers(
    joulax.energy(dict(list(resnet.items())[:12]), joulax.hardware("45nm@int8"))
)

# %% [markdown]
# ## A vision transformer, ViT-B/16
#
# Attention multiplies data by data: that is counted, too.


# %%
def attention(p, x, heads=12, causal=False):
    """Attention over tokens (tokens, width)."""
    q, k, v = (a.reshape(len(x), heads, -1).swapaxes(0, 1) for a in jnp.split(x @ p["qkv"], 3, -1))
    scores = jnp.einsum("hid,hjd->hij", q, k) / q.shape[-1] ** 0.5
    if causal:
        scores = jnp.where(jnp.tri(len(x), dtype=bool), scores, -jnp.inf)
    mixed = jnp.einsum("hij,hjd->hid", jax.nn.softmax(scores), v)
    return mixed.swapaxes(0, 1).reshape(len(x), -1) @ p["out"]


def layer(p, x, causal=False):
    """A transformer layer."""
    x = x + attention(p, normal(x), causal=causal)
    return x + jax.nn.gelu(normal(x) @ p["rise"]) @ p["fall"]


def transformer(width, layers):
    """Weights of all layers, stacked: the layers are one scan."""
    one = {"qkv": (width, 3 * width), "out": (width, width)}
    one |= {"rise": (width, 4 * width), "fall": (4 * width, width)}
    return {name: weight(layers, *shape) for name, shape in one.items()}


def run_vit(p, image):
    """Class scores of one image."""
    patches = image.reshape(3, 14, 16, 14, 16).transpose(1, 3, 0, 2, 4).reshape(196, -1)
    x = jnp.concatenate([p["class"][None], patches @ p["embed"]]) + p["where"]
    x, _ = lax.scan(lambda x, q: (layer(q, x), None), x, p["layers"])
    return x[0] @ p["head"]


vit = {
    "embed": weight(768, 768),
    "class": weight(768),
    "where": weight(197, 768),
    "layers": transformer(768, 12),
    "head": weight(768, 1000),
}
vit_account = jax.jit(joulax.count(run_vit, weights=0))(vit, image)[1]
total(vit_account)

# %% [markdown]
# ## GPT-2
#
# 64 tokens through the smallest one; the embedding reads weights and multiplies nothing.


# %%
def run_gpt2(p, tokens):
    """Scores of the next token."""
    x = p["tokens"][tokens] + p["where"][: len(tokens)]
    x, _ = lax.scan(lambda x, q: (layer(q, x, causal=True), None), x, p["layers"])
    return normal(x)[-1] @ p["head"]


gpt2 = {
    "tokens": weight(50257, 768),
    "where": weight(1024, 768),
    "layers": transformer(768, 12),
    "head": weight(768, 50257),
}
gpt2_account = jax.jit(joulax.count(run_gpt2, weights=0))(gpt2, jnp.arange(64))[1]
total(gpt2_account)

# %% [markdown]
# ## Without running anything
#
# `summary` takes shapes, so a model of any size has one. All 1024 tokens of context here, in
# seconds, where no array is made; equal layers are one row.

# %%
shapes = jax.eval_shape(lambda: gpt2)
context = jax.ShapeDtypeStruct((1024,), jnp.int32)
joulax.summary(run_gpt2, weights=0, bits=8)(shapes, context)

# %% [markdown]
# ## What it costs
#
# The account of 64 tokens on other hardware, half-precision arithmetic and whole devices:

# %%
joulax.evaluate(gpt2_account, ["45nm@fp16", "7nm@fp16", "gpu", "a100"])

# %%
dense = lambda account: sum(float(r.dense) for r in account.values())
assert abs(dense(resnet) / 4.11e9 - 1) < 0.05
assert abs(dense(vit_account) / 17.5e9 - 1) < 0.03

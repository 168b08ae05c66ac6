#!/usr/bin/env python3
"""Writes what PyTorch computes for each op, in f64, with gradients: python tests/golden/write.py

Needs torch (2.15 wrote them) and safetensors; the files are kept in the repository, so that the tests need neither. For an output `y` there
is a random upstream gradient `dy`, and for an input `x` its gradient `dx`. Input tensors are exact in f32, so that an
f32 kernel can be given the same numbers.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
EARTH_KM = 6371.0088


def rand(*shape, size=1.0):
    return ((torch.rand(*shape) * 2 - 1) * size).double()


def write(name, inputs, outputs, constants=None):
    """Runs backward from `outputs` with random upstream gradients and saves everything."""
    tensors = {key: value.detach() for key, value in {**inputs, **outputs, **(constants or {})}.items()}
    upstream = {key: rand(*y.shape) for key, y in outputs.items()}
    wrt = [x for x in inputs.values() if x.requires_grad]
    grads = iter(torch.autograd.grad(list(outputs.values()), wrt, list(upstream.values())) if wrt else [])
    tensors |= {"d" + key: value for key, value in upstream.items()}
    tensors |= {"d" + key: next(grads) for key, x in inputs.items() if x.requires_grad}
    save(name, tensors)


def save(name, tensors):
    tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
    save_file(tensors, HERE / f"{name}.safetensors")


def leaves(**tensors):
    return {key: value.requires_grad_() for key, value in tensors.items()}


def number(value):
    return torch.tensor([float(value)], dtype=torch.float64)


def gru():
    module = torch.nn.GRU(5, 6, batch_first=True)
    state = {key: value.detach().clone() for key, value in module.state_dict().items()}
    module = module.double()
    x = leaves(x=rand(3, 7, 5), h0=rand(3, 6))
    lengths = torch.tensor([4, 7, 2])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x["x"], lengths, batch_first=True, enforce_sorted=False)
    y, last = module(packed, x["h0"][None])
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=7)
    # The weights are stored as a state dict holds them, in f32; their gradients in f64.
    write("gru", {**x, **dict(module.named_parameters())}, {"y": y, "last": last[0]}, {**state, "lengths": lengths})


def interpolate(table, x, unit, per_octave):
    knots = table.shape[1]
    p = (per_octave * torch.log2(1 + x.abs() / unit)).clamp(0, knots - 1)
    near = 1 - (p[..., None] - torch.arange(knots)).abs()  # hat functions: a second way to say "linear between knots"
    return torch.einsum("bijk,hk->bhij", near.clamp(min=0), table)


def attention(name, causal, with_bias):
    batch, len_, heads, head_dim, knots, categories, max_len = 2, 6, 2, 4, 6, 3, 4
    x = leaves(q=rand(batch, len_, heads * head_dim, size=2), k=rand(batch, len_, heads * head_dim, size=2),
               v=rand(batch, len_, heads * head_dim))
    lengths = torch.tensor([6, 4])
    constants = {"lengths": lengths, "shape": torch.tensor([heads, head_dim, categories])}
    t = torch.arange(len_)
    valid = t < lengths[:, None]
    mask = valid[:, None, None, :] & (~torch.tensor(causal) | (t[None, :] <= t[:, None]))
    bias = torch.zeros(batch, heads, len_, len_, dtype=torch.float64)
    if with_bias:
        tables = leaves(time=rand(heads, knots), place=rand(heads, knots),
                        category=rand(heads, categories, categories), position=rand(heads, max_len))
        x |= tables
        key_s = torch.randint(0, 1_000_000, (batch, len_)).sort().values.double()
        query_s = torch.cat([key_s[:, 1:], key_s[:, -1:] + 3600], 1)
        # Within some kilometres of each other, so that the knots are told apart; some are unknown.
        key = F.normalize(torch.tensor([0.3, 0.5, 0.8]) + 0.01 * rand(batch, len_, 3), dim=-1).float().double()
        query = F.normalize(torch.tensor([0.3, 0.5, 0.8]) + 0.01 * rand(batch, len_, 3), dim=-1).float().double()
        # An unknown query shows only beside an unknown key: the same bias for all keys is lost in the softmax.
        key[0, 2], key[1, 0], query[1, 1] = 0, 0, 0
        of_key, of_query = torch.randint(0, categories, (2, batch, len_))
        constants |= {"query_s": query_s, "key_s": key_s, "query_place": query, "key_place": key,
                      "query_category": of_query, "key_category": of_key, "unit_s": number(60), "unit_km": number(1),
                      "time_per_octave": number(0.4), "place_per_octave": number(0.7)}
        known = (query.norm(dim=-1) > 0)[:, :, None] & (key.norm(dim=-1) > 0)[:, None, :]
        km = EARTH_KM * torch.cdist(query, key, compute_mode="donot_use_mm_for_euclid_dist")
        bias = bias + interpolate(tables["time"], query_s[:, :, None] - key_s[:, None, :], 60, 0.4)
        bias = bias + interpolate(tables["place"], km, 1, 0.7) * known[:, None]
        bias = bias + tables["category"][:, of_query[:, :, None], of_key[:, None, :]].transpose(0, 1)
        bias = bias + tables["position"][:, (t[:, None] - t[None, :]).abs().clamp(max=max_len - 1)]
    split = lambda x: x.view(batch, len_, heads, head_dim).transpose(1, 2)
    y = F.scaled_dot_product_attention(split(x["q"]), split(x["k"]), split(x["v"]), bias.masked_fill(~mask, -torch.inf))
    write(name, x, {"y": y.transpose(1, 2).reshape(batch, len_, -1) * valid[:, :, None]}, constants)


def attention_pool():
    x = leaves(x=rand(2, 6, 5, size=2), w=rand(5))
    lengths = torch.tensor([4, 6])
    scores = (x["x"] @ x["w"])[:, None, :].expand(2, 6, 6)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    y = scores.masked_fill(~causal, -torch.inf).softmax(-1) @ x["x"]
    write("attention_pool", x, {"y": y * (torch.arange(6) < lengths[:, None])[:, :, None]}, {"lengths": lengths})


def dense():
    x = leaves(x=rand(4, 7, size=2), gamma=rand(7), beta=rand(7))
    write("layer_norm", x, {"y": F.layer_norm(x["x"], (7,), x["gamma"], x["beta"], 1e-5)}, {"eps": number(1e-5)})
    x = leaves(x=rand(4, 5), w=rand(3, 5), bias=rand(3), residual=rand(4, 3))
    y = F.gelu(F.linear(x["x"], x["w"], x["bias"]), approximate="tanh") + x["residual"]
    write("linear", x, {"y": y})
    x = leaves(x=rand(40, size=4))
    acts = {"gelu": F.gelu(x["x"], approximate="tanh"), "relu": F.relu(x["x"]), "silu": F.silu(x["x"]),
            "tanh": torch.tanh(x["x"]), "sigmoid": torch.sigmoid(x["x"])}
    for name, y in acts.items():
        write(name, x, {"y": y})
    ids = torch.tensor([3, 0, 1, 3, 3])
    x = leaves(table=rand(4, 3))
    write("embedding", x, {"y": F.embedding(ids, x["table"]) * (ids != 0)[:, None]}, {"ids": ids})


def losses():
    x = leaves(x=rand(5, 4, size=3), table=rand(9, 4), bias=rand(9))
    targets = torch.tensor([8, 1, -1, 4, 1])  # item 0 is padding, target -1 is ignored
    logits = F.linear(x["x"], x["table"][1:], x["bias"][1:])
    labels = torch.where(targets < 0, -100, targets - 1)
    nll = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    write("cross_entropy", x, {"y": nll}, {"targets": targets, "smoothing": number(0.1)})
    x = leaves(logits=rand(12, size=9))
    targets = torch.rand(12).double()
    y = F.binary_cross_entropy_with_logits(x["logits"], targets, reduction="none")
    write("bce_with_logits", x, {"y": y}, {"targets": targets})
    x = leaves(nll=(rand(4) + 2).float().double(), gate=rand(4, size=2), weights=torch.rand(4, 6).softmax(-1).double())
    items = torch.randint(1, 4, (4, 6))
    targets = torch.tensor([1, 2, 9, 3])
    pointed = (x["weights"] * (items == targets[:, None])).sum(-1)
    share = x["gate"].sigmoid()
    y = -((1 - share) * (-x["nll"]).exp() + share * pointed).log()
    write("pointer_mixture", x, {"y": y}, {"items": items, "targets": targets})


def optimiser():
    p = torch.nn.Parameter(rand(10))
    o = torch.optim.AdamW([p], lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    tensors = {"options": torch.tensor([0.05, 0.8, 0.95, 1e-6, 0.1], dtype=torch.float64), "p0": p.detach().clone()}
    for step in (1, 2, 3):
        p.grad = rand(10)
        o.step()
        tensors |= {f"grad{step}": p.grad, f"p{step}": p.detach().clone()}
    state = o.state[p]
    save("adamw", tensors | {"m3": state["exp_avg"], "v3": state["exp_avg_sq"]})
    grads = {"a": rand(7), "b": rand(2, 3)}
    tensors = dict(grads)
    for name, max_norm in (("tight", 0.5), ("loose", 50.0)):
        params = {key: torch.nn.Parameter(torch.zeros_like(grad)) for key, grad in grads.items()}
        for key, p in params.items():
            p.grad = grads[key].clone()
        norm = torch.nn.utils.clip_grad_norm_(params.values(), max_norm)
        tensors |= {f"{name}_{key}": p.grad for key, p in params.items()}
        tensors |= {f"{name}_norm": norm.reshape(1), f"{name}_max": number(max_norm)}
    save("clip_grad_norm", tensors)


def top_k():
    queries, table, bias = rand(3, 4), rand(20, 4), rand(20)
    excluded = torch.tensor([[3, 7], [1, 2], [19, 5]])
    scores = (queries @ table.T + bias).scatter(1, excluded, -torch.inf)
    scores[:, 0] = -torch.inf
    best = scores.topk(5)
    save("top_k", {"queries": queries, "table": table, "bias": bias, "excluded": excluded, "scores": best.values,
                   "ids": best.indices})


if __name__ == "__main__":
    torch.manual_seed(17)
    gru()
    attention("attention_causal", causal=True, with_bias=True)
    attention("attention_bidirectional", causal=False, with_bias=True)
    attention("attention_plain", causal=False, with_bias=False)
    attention_pool()
    dense()
    losses()
    optimiser()
    top_k()

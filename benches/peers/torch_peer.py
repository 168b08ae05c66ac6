#!/usr/bin/env python3
"""The shared cases on PyTorch: one JSON object on standard output.

Without a CUDA device: eager on the CPU. With one: eager, torch.compile, and both again with mixed precision (AMP).
TF32 is off, so that f32 means f32 everywhere; only the AMP variants use less.
"""
import argparse
import json
import platform
import sys
import time

import torch
import torch.nn.functional as F

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
WARM_UP = 3  # runs that do not count: compilation, cuDNN's choice, the allocator


def rand(*shape):
    """Uniform in [-1, 1), on the device."""
    generator = torch.Generator().manual_seed(shape[0])
    return (torch.rand(*shape, generator=generator) * 2 - 1).to(DEVICE)


def close(what, got, expected, tolerance=1e-3):
    error = (got.double().cpu() - expected.double().cpu()).abs().max().item()
    if not error <= tolerance * max(1.0, expected.abs().max().item()):
        raise AssertionError(f"{what} is off by {error}")


class Sasrec(torch.nn.Module):
    """As the preset `sasrec` has it: tied item table with a bias, pre-norm blocks with GELU, dropout 0.2."""

    def __init__(self, length, dim, items, blocks=2, dropout=0.2):
        super().__init__()
        self.items = torch.nn.Embedding(items + 1, dim)  # row 0 is padding
        self.bias = torch.nn.Parameter(torch.zeros(items))
        self.positions = torch.nn.Embedding(length, dim)
        torch.nn.init.normal_(self.items.weight, std=0.02)
        torch.nn.init.normal_(self.positions.weight, std=0.02)
        self.blocks = torch.nn.ModuleList([Block(dim, dropout) for _ in range(blocks)])
        self.norm = torch.nn.LayerNorm(dim)
        self.dim, self.dropout = dim, dropout

    def states(self, ids):
        x = self.items(ids) * self.dim**0.5 + self.positions.weight
        x = F.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, ids, targets):
        logits = F.linear(self.states(ids).flatten(0, 1), self.items.weight[1:], self.bias)
        return F.cross_entropy(logits, targets)

    def rank(self, ids, k):
        return F.linear(self.states(ids)[:, -1], self.items.weight[1:], self.bias).topk(k, dim=1)


class Block(torch.nn.Module):
    def __init__(self, dim, dropout):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(dim), torch.nn.LayerNorm(dim)
        self.qkv, self.out = torch.nn.Linear(dim, 3 * dim), torch.nn.Linear(dim, dim)
        self.inner, self.outer = torch.nn.Linear(dim, 4 * dim), torch.nn.Linear(4 * dim, dim)
        self.dropout = dropout

    def drop(self, x):
        return F.dropout(x, self.dropout, self.training)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).unsqueeze(1).chunk(3, dim=-1)
        share = self.dropout if self.training else 0.0
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=share, is_causal=True).squeeze(1)
        x = x + self.drop(self.out(a))
        return x + self.drop(self.outer(self.drop(F.gelu(self.inner(self.norm2(x))))))


# Each case is a function of the variant that returns {pass: function of no arguments}; the function returns a tensor of
# which one value is read back. It checks its own result first.


def gemm(variant, n):
    a, b = rand(n, n), rand(n, n + 1)[:, :n].contiguous()
    product = variant.wrap(torch.matmul)
    if not variant.amp:
        close("the product", product(a, b)[:8], a[:8].double() @ b.double())
    return {"forward": lambda: product(a, b)}


def gru(variant, batch, length, dim):
    layer = torch.nn.GRU(dim, dim, batch_first=True).to(DEVICE)
    x = rand(batch, length, dim).requires_grad_()
    run = variant.wrap(lambda x: layer(x)[0])
    y = run(x)
    if y.shape != x.shape or not y.abs().max().item() < 1:
        raise AssertionError("a state of a GRU from zero stays below 1")
    return {"forward": no_grad(lambda: run(x)), "forward+backward": lambda: backward(run(x), [x, *layer.parameters()])}


def attention(variant, batch, length, dim):
    q, k, v = (rand(batch + i, 1, length, dim)[:batch].contiguous().requires_grad_() for i in range(3))
    run = variant.wrap(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    scores = (q[0, 0].double() @ k[0, 0].double().T) / dim**0.5
    hidden = torch.ones(length, length, device=DEVICE).triu(1).bool()
    expected = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v[0, 0].double()
    close("attention", run(q, k, v)[0, 0], expected, 2e-2 if variant.amp else 1e-3)
    return {
        "forward": no_grad(lambda: run(q, k, v)),
        "forward+backward": lambda: backward(run(q, k, v), [q, k, v]),
    }


def biased_attention(variant, batch, length, dim):
    """With an additive bias for each pair of events, whose gradient is asked for too: it is learned."""
    q, k, v = (rand(batch + i, 1, length, dim)[:batch].contiguous().requires_grad_() for i in range(3))
    hidden = torch.ones(length, length, device=DEVICE).triu(1).bool()
    bias = rand(batch, 1, length, length).masked_fill(hidden, -torch.inf).requires_grad_()
    run = variant.wrap(lambda q, k, v, bias: F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
    scores = (q[0, 0].double() @ k[0, 0].double().T) / dim**0.5 + bias[0, 0].double()
    expected = scores.softmax(-1) @ v[0, 0].double()
    close("attention", run(q, k, v, bias)[0, 0], expected, 2e-2 if variant.amp else 1e-3)
    return {
        "forward": no_grad(lambda: run(q, k, v, bias)),
        "forward+backward": lambda: backward(run(q, k, v, bias), [q, k, v, bias]),
    }


def sasrec_step(variant, batch, length, dim, items):
    torch.manual_seed(1)
    model = Sasrec(length, dim, items).to(DEVICE)
    forward = variant.wrap(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01, fused=True)
    ids = torch.randint(1, items + 1, (batch, length))
    targets = torch.randint(0, items, (batch * length,))

    def step():
        # The batch comes from the host, as in training.
        loss = forward(ids.to(DEVICE), targets.to(DEVICE))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step.loss = loss.detach()
        return model.bias

    uniform = torch.log(torch.tensor(float(items))).item()
    step()
    first = step.loss.item()
    step()
    if not abs(first - uniform) < 1 or not step.loss.item() < first:
        raise AssertionError(f"losses {first}, {step.loss.item()}: expected to start at {uniform} and to fall")
    return {"step": step}


def top10(variant, queries, items):
    x, table = rand(queries, 64), rand(items, 64)
    expected = torch.stack([(table @ q).topk(1000)[1] for q in x])  # the ten best are among these in f64, too
    expected = torch.stack([(table[i].double() @ q.double()).topk(10)[0] for i, q in zip(expected, x)])
    if variant.amp:
        x, table = x.half(), table.half()  # a table kept in f16, not converted for each request
    run = variant.bare(lambda x, table: (x @ table.T).topk(10, dim=1)[0])
    close("the best ten", run(x, table), expected, 1e-2 if variant.amp else 1e-3)
    return {"forward": no_grad(lambda: run(x, table))}


def request(variant, length, dim, items):
    """One history in, the ten best of all items out, on the host."""
    torch.manual_seed(1)
    model = Sasrec(length, dim, items).to(DEVICE).eval()
    ids = torch.randint(1, items + 1, (1, length))
    run = variant.wrap(lambda ids: model.rank(ids, 10))

    def answer():
        with torch.no_grad():
            scores, best = run(ids.to(DEVICE))
        answer.best = best.cpu()
        return scores

    answer()
    if not ((answer.best >= 0) & (answer.best < items)).all() or answer.best.unique().numel() != 10:
        raise AssertionError("ten different items")
    return {"forward": answer}


def cross_entropy(variant, rows, items):
    x, table = rand(rows, 64).requires_grad_(), rand(items, 64).requires_grad_()
    targets = torch.randint(0, items, (rows,)).to(DEVICE)
    run = variant.wrap(lambda x, table, targets: F.cross_entropy(x @ table.T, targets, reduction="sum"))
    few = slice(0, 7)
    logits = x[few].double() @ table.double().T
    expected = logits.logsumexp(1).sum() - logits.gather(1, targets[few, None]).sum()
    if not variant.compiled:  # another shape would be compiled for nothing
        close("the loss of 7 rows", run(x[few], table, targets[few]), expected, 2e-2 if variant.amp else 1e-3)
    return {"forward+backward": lambda: backward(run(x, table, targets), [x, table])}


CASES = {
    "gemm-1024": lambda v: gemm(v, 1024),
    "gemm-4096": lambda v: gemm(v, 4096),
    "gru-128x50x64": lambda v: gru(v, 128, 50, 64),
    "gru-512x200x128": lambda v: gru(v, 512, 200, 128),
    "attention-128x50x64": lambda v: attention(v, 128, 50, 64),
    "attention-biased-128x512x64": lambda v: biased_attention(v, 128, 512, 64),
    "sasrec-step-128x50x64x3417": lambda v: sasrec_step(v, 128, 50, 64, 3417),
    "sasrec-step-128x200x128x27000": lambda v: sasrec_step(v, 128, 200, 128, 27_000),
    "top10-16x1m": lambda v: top10(v, 16, 1_000_000),
    "top10-64x10m": lambda v: top10(v, 64, 10_000_000),
    "request-1x50x64x3417": lambda v: request(v, 50, 64, 3417),
    "request-1x50x64x1m": lambda v: request(v, 50, 64, 1_000_000),
    "cross-entropy-6400x54542": lambda v: cross_entropy(v, 6400, 54_542),
}


def no_grad(run):
    def inner():
        with torch.no_grad():
            return run()

    return inner


def backward(y, inputs):
    """Upstream gradient of ones; gradients of all inputs, as tensors that nothing else holds."""
    return torch.autograd.grad(y, inputs, torch.ones_like(y))[0]


class Variant:
    def __init__(self, compiled, amp):
        self.compiled, self.amp = compiled, amp
        self.name = ("compile" if compiled else "eager") + (" amp" if amp else " f32")

    def bare(self, function):
        return torch.compile(function) if self.compiled else function

    def wrap(self, function):
        inner = self.bare(function)
        if not self.amp:
            return inner

        def under_autocast(*args):
            with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
                return inner(*args)

        return under_autocast


def read(y):
    """One value on the host: all of `y` is computed by then."""
    value = y.detach().flatten()[0].item()
    if value != value:
        raise AssertionError("the result is not a number")


def seconds(run):
    start = time.perf_counter()
    read(run())
    return time.perf_counter() - start


def resident(field):
    """Bytes of this process's memory: now (`VmRSS`), or at most (`VmHWM`)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def extra_bytes(run):
    """Most memory in use at once beyond what was in use before; None where it cannot be had."""
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        seconds(run)
        return torch.cuda.max_memory_allocated() - before
    try:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")  # the high-water mark starts anew
        before = resident("VmRSS")
        seconds(run)
        return resident("VmHWM") - before or None  # small blocks come from what the process has: nothing is seen
    except OSError:
        return None


def measure(run, quick):
    for _ in range(WARM_UP):
        seconds(run)
    fewest, most, limit = (3, 3, 0.0) if quick else (5, 25, 1.0)  # as `desirepath bench`
    start, samples = time.perf_counter(), []
    while len(samples) < fewest or (len(samples) < most and time.perf_counter() - start < limit):
        samples.append(seconds(run))
    samples.sort()
    n = len(samples)
    return {
        "ms": 1e3 * samples[n // 2],
        "fastest_ms": 1e3 * samples[0],
        "slowest_ms": 1e3 * samples[-1],
        "samples": n,
        "extra_bytes": extra_bytes(run),
    }


def case_rows(name, variant, quick):
    """One row for each pass; or one that says what went wrong."""
    try:
        rows = []
        for which, run in CASES[name](variant).items():
            rows.append({"case": name, "pass": which, "variant": variant.name, **measure(run, quick)})
        return rows
    except Exception as error:  # another variant may work: the table names what did not
        message = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return [{"case": name, "pass": "", "variant": variant.name, "error": message}]
    finally:
        if CUDA:
            torch.cuda.empty_cache()


def about():
    settings = {"python": platform.python_version(), "tf32": False}
    if CUDA:
        settings |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "amp": "bf16; top10: f16"}
        return {"adapter": torch.cuda.get_device_name(), **settings}
    return {"adapter": f"CPU, {torch.get_num_threads()} threads", **settings}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="CASE", choices=CASES, help="one case instead of all")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False  # cuDNN's GRU, too
    variants = [Variant(c, a) for a in (False, True) for c in (False, True)] if CUDA else [Variant(False, False)]
    rows = []
    for name in [args.only] if args.only else CASES:
        for variant in variants:
            print(f"torch: {name}, {variant.name}", file=sys.stderr)
            rows += case_rows(name, variant, args.quick)
    print(json.dumps({"peer": "PyTorch", "version": torch.__version__, "about": about(), "cases": rows}, indent=1))


if __name__ == "__main__":
    main()

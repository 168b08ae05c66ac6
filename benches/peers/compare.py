#!/usr/bin/env python3
"""Runs desirepath, burn and PyTorch one after the other on the shared cases and compares their medians.

Prints one table and writes it, with everything that was measured, to benches/results/. Needs Python 3.9 and nothing
else; PyTorch and burn are left out, with a line that says so, where they are not there.
"""
import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOTH = ["forward", "forward+backward"]
# A case, its passes, and whether it is work for a GPU: minutes on a CPU.
CASES = [
    ("gemm-1024", ["forward"], False),
    ("gemm-4096", ["forward"], True),
    ("gru-128x50x64", BOTH, False),
    ("gru-512x200x128", BOTH, True),
    ("attention-128x50x64", BOTH, False),
    ("attention-biased-128x512x64", BOTH, True),
    ("sasrec-step-128x50x64x3417", ["step"], False),
    ("sasrec-step-128x200x128x27000", ["step"], True),
    ("top10-16x1m", ["forward"], False),
    ("top10-64x10m", ["forward"], True),
    ("request-1x50x64x3417", ["forward"], False),
    ("request-1x50x64x1m", ["forward"], False),
    ("cross-entropy-6400x54542", ["forward+backward"], False),
]
PASSES = {name: passes for name, passes, _ in CASES}
MEMORY = ["sasrec-step-128x50x64x3417", "sasrec-step-128x200x128x27000", "cross-entropy-6400x54542"]  # large enough for every way of counting


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    binary = Path("target/release/desirepath")
    parser.add_argument("--desirepath", default=HERE.parent.parent / binary, help="the program [target/release/desirepath]")
    parser.add_argument("--burn", default=HERE / "target/release/burn-peer", help="the burn peer's program")
    parser.add_argument("--out", default=HERE.parent / "results", help="folder for the results [benches/results]")
    parser.add_argument("--filter", default="", help="only cases whose name contains one of these, by commas")
    parser.add_argument("--large", action="store_true", help="with the cases that are work for a GPU")
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="for a case of a peer [300]")
    parser.add_argument("--quick", action="store_true", help="few repetitions; nothing is written")
    parser.add_argument("--note", default="", help="what a reader has to know of this run")
    return parser.parse_args()


def run(name, command, limit=None):
    """What a program printed as JSON. Raises where it failed or took too long; what it started ends with it."""
    print(f"measuring {name}", file=sys.stderr)
    words = [str(word) for word in command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            out, _ = process.communicate(timeout=limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise OSError(f"it ended with {process.returncode}")
    return json.loads(out)


def peer(name, program, cases, options, limit):
    """One object from a run for each case: one that fails, or does not end, leaves the others alone."""
    found = None
    for case in cases:
        try:
            result = run(f"{name}: {case}", [*program, "--only", case, *options], limit)
        except subprocess.TimeoutExpired:
            result = {"cases": [failure(case, f"not finished after {limit:.0f} s")]}
        except (OSError, ValueError) as error:
            result = {"cases": [failure(case, f"{type(error).__name__}: {error}")]}
        if found and found.get("peer"):
            found["cases"] += result["cases"]
        else:
            found = result | {"cases": (found["cases"] if found else []) + result["cases"]}
    return found if found and found.get("peer") else None


def failure(case, message):
    return {"case": case, "pass": "", "variant": None, "error": message}


def measure(args):
    wanted = lambda name: any(part in name for part in args.filter.split(","))
    names = [name for name, _, large in CASES if wanted(name) and (args.large or not large)]
    options = ["--quick"] if args.quick else []
    raw = {}
    try:
        own = [args.desirepath, "bench", "--json", "--filter", ",".join(names), *options]
        raw["desirepath"] = run("desirepath", own)
    except (OSError, ValueError) as error:
        sys.exit(f"nothing to compare with: {error}")
    if Path(args.burn).exists():
        raw["burn"] = peer("burn", [args.burn], names, options, args.limit)
    else:
        print(f"burn is left out: there is no {args.burn}")
    if subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0:
        raw["torch"] = peer("PyTorch", [sys.executable, HERE / "torch_peer.py"], names, options, args.limit)
    else:
        print("PyTorch is left out: this Python has no torch (name another with `make peers PYTHON=...`)")
    return {name: result for name, result in raw.items() if result is not None}


def columns(raw):
    """Name of each peer's variant to its rows by (case, pass). What failed before it had a variant failed in all."""
    found = {}
    for peer in ("burn", "torch"):
        result = raw.get(peer)
        rows = result["cases"] if result else []
        variants = list(dict.fromkeys(row["variant"] for row in rows if row["variant"]))
        for row in rows:
            for variant in [row["variant"]] if row["variant"] else variants:
                column = found.setdefault(f"{result['peer']} {variant}", {})
                for each in [row["pass"]] if row["pass"] else PASSES[row["case"]]:
                    column[row["case"], each] = row
    return found


def compare(raw):
    """One object for each case and pass: medians as the host sees them, and each peer's as a multiple of ours."""
    ours = {(row["case"], row["pass"]): row for row in raw["desirepath"]["cases"]}
    rows = []
    for key in [(name, each) for name, passes, _ in CASES for each in passes if (name, each) in ours]:
        own = ours[key]
        row = {"case": key[0], "pass": key[1], "desirepath_ms": own["host_ms"], "device_ms": own["device_ms"]}
        row |= {"percent": own["percent"], "extra_bytes": {"desirepath": own["extra_bytes"]}, "peers": {}}
        for name, column in columns(raw).items():
            peer = column.get(key)
            if peer is None:
                continue
            if "error" in peer:
                row["peers"][name] = {"error": peer["error"]}
                continue
            row["peers"][name] = {"ms": peer["ms"], "ratio": peer["ms"] / own["host_ms"]}
            row["extra_bytes"][name] = peer.get("extra_bytes") or peer.get("reserved_bytes")
        rows.append(row)
    return rows


def number(value):
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def markdown(lines):
    """A table from rows of cells; the first two columns are words."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    side = [str.ljust if i < 2 else str.rjust for i in range(len(widths))]
    text = ["| " + " | ".join(fit(cell, w) for cell, w, fit in zip(line, widths, side)) + " |" for line in lines]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if fit is str.ljust else ":") for w, fit in zip(widths, side)) + "|"
    return "\n".join([text[0], rule, *text[1:]])


def cell(peer):
    if peer is None:
        return "-"
    return "failed" if "error" in peer else f"{number(peer['ms'])} ({peer['ratio']:.2f}x)"


def megabytes(value):
    return "-" if value is None else f"{value / 1e6:.1f}"


def report(results):
    names = list(dict.fromkeys(name for row in results["table"] for name in row["peers"]))
    lines = [["case", "pass", "desirepath", "of it kernels", "% of ceiling", *names]]
    for row in results["table"]:
        own = [number(row["desirepath_ms"]), number(row["device_ms"]), f"{row['percent']:.0f}"]
        lines.append([row["case"], row["pass"], *own, *(cell(row["peers"].get(name)) for name in names)])
    parts = [
        f"# Peers on {results['adapter']}",
        results["date"] + ", " + "; ".join(f"{name} {about}" for name, about in results["versions"].items()) + ".",
        *([f"Note: {results['note']}."] if results["note"] else []),
        "Medians in ms, from the call until a result is back on the host. In brackets the peer's time as a multiple of"
        "\ndesirepath's: above 1, desirepath is faster. All in f32 without TF32 unless a column says otherwise.",
        markdown(lines),
    ]
    heavy = [row for row in results["table"] if row["case"] in MEMORY]
    if heavy:
        lines = [["memory, MB", "pass", "desirepath", *names]]
        for row in heavy:
            used = [megabytes(row["extra_bytes"].get(name)) for name in ["desirepath", *names]]
            lines.append([row["case"], row["pass"], *used])
        parts += [
            "Most memory in use at once beyond inputs and parameters (burn: all that it took from the device):",
            markdown(lines),
        ]
    failures = {
        f"- {name}, {row['case']}, {row['pass']}: {peer['error']}"
        for row in results["table"]
        for name, peer in row["peers"].items()
        if "error" in peer
    }
    if failures:
        parts += ["What failed, and what it said:", "\n".join(sorted(failures))]
    return "\n\n".join(parts) + "\n"


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            name = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "")
    except OSError:
        name = platform.processor()
    return f"{name or platform.machine()}, {os.cpu_count()} cores"


def versions(raw, program):
    """Each peer with what it ran on."""
    said = subprocess.run([str(program), "--version"], stdout=subprocess.PIPE, text=True).stdout.split()
    found = {"desirepath": f"{said[-1] if said else '?'} on {raw['desirepath']['driver']}"}
    for peer in ("burn", "torch"):
        if peer in raw:
            about = raw[peer]["about"] or {}
            words = [f"{key} {value}" for key, value in about.items() if key not in ("adapter", "tf32") and value]
            words = ", ".join([str(about.get("adapter", "?")), *words])
            found[raw[peer]["peer"]] = f"{raw[peer]['version']} on {words}"
    return found | {"host": processor()}


def main():
    args = arguments()
    raw = measure(args)
    adapter = raw["desirepath"]["adapter"]
    other = (raw.get("burn", {}).get("about") or {}).get("adapter", "")
    if not adapter.startswith(other):
        print(f"not the same adapter: desirepath ran on {adapter}, burn on {other}")
        args.note = "; ".join(part for part in (args.note, f"burn ran on another adapter, {other}") if part)
    results = {
        "date": datetime.date.today().isoformat(),
        "adapter": adapter,
        "note": args.note,
        "versions": versions(raw, args.desirepath),
        "table": compare(raw),
        "raw": raw,
    }
    text = report(results)
    print(text, end="")
    if args.quick or args.filter:
        return print("not written: this was not a complete run")
    slug = re.sub("[^a-z0-9]+", "-", adapter.split(" (")[0].lower()).strip("-")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"peers-{slug}.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / f"peers-{slug}.md").write_text(text)
    print(f"written to peers-{slug}.json and .md in {out.name}/")


if __name__ == "__main__":
    main()

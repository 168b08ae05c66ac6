"""Throughput against latency, from 1 to 256 connections: wrk in a process of its own, the server in another.

    python3 benches/serve/measure.py target/release/desirepath MODEL --users users.txt --items items.txt --name ml-1m

Half of the requests are events, half recommendations; then recommendations alone; then, at 16 connections, batches of
one request against batches of up to 32. Writes NAME.json and NAME.svg to --out.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

from common import Server, chart

LUA = pathlib.Path(__file__).with_name("mixed.lua")


def wrk(server, args, connections, share):
    env = {**os.environ, "EVENTS": str(share), "USERS": args.users, "ITEMS": args.items, "SEED": str(connections)}
    command = ["wrk", f"-t{min(connections, 2)}", f"-c{connections}", f"-d{args.seconds}s", "--timeout", "15s",
               "--latency", "-s", str(LUA), f"http://{server.address}"]
    text = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    found = json.loads(next(line for line in text.splitlines() if line.startswith("JSON "))[5:])
    found |= {"connections": connections, "events": share, "per_second": round(found["requests"] / found["seconds"], 1)}
    print(found, flush=True)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--users", required=True)
    parser.add_argument("--items", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", default="1,2,4,8,16,32,64,128,256")
    parser.add_argument("--out", default="docs/serving")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    connections = [int(c) for c in args.connections.split(",")]
    result = {"mixed": [], "recommendations": [], "one_by_one": [], "batched": []}

    def with_server(key, share, connections, *options):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(args.program, args.model, folder + "/store", *options)
            result[key] = [wrk(server, args, c, share) for c in connections]
            server.stop()
        (out / f"{args.name}.json").write_text(json.dumps(result, indent=1))

    with_server("mixed", 0.5, connections)
    with_server("recommendations", 0, [c for c in connections if c in (1, 4, 16, 64)] or connections[:1])
    with_server("one_by_one", 0, [16], "--batch", "1")
    with_server("batched", 0, [16])

    by_connections = lambda key: [(r["connections"], r[key]) for r in result["mixed"]]
    lines = {name: by_connections(name) for name in ("p50", "p99", "p99.9")}
    (out / f"{args.name}-latency.svg").write_text(chart("Latency, half events, half recommendations", "connections", "ms", lines, log=True))
    (out / f"{args.name}.svg").write_text(chart("Throughput, half events, half recommendations", "connections", "requests/s",
                                                {"requests/s": by_connections("per_second")}, log=True))



main()

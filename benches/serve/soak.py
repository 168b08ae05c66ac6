"""Mixed requests at a steady rate, with the server's memory each 30 s: does it grow?

    python3 benches/serve/soak.py target/release/desirepath MODEL --minutes 60 --rate 20 --out docs/serving
"""

import argparse
import json
import pathlib
import random
import tempfile
import threading
import time
from urllib.parse import quote

from common import Server, chart


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--every", type=float, default=30, help="seconds between samples")
    parser.add_argument("--before", type=int, default=200_000, help="events that the store has at the start")
    parser.add_argument("--out", default="docs/serving")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args.program, args.model, folder + "/store")
        known = server.ask("GET", "/examples")[1]
        # A store in the middle of its life: one that begins empty fills its page cache for an hour, which looks like a leak.
        dice = random.Random(0)
        for _ in range(0, args.before, 1000):
            event = lambda: {"user": f"soak-{dice.randrange(20000)}", "item": dice.choice(known["items"]), "time": int(time.time())}
            status, said = server.ask("POST", "/events", {"events": [event() for _ in range(1000)]})
            assert status == 200, said
        counts = {}
        lock = threading.Lock()
        ends = time.time() + 60 * args.minutes

        def client(seed, rate):
            dice = random.Random(seed)
            due = time.time()
            while time.time() < ends:
                # Known people, and new ones who come and stay away.
                user = dice.choice(known["users"]) if dice.random() < 0.5 else f"soak-{dice.randrange(20000)}"
                kind = dice.random()
                try:
                    if kind < 0.5:
                        event = {"user": user, "item": dice.choice(known["items"]), "time": int(time.time())}
                        status, _ = server.ask("POST", "/events", {"events": [event]})
                    elif kind < 0.9:
                        status, _ = server.recommend(user)
                    elif kind < 0.95:
                        status, _ = server.ask("POST", "/score", {"user": user, "items": known["items"]})
                    elif kind < 0.99:
                        status, _ = server.ask("GET", "/similar/" + quote(dice.choice(known["items"])))
                    else:
                        status, _ = server.ask("DELETE", f"/users/soak-{dice.randrange(20000)}")
                except OSError as error:
                    status = type(error).__name__
                with lock:
                    counts[status] = counts.get(status, 0) + 1
                due += dice.expovariate(rate)
                time.sleep(max(0.0, due - time.time()))

        threads = [threading.Thread(target=client, args=(n, args.rate / 4)) for n in range(4)]
        [t.start() for t in threads]
        started, samples = time.time(), []
        while time.time() < ends:
            text = server.ask("GET", "/metrics")[1]
            names = ["resident_memory_bytes", "device_memory_reserved_bytes", "device_memory_live_bytes", "store_file_bytes"]
            sample = {name: server.metric(text, name) for name in names}
            samples.append({"minute": round((time.time() - started) / 60, 3), **sample})
            with lock:
                result = {"rate": args.rate, "answers": {str(k): v for k, v in counts.items()}, "samples": samples}
            (out / "soak.json").write_text(json.dumps(result, indent=1))
            draw(out, samples)
            time.sleep(args.every)
        [t.join() for t in threads]
        server.stop()


def draw(out, samples):
    mib = lambda name: [(s["minute"], s[name] / 2**20) for s in samples if s[name] is not None]
    if len(samples) < 2:
        return
    lines = {"host": mib("resident_memory_bytes"), "device, reserved": mib("device_memory_reserved_bytes"),
             "store file": mib("store_file_bytes")}
    (out / "soak.svg").write_text(chart("Memory under mixed load", "minutes", "MiB", lines))


main()

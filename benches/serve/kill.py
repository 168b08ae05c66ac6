"""SIGKILL at random moments under load: is every acknowledged event there, and is every answer what a server gives that
was never killed?

    python3 benches/serve/kill.py target/release/desirepath MODEL --times 100
"""

import argparse
import random
import tempfile
import threading
import time

from common import Server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    sent, acknowledged, lost, clock = [], [], 0, [1_700_000_000]
    lock = threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args.program, args.model, folder + "/killed")
        known = server.ask("GET", "/examples")[1]
        users = known["users"][: args.users // 2] + [f"new-{n}" for n in range(args.users // 2)]

        def client(server, seed, stop):
            own = random.Random(seed)
            while not stop.is_set():
                with lock:
                    clock[0] += 1  # every event has its time, so its place does not depend on when it arrives
                    event = {"user": own.choice(users), "item": own.choice(known["items"]), "time": clock[0],
                             "key": f"k{clock[0]}"}
                    sent.append(event)
                try:
                    status, answer = server.ask("POST", "/events", {"events": [event]})
                    if status == 200 and answer["accepted"] == 1:
                        acknowledged.append(event)
                    if own.random() < 0.3:
                        server.recommend(own.choice(users))
                except OSError:
                    return
                except Exception:  # an answer that was cut off
                    return

        for time_ in range(args.times):
            stop = threading.Event()
            threads = [threading.Thread(target=client, args=(server, 10 * time_ + n, stop)) for n in range(4)]
            [t.start() for t in threads]
            before = len(acknowledged)
            time.sleep(dice.uniform(0.02, 0.6))
            server.kill()
            stop.set()
            [t.join() for t in threads]
            server = Server(args.program, args.model, folder + "/killed")
            mine = acknowledged[before:]
            for start in range(0, len(mine), 500):
                part = mine[start:start + 500]
                lost += len(part) - server.ask("POST", "/events", {"events": part})[1]["known"]
        missing = 0
        other = Server(args.program, args.model, folder + "/never-killed")
        for start in range(0, len(sent), 500):
            part = sent[start:start + 500]
            missing += 500 - server.ask("POST", "/events", {"events": part})[1]["known"] - (500 - len(part))
            other.ask("POST", "/events", {"events": part})
        differ = [user for user in users if server.recommend(user) != other.recommend(user)]
        [s.stop() for s in (server, other)]
    print(f"{args.times} kills: {len(sent)} events sent, {len(acknowledged)} acknowledged, {lost} of these lost, "
          f"{missing} of the others had not been stored; answers for {len(users)} users, {len(differ)} differ")
    raise SystemExit(1 if lost or differ else 0)


main()

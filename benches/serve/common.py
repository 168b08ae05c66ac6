"""What the measurements of the server share: starting it, asking it, drawing lines. Standard library alone."""

import http.client
import json
import re
import subprocess
import threading
import urllib.parse


class Server:
    """`desirepath serve` as a process of its own, on a free port."""

    def __init__(self, program, model, store, *args, env=None):
        command = [program, "serve", model, "--store", store, "--listen", "127.0.0.1:0", "--json", *args]
        self.log = open(str(store) + ".log", "a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=env)
        text = ""
        while not text.rstrip().endswith("}"):
            line = self.process.stdout.readline().decode()
            if not line:
                raise SystemExit(f"the server did not start; see {store}.log")
            text += line
        self.address = json.loads(text)["listening"]
        self.local = threading.local()

    def ask(self, method, path, body=None, timeout=30):
        """Status and parsed answer; one connection per thread is kept. Reading is tried again where it was idle too long."""
        try:
            return self.ask_once(method, path, body, timeout)
        except http.client.RemoteDisconnected:
            if method != "GET":
                raise
            return self.ask_once(method, path, body, timeout)

    def ask_once(self, method, path, body, timeout):
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self.address, timeout=timeout)
            self.local.connection = connection
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        except Exception:
            connection.close()
            self.local.connection = None
            raise
        return response.status, json.loads(text) if text.startswith(b"{") else text.decode()

    def recommend(self, user, top=10):
        return self.ask("GET", f"/recommend?top={top}&user={urllib.parse.quote(user)}")

    def metric(self, text, name):
        found = re.search(rf"^desirepath_{name} (\S+)$", text, re.M)
        return float(found.group(1)) if found else None

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"]


def chart(title, across, up, lines, log=False, width=640, height=360):
    """An SVG of `lines`: {name: [(x, y), ...]}; `log` scales the x axis by powers of two."""
    import math
    left, right, top, bottom = 70, 20, 40, 60
    fx = (lambda v: math.log2(v)) if log else (lambda v: v)
    xs = [fx(x) for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    x0, x1, y1 = min(xs), max(xs), max(ys) * 1.08 or 1
    px = lambda x: left + (fx(x) - x0) / ((x1 - x0) or 1) * (width - left - right)
    py = lambda y: height - bottom - y / y1 * (height - top - bottom)
    step = 10 ** math.floor(math.log10(y1))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if y1 / s <= 8)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="22" font-size="14" font-weight="bold">{title}</text>']
    y = 0.0
    while y <= y1:
        out.append(f'<line x1="{left}" y1="{py(y):.1f}" x2="{width - right}" y2="{py(y):.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
        y = round(y + step, 9)
    ticks = sorted({x for points in lines.values() for x, _ in points})
    if len(ticks) > 12:
        step = max(1, round((x1 - x0) / 6))
        ticks = [x0 + step * n for n in range(7) if x0 + step * n <= x1]
    for x in ticks:
        out.append(f'<text x="{px(x):.1f}" y="{height - bottom + 18}" text-anchor="middle">{x:g}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 24}" text-anchor="middle">{across}</text>'
               f'<text transform="translate(16 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">{up}</text>')
    for n, (name, points) in enumerate(lines.items()):
        colour = COLOURS[n % len(COLOURS)]
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= 20:
            out += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
        out.append(f'<rect x="{left + 130 * n}" y="{height - 16}" width="10" height="10" fill="{colour}"/>'
                   f'<text x="{left + 14 + 130 * n}" y="{height - 7}">{name}</text>')
    return "\n".join(out + ["</svg>", ""])

#!/usr/bin/env python3
"""A platform for weir's webhook scaler (docs/webhook.md), in one file.

    receiver.py --listen 127.0.0.1:7070 --token-file secret [--systemd]

It runs the command in a function's settings once for each instance, told its
port by PORT; settings in capitals become variables. With --systemd each
instance is a transient unit of systemd's (systemd-run --user unless root), so
that it outlives this receiver; otherwise it is a child of it. Whoever has the
token can run commands here: give it to weir only.
"""
import argparse, hashlib, hmac, json, os, random, shlex, shutil, signal, socket, subprocess, sys, threading, time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.RLock()
functions = {}  # name: {"instances": {id: instance}, "callback": {...}}
answers = {}    # Idempotency-Key: (when, status, body), for as long as a request could be replayed
WINDOW = 300    # seconds that a signature holds


def free_address():
    """An address that nobody listens on and no other instance was given. Above 61000,
    Linux gives none to outgoing connections, which could have it before the instance."""
    given = [i.address for f in functions.values() for i in f["instances"].values()]
    while True:
        port = random.randrange(61000, 65536)
        address = "127.0.0.1:%d" % port
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if address not in given:
            return address


class Instance:
    def __init__(self, id, settings):
        self.address = free_address()
        self.id, self.stopping, self.last = id, False, ""
        self.command = shlex.split(settings["command"])
        if not shutil.which(self.command[0]):
            raise FileNotFoundError("no such command: " + self.command[0])
        own = {k: v for k, v in settings.items() if k.isupper()}
        own.update(PORT=self.address.split(":")[1], INSTANCE=id)
        command = self.command
        if args.systemd:
            command = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit=weir-" + id]
            command += [] if os.getuid() == 0 else ["--user"]
            command += ["--setenv=%s=%s" % kv for kv in own.items()] + ["--"] + self.command
        self.process = subprocess.Popen(command, env={**os.environ, **own}, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace")

    def stop(self):
        self.stopping = True
        if args.systemd:
            subprocess.run(["systemctl"] + ([] if os.getuid() == 0 else ["--user"]) + ["stop", "weir-" + self.id])
        else:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def watch(name, instance):
    """Passes on what an instance says, and tells weir when it ends unasked."""
    for line in instance.process.stderr:
        instance.last = line.strip() or instance.last
        print(name, instance.id, line.rstrip(), file=sys.stderr, flush=True)
    status = instance.process.wait()
    news = {"id": instance.id, "failed": "exited with status %d: %s" % (status, instance.last)}
    with lock:
        f = functions[name]
        if f["instances"].get(instance.id) is instance:
            del f["instances"][instance.id]
        if not instance.stopping:
            f["ended"][instance.id] = news  # for whoever asks before it is told
    if not instance.stopping and f["callback"]:
        tell(f["callback"], "gone", news)
    with lock:
        f["ended"].pop(instance.id, None)


def tell(callback, what, news):
    request = urllib.request.Request(callback["url"] + "/" + what, json.dumps(news).encode(), {
        "Authorization": "Bearer " + callback["token"], "Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except OSError as e:
        print("cannot tell weir:", e, file=sys.stderr, flush=True)


def obey(wish):
    """Does what weir wishes and returns status and answer."""
    with lock:
        f = functions.setdefault(wish["function"], {"instances": {}, "ended": {}, "callback": None})
        f["callback"] = wish.get("callback")
        there = f["instances"]
        try:
            while wish["action"] == "ensure" and len(there) < wish["instances"]:
                i = Instance("%s-%s" % (wish["function"].replace(".", "-"), os.urandom(4).hex()), wish["settings"])
                there[i.id] = i
                threading.Thread(target=watch, args=(wish["function"], i), daemon=True).start()
        except (FileNotFoundError, KeyError, ValueError) as e:  # asking again will not help
            return 422, {"title": "Unprocessable", "detail": str(e)}
        surplus = []
        if wish["action"] == "limit":
            surplus = [there.pop(id) for id in list(there)[max(wish["instances"], 0):]]
        for i in surplus:
            i.stopping = True
        answer = {"instances": [{"id": i.id, "address": i.address} for i in there.values()] + list(f["ended"].values())}
    for i in surplus:
        i.stop()
    return 200, answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = self.checked(body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status == 200 else "application/problem+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def checked(self, body):
        at, key = self.headers.get("Weir-Timestamp", "0"), self.headers.get("Idempotency-Key", "")
        head = "\n".join([self.command, self.path, at, key, ""]).encode()
        right = "sha256=" + hmac.new(secret, head + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, self.headers.get("Weir-Signature", "")) or abs(time.time() - int(at)) > WINDOW:
            return 403, {"title": "Forbidden", "detail": "the signature is wrong or too old; compare token and clock"}
        with lock:  # one at a time: the same request twice is one
            for old in [k for k, a in answers.items() if time.time() - a[0] > 2 * WINDOW]:
                del answers[old]
            if key not in answers:
                answers[key] = (time.time(), *obey(json.loads(body)))
            return answers[key][1:]

    def log_message(self, *_):
        pass


parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1:7070")
parser.add_argument("--token-file", required=True)
parser.add_argument("--systemd", action="store_true")
args = parser.parse_args()
secret = open(args.token_file, "rb").read().strip()
host, port = args.listen.rsplit(":", 1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = ThreadingHTTPServer((host, int(port)), Handler)
print("listening on %s:%d" % server.server_address, flush=True)
try:
    server.serve_forever()
finally:
    for f in functions.values():
        for i in list(f["instances"].values()):
            i.stop()

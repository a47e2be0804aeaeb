#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small model hub on loopback for tests/test_hub.c. Prints its port, then serves until its stdin closes.

Requests are logged to the file given as argument, one line each: METHOD PATH RANGE IF-RANGE TOKEN.
Repository names choose what goes wrong: see REPOS and the branches of resolve().
"""
import hashlib
import http.server
import json
import sys
import threading

BIG = bytes((i * i >> 3) & 255 for i in range(300000))
SMALL = b'{"model_type": "llama"}'


def lfs(data, sha=None):
    return {"size": len(data), "lfs": {"size": len(data), "sha256": sha or hashlib.sha256(data).hexdigest()}}


def blob(data):
    return {"size": len(data), "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}


PLAIN = {"config.json": (SMALL, blob(SMALL)), "model.safetensors": (BIG, lfs(BIG)),
         "tokenizer.json": (b"{}", blob(b"{}")), "README.md": (b"#", blob(b"#")),
         "pytorch_model.bin": (b"x", lfs(b"x")), "onnx/model.safetensors": (b"x", lfs(b"x")),
         ".gitattributes": (b"", blob(b""))}
ONE = {"model.safetensors": (BIG, lfs(BIG))}
GGUFS = {f"m-{q}.gguf": (q.encode(), lfs(q.encode())) for q in ("Q4_0", "Q4_K_M", "Q8_0")}
REPOS = {
    "org/good": PLAIN, "org/cut": ONE, "org/cutnoetag": ONE, "org/changed": ONE, "org/redirect": ONE, "org/busy": ONE,
    "org/loop": ONE, "org/tohttp": ONE, "org/badrange": ONE, "org/stuck": ONE,
    "org/badsum": {"model.safetensors": (BIG, lfs(BIG, "0" * 64))},
    "org/badblob": {"model.safetensors": (b"x", lfs(b"x")), "config.json": (SMALL, blob(SMALL[::-1]))},
    "org/short": {"model.safetensors": (BIG, lfs(BIG + b"x"))},
    "org/long": {"model.safetensors": (BIG, lfs(BIG[:-1]))},
    "org/missing": {"model.safetensors": (None, lfs(BIG))},
    "org/ggufs": GGUFS, "org/two": {k: v for k, v in GGUFS.items() if "K_M" not in k},
    "org/onegguf": {"m.gguf": (BIG, lfs(BIG))},
    "org/none": {"README.md": (b"#", blob(b"#"))},
    "org/dotdot": {"../../evil.safetensors": (b"x", lfs(b"x"))},
    "org/absolute": {"/tmp/evil.safetensors": (b"x", lfs(b"x"))},
    "org/nul": {"a\0.safetensors": (b"x", lfs(b"x"))},
    "org/colon": {"a:b.safetensors": (b"x", lfs(b"x"))},
    "org/token": {"model.safetensors": (b"secret", lfs(b"secret"))},
}
counts = {}
lock = threading.Lock()


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            with open(sys.argv[1], "a") as f:
                print("GET", self.path, self.headers.get("Range", "-"), self.headers.get("If-Range", "-"),
                      self.headers.get("Authorization", "-").replace("Bearer ", ""), file=f)
            n = counts[self.path] = counts.get(self.path, 0) + 1
        path = self.path.split("?")[0]
        if path.startswith("/api/models/"):
            return self.listing(path[len("/api/models/"):])
        if path.startswith("/cdn"):
            return self.whole("org/redirect", BIG, '"cdn"')
        repo, _, rest = path[1:].partition("/resolve/")
        return self.resolve(repo, rest.partition("/")[2], n)

    def listing(self, rest):
        repo, _, revision = rest.partition("/revision/")
        if repo == "org/garbage":
            return self.answer(200, b"<html>")
        if repo == "org/nolist":
            return self.answer(200, b'{"siblings": 3}')
        if repo == "org/token" and self.headers.get("Authorization") != "Bearer hf_test":
            return self.answer(401, b"no")
        if repo not in REPOS or revision not in ("main", "v1.0"):
            return self.answer(404, b"no")
        self.answer(200, json.dumps({"id": repo, "siblings": [{"rfilename": k, **v[1]} for k, v in REPOS[repo].items()]})
                    .encode())

    def resolve(self, repo, name, n):
        data = REPOS.get(repo, {}).get(name, (None,))[0]
        if data is None:
            return self.answer(404, b"no")
        port = self.server.server_address[1]
        if repo == "org/redirect" or repo == "org/token":
            host = "localhost" if repo == "org/token" else "127.0.0.1"
            if repo == "org/token" and self.headers["Host"].startswith("localhost"):
                return self.whole(repo, data, '"t"')
            target = f"http://{host}:{port}" + (self.path if repo == "org/token" else "/cdn/file?sig=SECRET")
            return self.answer(302, b"moved", Location=target)
        if repo == "org/loop":
            return self.answer(302, b"moved", Location=self.path)
        if repo == "org/tohttp":
            return self.answer(302, b"moved", Location="http://192.0.2.1/file")
        if repo == "org/busy" and n < 3:
            return self.answer(503, b"busy")
        if repo in ("org/cut", "org/cutnoetag") and n <= 2:
            return self.cut(data, '"v1"' if repo == "org/cut" else None)
        if repo == "org/changed" and n == 1:
            return self.cut(b"z" * len(data), '"old"')
        if repo == "org/badrange" and n > 1:
            return self.answer(206, data[5:], Content_Range=f"bytes 5-{len(data) - 1}/{len(data)}", ETag='"v1"')
        if repo == "org/badrange":
            return self.cut(data, '"v1"')
        if repo == "org/stuck":
            return self.cut(data[:0], '"v1"', len(data))
        self.whole(repo, data, None if repo == "org/cutnoetag" else '"v1"')

    def cut(self, data, etag, length=None):
        """Promises all of what was asked for, and closes after a third."""
        from_ = self.range_start(etag, len(data))
        part = data[from_:]
        self.send_response(206 if from_ else 200)
        if from_:
            self.send_header("Content-Range", f"bytes {from_}-{len(data) - 1}/{len(data)}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(length or len(part)))
        self.end_headers()
        self.wfile.write(part[: len(part) // 3])
        self.wfile.flush()
        self.close_connection = True

    def range_start(self, etag, size):
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if not wanted or (condition and condition != etag):
            return 0
        return min(int(wanted[len("bytes="):].rstrip("-")), size)

    def whole(self, repo, data, etag):
        from_ = self.range_start(etag, len(data))
        headers = {"ETag": etag} if etag else {}
        if from_:
            headers["Content_Range"] = f"bytes {from_}-{len(data) - 1}/{len(data)}"
        self.answer(206 if from_ else 200, data[from_:], **headers)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, address):
        pass  # the client went away


server = Server(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()

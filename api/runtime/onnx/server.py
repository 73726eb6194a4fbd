"""The child program that runs one encoder: ONNX Runtime behind a small HTTP server on a free loopback port.

Reads one JSON line from its standard input, writes one to its standard output (its address, or why there is none),
serves, and ends when its standard input closes. It answers `/v1/embeddings` and `/tokenize` as llama.cpp's server does.
Depends on onnx, onnxruntime, tokenizers and the standard library alone.
"""

import base64
import hmac
import json
import os
import platform
import sys
import threading
from concurrent.futures import Future
from heapq import heappop, heappush
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, TextIO

SEPARATOR = -1
"""Stands between texts, and between their tokens."""


class TooLong(Exception):
    """A text that the encoder cannot read whole, with its tokens and how many it reads."""


class Encoder:
    """Texts to vectors, one text at a time on each thread: short requests come first, however long others are."""

    def __init__(self, path: str, threads: int) -> None:
        import numpy
        import onnxruntime
        import tokenizers

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a text is too short to be worth sharing
        self._array = numpy.array
        model = path if multiplies_signed() else without_sign(path)
        self._session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        about = self._session.get_modelmeta().custom_metadata_map
        self._context = int(about["context_length"])
        self._tokenizer = tokenizers.Tokenizer.from_str(about["tokenizer.json"])
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._threads = threads
        self._serial = count()
        self._waiting: list[tuple[int, int, int, list[int], Future[bytes]]] = []
        self._changed = threading.Condition()
        for number in range(threads):
            threading.Thread(target=self._work, args=(number,), daemon=True).start()

    def tokens(self, texts: list[str], *, marks: bool) -> list[list[int]]:
        """The tokens of each text, one after the other: several at once would take all cores."""
        encode = self._tokenizer.encode_batch_fast
        return [encode([text], add_special_tokens=marks)[0].ids for text in texts]

    def vectors(self, texts: list[str], threads: int) -> list[bytes]:
        """One vector a text, on so many threads from now on."""
        tokens = self.tokens(texts, marks=True)
        for ids in tokens:
            if len(ids) > self._context:
                raise TooLong(len(ids), self._context)
        work = sum(map(len, tokens))
        found: list[Future[bytes]] = [Future() for _ in tokens]
        with self._changed:
            self._threads = threads
            for ids, future in zip(tokens, found, strict=True):
                heappush(self._waiting, (work, -len(ids), next(self._serial), ids, future))
            self._changed.notify_all()
        return [future.result() for future in found]

    def _work(self, number: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting and number < self._threads)
                *_, ids, future = heappop(self._waiting)
            try:
                (vector,) = self._session.run(None, {"ids": self._array([ids])})
                future.set_result(vector.tobytes())
            except Exception as error:  # a text of this request, which is told
                future.set_exception(error)


def multiplies_signed() -> bool:
    """Whether products of 8 bits with and without a sign are added exactly here: on x86 where it has VNNI. With AVX2
    alone ONNX Runtime adds two of them in 16 bits, which overflow; both without a sign it adds in 32.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


def without_sign(path: str) -> bytes:
    """The model with 128 added to its signed numbers and their zero points, which changes no product of both."""
    import numpy
    import onnx

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:
            numbers = numpy.frombuffer(tensor.raw_data, numpy.uint8)
            tensor.raw_data = (numbers ^ 0x80).tobytes()
            tensor.data_type = onnx.TensorProto.UINT8
    return bytes(model.SerializeToString())


class Server(ThreadingHTTPServer):
    """Answers whoever knows the key."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, encoder: Encoder, key: str, threads: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.encoder = encoder
        self.authorization = f"Bearer {key}".encode()
        self.threads = threads


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        """Answer it, whatever is wrong with it."""
        try:
            said = self.headers.get("Authorization", "").encode("latin-1")
            if not hmac.compare_digest(said, self.server.authorization):
                self._refuse(401, "unauthorized", "the key is another one")
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/tokenize":
                self._answer(200, {"tokens": self._tokens(body)})
            else:
                self._answer(200, {"data": self._vectors(body)})
        except TooLong as error:
            tokens, context = error.args
            about = {"n_prompt_tokens": tokens, "n_ctx": context}
            self._refuse(400, "exceed_context_size_error", "the text is too long", about)
        except (KeyError, TypeError, ValueError) as error:
            self._refuse(400, "invalid_request_error", str(error))
        except Exception as error:
            self._refuse(500, "server_error", str(error))

    def _tokens(self, body: dict[str, Any]) -> list[int]:
        texts = [text for text in body["content"] if text != SEPARATOR]
        tokens = self.server.encoder.tokens(texts, marks=bool(body.get("add_special")))
        return [token for ids in tokens for token in (*ids, SEPARATOR)]

    def _vectors(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        threads = max(1, min(int(body.get("threads", 1)), self.server.threads))
        vectors = self.server.encoder.vectors(body["input"], threads)
        coded = [base64.b64encode(vector).decode() for vector in vectors]
        return [{"index": index, "embedding": vector} for index, vector in enumerate(coded)]

    def _refuse(self, status: int, kind: str, message: str, about: Any = None) -> None:
        self._answer(status, {"error": {"type": kind, "message": message, **(about or {})}})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who asks, knows."""


def main() -> None:
    """Serve until the parent is gone."""
    answers = _take_standard_output()
    config = json.loads(sys.stdin.readline())
    try:
        encoder = Encoder(config["path"], config["most_threads"])
    except Exception as error:  # ONNX Runtime's own have no common class
        _say(answers, {"error": str(error)})
        sys.exit(1)
    server = Server(encoder, config["key"], config["most_threads"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _say(answers, {"address": f"http://127.0.0.1:{server.server_port}"})
    sys.stdin.read()
    os._exit(0)  # open requests must not keep a child whose parent is gone


def _take_standard_output() -> TextIO:
    """Keep standard output for the answer; what native code prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

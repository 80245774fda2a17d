"""The HTTP side of the fake worker: llama.cpp's answers in its own form, and its faults on command.

One answer at a time on a connection, at most `slots` generations at once, and a slot is free again as soon as
its client is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import scripted
from scripted import Script, Scripts
from slot_states import SlotFailed, SlotStates

Json = dict[str, Any]
BATCH_TOKENS = 384
STARTED = time.monotonic()
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nX-Accel-Buffering: no\r\n"
    b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def log(level: str, where: str, text: str) -> None:
    """One line as llama.cpp writes it: `0.00.005.613 I srv    load_model: loading model`."""
    passed_us = int((time.monotonic() - STARTED) * 1_000_000)
    seconds, us = divmod(passed_us, 1_000_000)
    stamp = f"{seconds // 60}.{seconds % 60:02}.{us // 1000:03}.{us % 1000:03}"
    sys.stderr.write(f"{stamp} {level} srv  {where:>12}: {text}\n")
    sys.stderr.flush()


def quote(request: Json) -> None:
    """Repeat a refused request in the log, on its own line and on lines of their own, as llama.cpp does."""
    messages = request.get("messages") or [{"content": request.get("prompt")}]
    text = str(messages[-1].get("content"))
    log("E", "parse", f"error parsing grammar: expecting name at {text}")
    sys.stderr.write(f"{text}\nllg error: {text}\n")
    sys.stderr.flush()


def die(code: int | None) -> None:
    """End at once, as a crash does: nothing is flushed, closed or removed."""
    if code is not None and code < 0:
        os.kill(os.getpid(), -code)
        time.sleep(60)
    os._exit(1 if code is None else code)


class Refused(Exception):
    def __init__(
        self, status: int, message: str, kind: str = "invalid_request_error", error: Json | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": status, "message": message, "type": kind} | (error or {})}


class Answers:
    """What is said: the content of every answer, decided by the request and the flags alone."""

    def __init__(self, spec: Json, flags: argparse.Namespace) -> None:
        self.alias = str(spec.get("alias") or "fake")
        self.flags = flags

    def words(self, request: Json) -> tuple[list[str], str]:
        """The tokens of an answer and its finish reason."""
        # The gateway's own limit matters only where the context does: elsewhere streams are as long as the flags say.
        names = ("max_completion_tokens", "max_tokens", "n_predict")
        if self.flags.shared_context:
            names = ("n_predict", *names)
        elif not any(request.get(name) for name in names[:2]) and request.get("messages"):
            names = names[:2]
        limit = next((request[name] for name in names if request.get(name)), None)
        wanted = self.flags.tokens
        count = min(wanted, int(limit)) if limit else wanted
        words = [f" word{number}" if number else "word0" for number in range(count)]
        return words, "length" if count < wanted else "stop"

    def frame(self, request: Json, kind: str) -> Json:
        return {
            "choices": [],
            "created": int(time.time()),
            "model": self.alias,
            "system_fingerprint": "b0-unknown",
            "object": kind,
            "id": f"chatcmpl-{uuid.uuid4().hex}",
        }

    def prompt_tokens(self, request: Json) -> int:
        """A token for each word of the JSON."""
        prompt = request.get("messages") or request.get("input") or request.get("prompt") or ""
        return len(json.dumps(prompt).split())

    def usage(self, request: Json, count: int, cached: int = 0) -> Json:
        asked = self.prompt_tokens(request)
        return {
            "completion_tokens": count,
            "prompt_tokens": asked,
            "total_tokens": asked + count,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def logprobs(self, token: str) -> Json:
        one = {"id": 1, "token": token, "bytes": list(token.encode()), "logprob": -0.5}
        return {"content": [one | {"top_logprobs": [one]}]}

    def timings(self, count: int, took_s: float, cached: int = 0) -> Json:
        took_s = max(took_s, 1e-6)
        return {
            "cache_n": cached,
            "prompt_n": 1,
            "prompt_ms": 1.0,
            "predicted_n": count,
            "predicted_ms": took_s * 1000,
            "predicted_per_token_ms": took_s * 1000 / max(count, 1),
            "predicted_per_second": count / took_s,
        }


@dataclass
class Task:
    """What a slot works on, as `/slots` reports it."""

    number: int
    tag: int
    prompt_tokens: int = 0
    read_tokens: int = 0
    decoded_tokens: int = 0
    cached_tokens: int = 0

    def report(self) -> Json:
        return {
            "id_task": self.number,
            "n_prompt_tokens": self.prompt_tokens + self.decoded_tokens,
            "n_prompt_tokens_processed": self.read_tokens,
            "n_prompt_tokens_cache": self.cached_tokens,
            "params": {"n_discard": self.tag},
            "next_token": [{"n_decoded": self.decoded_tokens}],
        }


class LlamaHttp:
    """The HTTP side: one answer at a time on a connection, at most `slots` generations at once."""

    def __init__(self, spec: Json, flags: argparse.Namespace) -> None:
        self.spec = spec
        self.flags = flags
        self.answers = Answers(spec, flags)
        self.scripts = Scripts(flags.turns)
        self.slots: list[bool] = [False] * int(flags.slots or spec.get("parallel") or 4)
        self.free = asyncio.Semaphore(len(self.slots))
        self.never = asyncio.Event()
        self.is_stuck = False
        self.cells: dict[int, int] = {}
        self.tasks: dict[int, Task] = {}
        self.states = SlotStates(len(self.slots), spec.get("slot_folder"), flags)
        self.counts = {"requests": 0, "finished": 0, "cancelled": 0, "health_checks": 0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        early: bytes | None = b""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while early is not None:
                    early = await self._one_request(early, reader, writer)
        finally:
            writer.close()

    async def _one_request(
        self, early: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer one; what came of the next one already, or None when the connection is done with."""
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (h.partition(":") for h in head[1:])
        }
        body = await self._read_body(reader, headers)
        self.counts["requests"] += 1
        answer = self._answer(method, target, headers, body, writer)
        try:
            early_next = await self._watched(reader, asyncio.ensure_future(answer))
        except Refused as refusal:
            await self._send(writer, refusal.body, refusal.status)
            return None
        return None if headers.get("connection", "").lower() == "close" else early_next

    async def _read_body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            return await reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body

    async def _watched(self, reader: asyncio.StreamReader, answering: asyncio.Future[Any]) -> bytes:
        """Answer while the client is there; a client that goes away ends the answer at once."""
        leaving: asyncio.Future[Any] = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        is_gone = leaving.done() and (leaving.exception() is not None or not leaving.result())
        if is_gone and not answering.done():
            answering.cancel()
        if not leaving.done():
            await asyncio.wait({answering})
            leaving.cancel()
        try:
            await answering
        except asyncio.CancelledError:
            raise ConnectionResetError from None
        with contextlib.suppress(asyncio.CancelledError):
            return bytes(await leaving)
        return b""

    async def _send(self, writer: asyncio.StreamWriter, body: object, status: int = 200) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        writer.write(
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\nServer: llama.cpp\r\n"
            f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(data)}\r\n"
            f"{'' if status == 200 else 'Connection: close' + chr(13) + chr(10)}\r\n".encode()
            + data
        )
        await writer.drain()

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        path, _, query = target.partition("?")
        if path == "/health":
            await self._health(writer)
            return
        is_generation = path.endswith(("/completions", "/infill"))
        # Tokens are counted on a thread of their own, which goes on while the main loop hangs.
        if is_generation and self.flags.stuck_on and self.flags.stuck_on.encode() in body:
            self.is_stuck = True
        if self.is_stuck and path == "/slots" and not self.flags.slots_while_stuck:
            await self.never.wait()
        # As the real worker: who may open the socket may ask, and only a port needs the key.
        key = None if self.spec.get("socket") else self.spec.get("api_key")
        if key and headers.get("authorization") != f"Bearer {key}":
            raise Refused(401, "Invalid API Key", "authentication_error")
        if method == "POST" and path.startswith("/slots/"):
            await self._send(writer, await self._act_on_slot(path, query, body))
        elif is_generation and method == "POST":
            await self._generate(path, self._parse(body), writer)
        else:
            await self._send(writer, self._plain(method, path, body))

    async def _act_on_slot(self, path: str, query: str, body: bytes) -> Json:
        if self.flags.slot_trouble == "restore-dies" and "restore" in query:
            die(self.flags.exit_code)
        slot = int(path.rpartition("/")[2])
        while self.slots[slot]:  # noqa: ASYNC110 - as the engine defers it
            await asyncio.sleep(0.01)
        try:
            return await self.states.act(slot, query.removeprefix("action="), self._parse(body))
        except SlotFailed as error:
            raise Refused(400, str(error)) from None

    def _parse(self, body: bytes) -> Json:
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Refused(400, f"[json.exception.parse_error.101] {error}") from None
        if not isinstance(request, dict):
            raise Refused(400, "the body is not an object")
        return request

    async def _health(self, writer: asyncio.StreamWriter) -> None:
        limit = self.flags.stop_answering
        if limit is not None and self.counts["health_checks"] >= limit:
            await asyncio.Event().wait()
        self.counts["health_checks"] += 1
        await self._send(writer, {"status": "ok"})

    def _plain(self, method: str, path: str, body: bytes) -> object:
        if method == "GET":
            found: dict[str, object] = {
                "/slots": [
                    {"id": i, "n_ctx": 8192, "is_processing": busy}
                    | (self.tasks[i].report() if i in self.tasks else self.states.last_task[i] or {})
                    for i, busy in enumerate(self.slots)
                ],
                "/props": {"total_slots": len(self.slots), "model_alias": self.answers.alias}
                | {
                    "model_path": self.spec.get("model_path"),
                    "fake": {"pid": os.getpid(), **self.counts, "damaged_restores": self.states.damaged},
                },
                "/v1/models": {
                    "object": "list",
                    "data": [{"id": self.answers.alias, "object": "model", "owned_by": "llamacpp"}],
                },
            }
            if path in found:
                return found[path]
        elif method == "POST" and path.endswith(("/input_tokens", "/count_tokens")):
            tokens = self.answers.prompt_tokens(self._parse(body))
            return {"object": "response.input_tokens", "input_tokens": tokens}
        elif method == "POST" and path in ("/tokenize", "/detokenize", "/apply-template", "/v1/embeddings"):
            return self._text(path, self._parse(body))
        raise Refused(404, "File Not Found", "not_found_error")

    def _text(self, path: str, request: Json) -> object:
        if path == "/tokenize":
            content = request.get("content", "")
            if isinstance(content, list):  # as it counts the prompts of its own answers
                return {"tokens": [0] * sum(len(text.split()) for text in content)}
            return {"tokens": list(str(content).encode())}
        if path == "/detokenize":
            return {"content": bytes(request.get("tokens", [])).decode(errors="replace")}
        if path == "/apply-template":
            turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in request["messages"]]
            return {"prompt": "".join(turns) + "<|im_start|>assistant\n"}
        if not self.spec.get("is_embedding"):
            text = "This server does not support embeddings. Start it with `--embeddings`"
            raise Refused(501, text, "not_supported_error")
        asked = request.get("input", "")
        texts = asked if isinstance(asked, list) else [asked]
        return {
            "model": self.answers.alias,
            "object": "list",
            "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
            "data": [
                {"object": "embedding", "index": i, "embedding": [len(str(text)) / 8.0] * 8}
                for i, text in enumerate(texts)
            ],
        }

    async def _generate(self, path: str, request: Json, writer: asyncio.StreamWriter) -> None:
        is_chat = path.endswith("/chat/completions")
        if is_chat and not request.get("messages"):
            raise Refused(400, "'messages' is required")
        async with self.free:
            is_kept = self.flags.keep_prompts
            slot = self.states.choose(self.slots, request) if is_kept else self.slots.index(False)
            self.slots[slot] = True
            self.cells[slot] = self.answers.prompt_tokens(request)
            self.tasks[slot] = Task(self.counts["requests"], int(request.get("n_discard") or 0))
            if is_kept:
                self.tasks[slot].cached_tokens = self.states.begin(slot, request)
            try:
                self._require_context(slot)
                await self._read_prompt(request, self.tasks[slot])
                if script := self.scripts.of(request):
                    await self._scripted(script, request, is_chat, writer)
                elif request.get("stream"):
                    await self._stream(request, is_chat, writer, slot)
                else:
                    await self._whole(request, is_chat, writer, slot)
                self.counts["finished"] += 1
            except (asyncio.CancelledError, ConnectionError):
                self.counts["cancelled"] += 1
                raise
            finally:
                if not self.is_stuck:  # only the main loop lets go of a slot
                    self.slots[slot] = False
                    self._keep_task(slot, self.tasks.pop(slot, None))
                self.cells.pop(slot, None)
                log("I", "release", f"id  {slot} | stop processing")

    def _keep_task(self, slot: int, task: Task | None) -> None:
        if task is not None and self.flags.keep_prompts:
            tokens = len(self.states.tokens[slot])
            task.prompt_tokens, task.read_tokens = tokens - task.decoded_tokens, tokens - task.cached_tokens
            self.states.last_task[slot] = task.report()

    async def _read_prompt(self, request: Json, task: Task) -> None:
        """Read the prompt batch by batch; a request that stalls does not get beyond it."""
        left = self.answers.prompt_tokens(request) - task.cached_tokens
        while left and self.flags.prompt_rate:
            batch = min(BATCH_TOKENS, left)
            task.prompt_tokens += batch
            await asyncio.sleep(batch / self.flags.prompt_rate)
            task.read_tokens += batch
            left -= batch
        if self.is_stuck:
            await self.never.wait()
        if self.flags.stall_on and self.flags.stall_on in json.dumps(request):
            await self.never.wait()

    def _require_context(self, slot: int) -> None:
        """One more token of that slot: when the shared context overruns, every slot fails, as the engine's do."""
        if not self.flags.shared_context:
            return
        if slot in self.cells:
            self.cells[slot] += 1
            if sum(self.cells.values()) > int(self.spec["context_size"]):
                self.cells.clear()
        if slot not in self.cells:
            raise Refused(500, "Context size has been exceeded.", "server_error")

    async def _paced(self, words: list[str], slot: int) -> AsyncIterator[str]:
        """The words at the rate asked for; deadlines and not pauses, so that the rate holds under load."""
        started = time.monotonic()
        for number, word in enumerate(words):
            self._require_context(slot)
            wait_s = number / self.flags.rate - (time.monotonic() - started) if self.flags.rate else 0.0
            await asyncio.sleep(max(wait_s, 0.0))
            if self.is_stuck:
                await self.never.wait()
            self.tasks[slot].decoded_tokens += 1
            yield f"{time.monotonic_ns()} " if self.flags.stamp else word

    async def _whole(self, request: Json, is_chat: bool, writer: asyncio.StreamWriter, slot: int) -> None:
        started = time.monotonic()
        words, reason = self.answers.words(request)
        text = "".join([word async for word in self._paced(words, slot)])
        choice: Json = {"finish_reason": reason, "index": 0}
        choice |= (
            {"message": {"role": "assistant", "content": text}}
            if is_chat
            else {"text": text, "logprobs": None}
        )
        body = self.answers.frame(request, "chat.completion" if is_chat else "text_completion")
        usage = self.answers.usage(request, len(words), self.tasks[slot].cached_tokens)
        body |= {"choices": [choice], "usage": usage}
        took_s, cached = time.monotonic() - started, self.tasks[slot].cached_tokens
        body |= {"timings": self.answers.timings(len(words), took_s, cached)}
        await self._send(writer, body)

    async def _scripted(
        self, script: Script, request: Json, is_chat: bool, writer: asyncio.StreamWriter
    ) -> None:
        if script.error is not None and not (request.get("stream") and script.deltas):
            code = script.error["code"]
            quote(request)
            raise Refused(code, script.error["message"], script.error["type"], script.error)
        count = len(script.deltas)
        ending = {"timings": self.answers.timings(count, 0.01)}
        verbose = scripted.verbose_of(script, request)
        usage = {"usage": self.answers.usage(request, count)}
        if not request.get("stream"):
            choice: Json = {"finish_reason": script.finish_reason, "index": 0}
            choice |= {"message": script.message()} if is_chat else {"text": script.text, "logprobs": None}
            if request.get("logprobs") not in (None, False) and script.text:
                choice["logprobs"] = scripted.logprobs(script.text)
            body = self.answers.frame(request, "chat.completion" if is_chat else "text_completion")
            await self._send(writer, body | {"choices": [choice]} | usage | verbose | ending)
            return
        frame = self.answers.frame(request, "chat.completion.chunk" if is_chat else "text_completion")
        wants_usage = (request.get("stream_options") or {}).get("include_usage")
        writer.write(STREAM_HEAD)
        for index in range(request.get("n") or 1):
            for choice in scripted.choices(script, request, is_chat, index):
                # The engine tells of its end with the last chunk: a chat's count has one of its own after it.
                last = {} if choice["finish_reason"] is None else verbose | ({} if is_chat else usage)
                await self._event(writer, frame | {"choices": [choice]} | last)
            if script.error is None and is_chat and wants_usage:
                await self._event(writer, frame | {"choices": []} | usage | ending)
        await self._event(writer, {"error": script.error} if script.error else "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _stream(self, request: Json, is_chat: bool, writer: asyncio.StreamWriter, slot: int) -> None:
        writer.write(STREAM_HEAD)
        started = time.monotonic()
        words, reason = self.answers.words(request)
        frame = self.answers.frame(request, "chat.completion.chunk" if is_chat else "text_completion")
        sent = 0
        async for choice in self._choices(words, reason, is_chat, slot):
            if request.get("logprobs") and (said := choice.get("delta", choice).get("content")):
                choice["logprobs"] = self.answers.logprobs(said)
            await self._event(writer, frame | {"choices": [choice]})
            sent += 1
            if sent == self.flags.die_mid_stream:
                die(self.flags.exit_code)
        last = frame | {"usage": self.answers.usage(request, len(words), self.tasks[slot].cached_tokens)}
        took_s, cached = time.monotonic() - started, self.tasks[slot].cached_tokens
        last["timings"] = self.answers.timings(len(words), took_s, cached)
        if (request.get("stream_options") or {}).get("include_usage"):
            await self._event(writer, last)
        await self._event(writer, "[DONE]")
        await asyncio.sleep(self.flags.hold_end)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _choices(self, words: list[str], reason: str, is_chat: bool, slot: int) -> AsyncIterator[Json]:
        if is_chat:
            yield {"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}
        async for word in self._paced(words, slot):
            if is_chat:
                yield {"finish_reason": None, "index": 0, "delta": {"content": word}}
            else:
                yield {"text": word, "index": 0, "logprobs": None, "finish_reason": None}
        tail: Json = {"delta": {}} if is_chat else {"text": "", "logprobs": None}
        yield {"finish_reason": reason, "index": 0} | tail

    async def _event(self, writer: asyncio.StreamWriter, data: object) -> None:
        text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
        event = f"data: {text}\n\n".encode()
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()

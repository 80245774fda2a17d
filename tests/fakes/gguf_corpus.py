"""Writes small GGUF files: valid ones for any test, and a corpus of hostile ones for the header reader.

Invariant: everything here is made from the format's own description, and nothing of the program is used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_CODES = {
    U8: "B",
    I8: "b",
    U16: "H",
    I16: "h",
    U32: "I",
    I32: "i",
    F32: "f",
    BOOL: "?",
    U64: "Q",
    I64: "q",
    F64: "d",
}
KEY_END = 2**64 - 1

TINY_TENSORS: Mapping[str, tuple[Sequence[int], int]] = {
    "token_embd.weight": ((64, 8), 0),
    "blk.0.attn_q.weight": ((64, 64), 2),
    "blk.1.attn_q.weight": ((64, 64), 8),
    "output_norm.weight": ((64,), 0),
}
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    8: (32, 34),
    12: (256, 144),
    14: (256, 210),
    30: (1, 2),
}


class Typed(NamedTuple):
    """A value with its type in the file, where the one chosen for a Python value is not the right one."""

    type: int
    value: Any


def tiny_keys(**changes: Any) -> dict[str, Any]:
    """Keys of a llama-like model with two layers; `changes` name keys with `__` for a dot, None removes."""
    keys: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.type": "model",
        "general.file_type": 15,
        "llama.context_length": 2048,
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["a", "b", "<s>", "</s>", "", "c", "d", "e"],
        "tokenizer.ggml.token_type": [1, 1, 3, 3, 1, 1, 1, 1],
        "tokenizer.chat_template": "{{ messages }}",
    }
    keys.update({name.replace("__", "."): value for name, value in changes.items()})
    return {name: value for name, value in keys.items() if value is not None}


def write_gguf(
    path: Path,
    keys: Mapping[str, Any] | None = None,
    tensors: Mapping[str, tuple[Sequence[int], int]] | None = None,
    *,
    version: int = 3,
) -> Path:
    """Write a small valid file: Python values for keys, (dimensions, type number) for tensors."""
    path.write_bytes(gguf(keys, tensors, version=version))
    return path


def gguf(
    keys: Mapping[str, Any] | None = None,
    tensors: Mapping[str, tuple[Sequence[int], int]] | None = None,
    *,
    version: int = 3,
) -> bytes:
    """The bytes of a small valid file; see `write_gguf`."""
    keys = tiny_keys() if keys is None else keys
    tensors = TINY_TENSORS if tensors is None else tensors
    raw = keys.get("general.alignment", 32)
    alignment = raw if isinstance(raw, int) else 32
    table, offset = b"", 0
    for name, (dimensions, kind) in tensors.items():
        table += tensor(name, dimensions, kind, offset)
        offset += -(-size_of(dimensions, kind) // alignment) * alignment
    head = start(len(tensors), len(keys), version)
    head += b"".join(key(name, value) for name, value in keys.items()) + table
    return pad(head, alignment) + bytes(offset) if tensors else head


def write_adapter(path: Path, architecture: str = "llama") -> Path:
    """Write a small LoRA adapter for models of that architecture."""
    keys = {"general.architecture": architecture, "general.type": "adapter", "adapter.type": "lora"}
    tensors = {
        "blk.0.attn_q.weight.lora_a": ((64, 4), 0),
        "blk.0.attn_q.weight.lora_b": ((4, 64), 0),
    }
    return write_gguf(path, keys | {"general.name": "Tone"}, tensors)


def write_split(folder: Path, stem: str, count: int) -> list[Path]:
    """Write a model of `count` valid parts, each with one tensor, and return their paths."""
    paths = []
    for number in range(count):
        split = {
            "split.no": Typed(U16, number),
            "split.count": Typed(U16, count),
            "split.tensors.count": Typed(I32, count),
        }
        keys = {**tiny_keys(), **split} if number == 0 else split
        path = folder / f"{stem}-{number + 1:05}-of-{count:05}.gguf"
        paths.append(write_gguf(path, keys, {f"blk.{number}.attn_q.weight": ((64, 64), 2)}))
    return paths


def size_of(dimensions: Sequence[int], kind: int) -> int:
    elements, block_bytes = _BLOCKS[kind]
    count = 1
    for dimension in dimensions:
        count *= dimension
    return count // elements * block_bytes


def start(tensor_count: int, key_count: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, key_count)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str | bytes, value: Any) -> bytes:
    return text(name) + _value(value)


def raw_key(name: str | bytes, kind: int, raw: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + raw


def raw_array(name: str | bytes, kind: int, count: int, raw: bytes = b"") -> bytes:
    return raw_key(name, ARRAY, struct.pack("<IQ", kind, count) + raw)


def tensor(name: str | bytes, dimensions: Sequence[int], kind: int, offset: int) -> bytes:
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def pad(raw: bytes, alignment: int = 32) -> bytes:
    return raw + bytes(-len(raw) % alignment)


def _value(value: Any) -> bytes:
    kind, value = _typed(value)
    if kind == ARRAY:
        inner = _typed(value[0])[0] if value else U32
        items = b"".join(_plain(inner, _typed(item)[1]) for item in value)
        return struct.pack("<IIQ", ARRAY, inner, len(value)) + items
    return struct.pack("<I", kind) + _plain(kind, value)


def _typed(value: Any) -> tuple[int, Any]:
    match value:
        case Typed():
            return value.type, value.value
        case bool():
            return BOOL, value
        case int():
            return U32, value
        case float():
            return F32, value
        case str() | bytes():
            return STRING, value
        case list() | tuple():
            return ARRAY, value
    raise TypeError(f"no GGUF type for {value!r}")


def _plain(kind: int, value: Any) -> bytes:
    return text(value) if kind == STRING else struct.pack(f"<{_CODES[kind]}", value)


# --- hostile files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hostile:
    """One bad file: `says` is part of the reason to expect; `size` makes it a longer file with holes."""

    name: str
    data: bytes
    says: str
    size: int | None = None
    pieces: Sequence[tuple[int, bytes]] = field(default=())

    def write(self, path: Path) -> Path:
        with path.open("wb") as file:
            file.write(self.data)
            for position, piece in self.pieces:
                file.seek(position)
                file.write(piece)
            if self.size is not None:
                file.truncate(self.size)
        return path


MIB = 1024 * 1024


def hostile_files() -> list[Hostile]:
    """Every shape of the corpus; the larger ones are files with holes and take no room on the disk."""
    return [
        *_not_gguf(),
        *_bad_counts(),
        *_bad_strings(),
        *_bad_arrays(),
        *_bad_keys(),
        *_bad_tensors(),
        *_bad_facts(),
    ]


def _with_keys(*raw: bytes) -> bytes:
    return start(1, len(raw)) + b"".join(raw)


def _with_tensors(*raw: bytes, room: int = 4096, keys: Mapping[str, Any] | None = None) -> bytes:
    keys = tiny_keys() if keys is None else keys
    head = start(len(raw), len(keys)) + b"".join(key(name, value) for name, value in keys.items())
    return pad(head + b"".join(raw)) + bytes(room)


def _not_gguf() -> Iterator[Hostile]:
    whole = gguf()
    yield Hostile("empty", b"", "too small")
    yield Hostile("magic alone", b"GGUF", "too small")
    yield Hostile("a zip", b"PK\x03\x04" + bytes(100), "not a GGUF file")
    yield Hostile("a web page", b"<!DOCTYPE html><html><body>Sign in</body></html>", "not a GGUF file")
    yield Hostile(
        "a git-lfs pointer", b"version https://git-lfs.example/spec/v1\noid sha256:0\n", "not a GGUF file"
    )
    yield Hostile("zeros", bytes(100_000), "not a GGUF file")
    yield Hostile("older GGML", b"lmgg" + bytes(100), "not a GGUF file")
    yield Hostile("magic backwards", b"FUGG" + whole[4:], "not a GGUF file")
    for version in (0, 1, 4, 2**31):
        says = "big-endian" if version in (0, 2**31) else f"version {version}"
        yield Hostile(f"version {version}", gguf(version=version), says)
    yield Hostile("big-endian", b"GGUF" + struct.pack(">IQQ", 3, 4, 14) + whole[24:], "big-endian")
    yield Hostile("half of it", whole[: len(whole) // 2], "truncated")
    yield Hostile("one byte short", gguf(None, {"a": ((64, 64), 0)})[:-1], "truncated")
    yield Hostile("cut in the keys", whole[:200], "truncated")
    yield Hostile("zeroed after the counts", whole[:24] + bytes(len(whole) - 24), "key without a name")
    yield Hostile("zeroed after the keys", _with_tensors(bytes(200)), "0 dimensions")


def _bad_counts() -> Iterator[Hostile]:
    for count in (65_537, 2**32, 2**63, 2**64 - 1):
        yield Hostile(f"{count} keys", start(1, count) + bytes(64), "keys, the limit")
        yield Hostile(
            f"{count} tensors", _many_tensors(count), "tensors, the limit" if count > 65_537 else "truncated"
        )
    yield Hostile("100,001 tensors", _many_tensors(100_001), "tensors, the limit")
    yield Hostile("43 bytes that claim 65,536 keys", start(1, 65_536) + bytes(19), "key without a name")
    yield Hostile("100,000 tensors and none there", _many_tensors(100_000), "truncated")
    yield Hostile("one key more than there is", _recount(keys=1), "")
    yield Hostile("one key fewer than there is", _recount(keys=-1), "")
    yield Hostile("one tensor more than there is", _recount(tensors=1), "")
    every_key = b"".join(key(f"a.{number}", 1) for number in range(65_536))
    yield Hostile("65,536 keys", start(0, 65_536) + every_key, "")
    every_key = b"".join(raw_array(f"a{number}.block_count", U32, 512, bytes(2048)) for number in range(2000))
    yield Hostile("2,000 lists that look wanted", start(0, 2000) + every_key, "no tensors")
    table = b"".join(tensor(f"t{number}", (8,), 0, number * 32) for number in range(100_000))
    yield Hostile("100,000 tensors without their data", _with_tensors_raw(100_000, table), "")


def _many_tensors(count: int) -> bytes:
    keys = tiny_keys()
    return start(count, len(keys)) + b"".join(key(name, value) for name, value in keys.items())


def _with_tensors_raw(count: int, table: bytes) -> bytes:
    return _many_tensors(count) + table


def _recount(*, keys: int = 0, tensors: int = 0) -> bytes:
    return start(len(TINY_TENSORS) + tensors, len(tiny_keys()) + keys) + gguf()[24:]


def _bad_strings() -> Iterator[Hostile]:
    for length in (65_537, 2**31, 2**63, 2**64 - 8, 2**64 - 1):
        yield Hostile(f"a key of {length}", start(1, 1) + struct.pack("<Q", length) + bytes(99), "too long")
    yield Hostile("a key longer than the file", start(1, 1) + struct.pack("<Q", 60_000) + b"abc", "truncated")
    for length in (16 * MIB + 1, 2**63, 2**64 - 1):
        data = start(1, 1) + raw_key("a", STRING, struct.pack("<Q", length))
        yield Hostile(f"a text of {length}", data, "has a string of", size=64 * MIB)
    yield Hostile(
        "a text longer than the file", _with_keys(raw_key("a", STRING, struct.pack("<Q", 999))), "truncated"
    )
    yield Hostile("an empty key", _with_keys(key("", 1)), "key without a name")
    yield Hostile("a tensor name of 64", _with_tensors(tensor("n" * 64, (8,), 0, 0)), "name of a tensor")
    huge = struct.pack("<Q", 2**64 - 1)
    yield Hostile("a tensor name of 2^64", _with_tensors(huge), "name of a tensor")
    yield from _many_long_keys()


def _many_long_keys() -> Iterator[Hostile]:
    """As many of the longest keys as fit: 256 MB that a reader must not remember."""
    for what, ending in (("", b""), (" with a known end", b".context_length")):
        pieces, position = [], 24
        for number in range(4094):
            head = struct.pack("<QQ", 65_536, number)
            after = position + 8 + 65_536
            pieces += [(position, head), (after - len(ending), ending + struct.pack("<II", U32, 1))]
            position = after + 8
        yield Hostile(f"4,094 keys of 64 KiB{what}", start(0, 4094), "", size=position, pieces=pieces)
    known = [f"{number:064}.attention.sliding_window_pattern" for number in range(65_536)]
    data = start(0, len(known)) + b"".join(key(name, 1) for name in known)
    yield Hostile("as many keys as there may be, all known", data, "")


def _bad_arrays() -> Iterator[Hostile]:
    for count in (4 * MIB + 1, 2**61, 2**63, 2**64 - 1):
        for kind in (U8, U64, STRING):
            data = _with_keys(raw_array("a", kind, count))
            yield Hostile(f"a list of {count} of type {kind}", data, "the limit is", size=64 * MIB)
    yield Hostile("a list longer than the file", _with_keys(raw_array("a", U32, 1000, bytes(64))), "fit into")
    yield Hostile(
        "texts longer than the file", _with_keys(raw_array("a", STRING, 1000, bytes(64))), "fit into"
    )
    yield Hostile("a list of lists", _with_keys(raw_array("a", ARRAY, 1, bytes(64))), "list of lists")
    deep = raw_key("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 20_000)
    yield Hostile("lists 20,000 deep", _with_keys(deep), "list of lists")
    yield Hostile("a list of type 13", _with_keys(raw_array("a", 13, 1, bytes(8))), "unknown value type 13")
    last = text("b") + struct.pack("<Q", 500)
    yield Hostile("the last text leaves the file", _with_keys(raw_array("a", STRING, 2, last)), "truncated")
    lies = struct.pack("<Q", 2**64 - 8) * 8
    yield Hostile("texts that go backwards", _with_keys(raw_array("a", STRING, 8, lies)), "has a string of")
    data = start(1, 1) + raw_array("a", STRING, 4 * MIB)
    yield Hostile("4 million empty texts", data, "", size=len(data) + 32 * MIB)
    yield from _lists_with_holes("8 lists of 4 million texts", STRING, 8, "")
    yield from _lists_with_holes("more than 256 MB of lists", U64, 9, "longer than 256 MB")
    texts = start(1, 1) + raw_array("a", STRING, 64)
    pieces = [(len(texts) + n * (16 * MIB + 8), struct.pack("<Q", 16 * MIB)) for n in range(64)]
    yield Hostile("64 texts of 16 MB", texts, "longer than 256 MB", size=2048 * MIB, pieces=pieces)


def _lists_with_holes(name: str, kind: int, count: int, says: str) -> Iterator[Hostile]:
    pieces, position = [], 24
    for number in range(count):
        head = raw_array(f"list{number}", kind, 4 * MIB)
        pieces.append((position, head))
        position += len(head) + 32 * MIB
    yield Hostile(name, start(1, count), says, size=position + MIB, pieces=pieces)


def _bad_keys() -> Iterator[Hostile]:
    yield Hostile("a key twice", _with_keys(key("a.b", 1), key("a.b", 2)), "twice")
    long = "k" * 60_000
    yield Hostile("a long key twice", _with_keys(key(long, 1), key(long, 2)), "twice")
    yield Hostile("a nasty key twice", _with_keys(*[key(b"\x1b[2J\n\x00\xff", 1)] * 2), "twice")
    for kind in (13, 255, 2**32 - 1):
        yield Hostile(
            f"a value of type {kind}", _with_keys(raw_key("a", kind, bytes(8))), "unknown value type"
        )
    for value in (0, 1, 3, 4, 48, 2 * MIB, 2**31 + 1):
        data = _with_tensors(tensor("a", (8,), 0, 0), keys=tiny_keys(general__alignment=value))
        yield Hostile(f"alignment {value}", data, "power of two")
    for bad in ("32", 32.0, Typed(U64, 32), Typed(I32, 32), [32], Typed(BOOL, True)):
        data = _with_tensors(tensor("a", (8,), 0, 0), keys=tiny_keys(general__alignment=bad))
        yield Hostile(f"alignment {bad!r}", data, "alignment is not")


def _bad_tensors() -> Iterator[Hostile]:
    yield Hostile("a tensor twice", _with_tensors(tensor("a", (8,), 0, 0), tensor("a", (8,), 0, 32)), "twice")
    for dimensions in ((), (1,) * 5, (1,) * 9):
        yield Hostile(
            f"{len(dimensions)} dimensions", _with_tensors(tensor("a", dimensions, 0, 0)), "dimensions"
        )
    many = text("a") + struct.pack("<I", 2**32 - 1)
    yield Hostile("2^32 dimensions", _with_tensors(many), "dimensions")
    for dimensions, says in [
        ((0,), "empty dimension"),
        ((8, 0), "empty dimension"),
        ((0, 2**64 - 1), "empty dimension"),
        ((2**63,), "can be counted"),
        ((2**64 - 1,), "can be counted"),
        ((2**32, 2**32), "can be counted"),
        ((2**33, 2**31, 4), "can be counted"),
        ((2**21, 2**21, 2**21, 2), "can be counted"),
        ((2**62,), "truncated"),
        ((2**40,), "truncated"),
    ]:
        data = _with_tensors(tensor("a", dimensions, 24, 0))
        yield Hostile(f"dimensions {dimensions}", data, says)
    yield Hostile("bytes that overflow", _with_tensors(tensor("a", (2**62,), 28, 0)), "any file can be")
    for kind in (4, 5, 31, 33, 36, 38):
        yield Hostile(f"tensor type {kind}", _with_tensors(tensor("a", (256,), kind, 0)), "no longer support")
    for kind in (43, 100, 2**31, 2**32 - 1):
        yield Hostile(f"tensor type {kind}", _with_tensors(tensor("a", (256,), kind, 0)), "does not support")
    for kind, width in ((2, 33), (12, 128), (12, 257), (39, 16)):
        yield Hostile(
            f"rows of {width} in {kind}", _with_tensors(tensor("a", (width,), kind, 0)), "multiple of"
        )
    for offset in (1, 31, 32, 4096, 2**40, 2**63, 2**64 - 1):
        yield Hostile(f"offset {offset}", _with_tensors(tensor("a", (8,), 0, offset)), "instead of 0")
    second = tensor("b", (8,), 0, 0)
    yield Hostile("two at one place", _with_tensors(tensor("a", (8,), 0, 0), second), "instead of 32")
    second = tensor("b", (8,), 0, 64)
    yield Hostile("a gap", _with_tensors(tensor("a", (8,), 0, 0), second), "instead of 32")
    yield Hostile("no tensors", gguf(None, {}), "no tensors")
    yield Hostile("data that is missing", _with_tensors(tensor("a", (4096,), 0, 0), room=4096), "truncated")


def _bad_facts() -> Iterator[Hostile]:
    for name, keys, says in [
        ("no architecture", tiny_keys(general__architecture=None), "state its architecture"),
        ("architecture 7", tiny_keys(general__architecture=7), "not a string"),
        ("architectures", tiny_keys(general__architecture=["llama"]), "not a string"),
        ("architecture empty", tiny_keys(general__architecture=""), "not a valid name"),
        ("architecture a path", tiny_keys(general__architecture="../../etc/passwd"), "not a valid name"),
        ("architecture a megabyte", tiny_keys(general__architecture="a" * MIB), "not a valid name"),
        ("architecture not text", tiny_keys(general__architecture=b"\xff\xfe"), "not a valid name"),
        ("context a text", tiny_keys(llama__context_length="2048"), "not a whole number"),
        ("context a fraction", tiny_keys(llama__context_length=2048.0), "not a whole number"),
        ("context of nothing", tiny_keys(llama__context_length=0), "a context of 0 tokens"),
        ("context negative", tiny_keys(llama__context_length=Typed(I32, -1)), "out of range"),
        ("context 2^40", tiny_keys(llama__context_length=Typed(U64, 2**40)), "out of range"),
        ("context a list", tiny_keys(llama__context_length=[1, 2]), "is a list"),
        ("a million layers", tiny_keys(llama__block_count=1_000_000), "layers"),
        ("heads for 5,000 layers", tiny_keys(llama__attention__head_count_kv=[1] * 5000), "layers"),
        ("heads in fractions", tiny_keys(llama__attention__head_count=[1.0, 2.0]), "not a whole number"),
        ("heads negative", tiny_keys(llama__attention__head_count=Typed(I64, -4)), "out of range"),
        ("file type a text", tiny_keys(general__file_type="Q4_K_M"), "not a whole number"),
        ("name a number", tiny_keys(general__name=5), "not a string"),
        ("part 3 of 2", tiny_keys(split__no=Typed(U16, 2), split__count=Typed(U16, 2)), "part 3 of 2"),
        ("part 2 of none", tiny_keys(split__no=Typed(U16, 1)), "part 2 of 0"),
    ]:
        yield Hostile(name, gguf(keys), says)

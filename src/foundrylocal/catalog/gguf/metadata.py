"""Walks the keys of a GGUF and returns the few that matter, with their types checked.

Invariant: only the type, length and position of a value are kept, under a key of bounded length. The value is read on
request, so that no number in the file decides how much memory is used.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from foundrylocal.catalog.gguf.bytes import ARRAY_LIMIT, BoundedReader, GgufInvalid, readable
from foundrylocal.catalog.gguf.types import ARRAY, BOOL, FLOAT_TYPES, NUMBER_TYPES, STRING, UINT32

KEY_LIMIT: Final = 65_536
KEY_LIMIT_BYTES: Final = 64 * 1024

# The engine's own limit on layers is 512 (2026-10); a file that claims more than this is not a model.
LAYER_LIMIT: Final = 4096

_TEXT_LIMIT_BYTES: Final = 4096
_LARGEST: Final = 2**32 - 1
_CHECK_EVERY: Final = 512

_WHOLE_FILE_KEYS: Final = frozenset(
    {
        b"general.alignment",
        b"general.architecture",
        b"general.file_type",
        b"general.name",
        b"general.sampling.min_p",
        b"general.sampling.penalty_repeat",
        b"general.sampling.temp",
        b"general.sampling.top_k",
        b"general.sampling.top_p",
        b"general.type",
        b"split.count",
        b"split.no",
        b"split.tensors.count",
        b"tokenizer.chat_template",
        b"tokenizer.ggml.add_bos_token",
        b"tokenizer.ggml.add_eos_token",
        b"tokenizer.ggml.bos_token_id",
        b"tokenizer.ggml.eos_token_id",
        b"tokenizer.ggml.model",
        b"tokenizer.ggml.tokens",
    }
)
# What follows the name of the architecture and a dot.
_MODEL_KEYS: Final = frozenset(
    {
        b"attention.head_count",
        b"attention.head_count_kv",
        b"attention.key_length",
        b"attention.key_length_swa",
        b"attention.recurrent_layers",
        b"attention.shared_kv_layers",
        b"attention.sliding_window",
        b"attention.sliding_window_pattern",
        b"attention.value_length",
        b"attention.value_length_swa",
        b"block_count",
        b"context_length",
        b"embedding_length",
        b"expert_feed_forward_length",
        b"expert_used_count",
        b"feed_forward_length",
        b"full_attention_interval",
        b"kda.head_dim",
        b"nextn_predict_layers",
        b"pooling_type",
        b"rope.scaling.original_context_length",
        b"shortconv.l_cache",
        b"ssm.conv_kernel",
        b"ssm.group_count",
        b"ssm.inner_size",
        b"ssm.state_size",
        b"token_shift_count",
        b"vocab_size",
        b"wkv.head_size",
    }
)
# An architecture's name has at most 64 characters, so a longer key is not a model's, whatever its ending.
_KEPT_KEY_BYTES: Final = 64 + 1 + max(map(len, _MODEL_KEYS))


class _Place(NamedTuple):
    type: int  # of the value, or of an array's items
    size: int | None  # items of an array, bytes of a string, None for a number
    is_array: bool
    position: int  # of the number, the string's first byte or the array's first item


class Metadata:
    """The keys of one file; the accessors are typed and raise GgufInvalid for a value of another type."""

    def __init__(
        self, reader: BoundedReader, key_count: int, keeps: Callable[[bytes], bool] | None = None
    ) -> None:
        keeps = keeps or _is_kept
        if key_count > KEY_LIMIT:
            raise GgufInvalid(f"It claims {key_count} keys, the limit is {KEY_LIMIT}.")
        self._reader = reader
        self._places: dict[bytes, _Place] = {}
        seen: set[bytes] = set()
        for number in range(key_count):
            if number % _CHECK_EVERY == 0:
                reader.check_time()
            key = reader.text(KEY_LIMIT_BYTES, "A key")
            if not key:
                raise GgufInvalid("It has a key without a name.")
            # A digest replaces a long key: many long ones together could be most of the file.
            mark = key if len(key) <= 64 else hashlib.blake2b(key).digest()
            if mark in seen:
                raise GgufInvalid(f"It has the key '{readable(key)}' twice.")
            seen.add(mark)
            place = self._skip_value(key)
            if keeps(key):
                self._places[key] = place

    def has(self, key: str) -> bool:
        return key.encode() in self._places

    def keys(self) -> list[str]:
        """The keys that were kept, in the file's order; undecodable bytes are replaced."""
        return [key.decode("utf-8", "replace") for key in self._places]

    def value(self, key: str, limit_bytes: int) -> str | int | float | bool | None:
        """The value of any key: a text of at most `limit_bytes`, a number of any kind, None for a list."""
        place = self._places.get(key.encode())
        if place is None or place.is_array:
            return None
        if place.type == STRING:
            raw = self._reader.reread(place.position, min(place.size or 0, limit_bytes))
            return raw.decode("utf-8", "replace")
        code, size = NUMBER_TYPES[place.type]
        number: int | float = struct.unpack(f"<{code}", self._reader.reread(place.position, size))[0]
        return bool(number) if place.type == BOOL else number

    def length(self, key: str) -> int:
        """Items of an array or bytes of a text; 0 when the key is absent or a number."""
        place = self._places.get(key.encode())
        return (place.size or 0) if place else 0

    def text(self, key: str) -> str | None:
        """At most 4096 bytes of a text, undecodable ones replaced; None when the key is absent."""
        place = self._places.get(key.encode())
        if place is None:
            return None
        if place.type != STRING or place.is_array or place.size is None:
            raise GgufInvalid(f"Its key '{readable(key.encode())}' is not a string.")
        count = min(place.size, _TEXT_LIMIT_BYTES)
        return self._reader.reread(place.position, count).decode("utf-8", "replace")

    def place_of_strings(self, key: str) -> tuple[int, int]:
        """How many strings the list has, and the position of the first; (0, 0) when the key is absent."""
        place = self._places.get(key.encode())
        if place is None:
            return 0, 0
        if place.type != STRING or not place.is_array:
            raise GgufInvalid(f"Its key '{readable(key.encode())}' is not a list of strings.")
        return place.size or 0, place.position

    def number(self, key: str) -> int | None:
        """A whole number from 0 to 2^32 - 1; None when the key is absent."""
        place = self._places.get(key.encode())
        if place is None:
            return None
        if place.is_array:
            raise GgufInvalid(f"Its key '{readable(key.encode())}' is a list instead of a number.")
        return self._numbers(key, place, 1)[0]

    def real_number(self, key: str) -> float | None:
        """A finite number, whole or not; None when the key is absent or holds anything else."""
        place = self._places.get(key.encode())
        if place is None or place.is_array or place.type not in NUMBER_TYPES:
            return None
        code, size = NUMBER_TYPES[place.type]
        value = float(struct.unpack(f"<{code}", self._reader.reread(place.position, size))[0])
        return value if math.isfinite(value) else None

    def numbers(self, key: str) -> int | tuple[int, ...] | None:
        """One whole number for all layers, or one for each; None when the key is absent."""
        place = self._places.get(key.encode())
        if place is None:
            return None
        if not place.is_array:
            return self._numbers(key, place, 1)[0]
        count = place.size or 0
        if count > LAYER_LIMIT:
            raise GgufInvalid(f"Its key '{readable(key.encode())}' lists {count} layers.")
        return self._numbers(key, place, count)

    def alignment(self) -> int:
        """What the positions of tensors are multiples of: 32 unless the file says otherwise."""
        place = self._places.get(b"general.alignment")
        if place is None:
            return 32
        if place.type != UINT32 or place.is_array:
            raise GgufInvalid("Its alignment is not a 32-bit number.")
        value = self._numbers("general.alignment", place, 1)[0]
        if not 8 <= value <= 1024 * 1024 or value & (value - 1):
            raise GgufInvalid(f"Its alignment is {value} instead of a power of two from 8 to 1048576.")
        return value

    def _numbers(self, key: str, place: _Place, count: int) -> tuple[int, ...]:
        if place.type not in NUMBER_TYPES or place.type in FLOAT_TYPES:
            raise GgufInvalid(f"Its key '{readable(key.encode())}' is not a whole number.")
        code, size = NUMBER_TYPES[place.type]
        raw = self._reader.reread(place.position, size * count)
        values: tuple[int, ...] = struct.unpack(f"<{count}{code}", raw)
        if any(not 0 <= value <= _LARGEST for value in values):
            raise GgufInvalid(f"Its key '{readable(key.encode())}' is out of range.")
        return values

    def _skip_value(self, key: bytes) -> _Place:
        reader = self._reader
        kind = reader.u32()
        if kind == ARRAY:
            return self._skip_array(key)
        if kind == STRING:
            length = reader.skip_string()
            return _Place(kind, length, False, reader.position - length)
        if kind not in NUMBER_TYPES:
            raise GgufInvalid(f"Its key '{readable(key)}' has the unknown value type {kind}.")
        position = reader.position
        reader.skip(NUMBER_TYPES[kind][1])
        return _Place(kind, None, False, position)

    def _skip_array(self, key: bytes) -> _Place:
        reader = self._reader
        kind, count = reader.u32(), reader.u64()
        if kind != STRING and kind not in NUMBER_TYPES:
            what = "a list of lists" if kind == ARRAY else f"a list of the unknown value type {kind}"
            raise GgufInvalid(f"Its key '{readable(key)}' is {what}.")
        if count > ARRAY_LIMIT:
            raise GgufInvalid(f"Its key '{readable(key)}' lists {count} values, the limit is {ARRAY_LIMIT}.")
        item_bytes = 8 if kind == STRING else NUMBER_TYPES[kind][1]
        if count * item_bytes > reader.left_bytes:
            raise GgufInvalid(f"Its key '{readable(key)}' lists more values than fit into the file.")
        position = reader.position
        if kind == STRING:
            reader.skip_strings(count)
        else:
            reader.skip(count * item_bytes)
        return _Place(kind, count, True, position)


def _is_kept(key: bytes) -> bool:
    if len(key) > _KEPT_KEY_BYTES:
        return False
    return key in _WHOLE_FILE_KEYS or key.partition(b".")[2] in _MODEL_KEYS

"""One call of the management API: what is sent, and which shape its answer has. No input or output happens here."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from foundrylocal.client.addresses import BASE_PATH
from foundrylocal.client.errors import NotFoundryLocal
from foundrylocal.client.timeouts import CALL_TIMEOUT_S

T = TypeVar("T")
Options = BaseModel | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Method, path below the base path, body, and the shape of the answer."""

    method: str
    path: str
    answer: type[T]
    body: Mapping[str, Any] | None = None
    timeout_s: float = CALL_TIMEOUT_S

    @property
    def full_path(self) -> str:
        """The path on the port; what is not below the base path is written with two slashes: `//v1/models`."""
        return self.path[1:] if self.path.startswith("//") else BASE_PATH + self.path

    def read(self, data: bytes, url: str) -> T:
        """The answer in its shape. Raises NotFoundryLocal if it has another one."""
        if self.answer is str:
            return data.decode("utf-8", "replace")  # type: ignore[return-value] # T is str here
        return read_as(self.answer, data, url)


def read_as(shape: type[T], data: bytes | str, url: str) -> T:
    """JSON in that shape. Raises NotFoundryLocal if it has another one."""
    try:
        adapter: TypeAdapter[T] = _adapter(cast(Hashable, shape))
        return adapter.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotFoundryLocal(url, f"Its answer is not as expected: {where}: {first['msg']}.") from error


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def given(**fields: Any) -> dict[str, Any]:
    """A body of those fields that are not None; a shape is sent with the fields that were set."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return dict(value) if isinstance(value, Mapping) else value

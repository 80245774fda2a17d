"""The name of a key: what is refused says in words what a name may be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from foundrylocal.api.bodies import check
from foundrylocal.errors import InvalidRequest
from foundrylocal.wire.keys import KeyBody


@pytest.mark.parametrize("name", ["a b", "", "-x", "a" * 65, "a\n"])
def test_a_name_that_is_not_allowed_is_refused_in_words(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check({"name": name}, KeyBody)
    assert str(caught.value.details).startswith("name: a name has 1 to 64 letters")
    assert str(caught.value.details).endswith("letter or digit.")


@pytest.mark.parametrize("name", ["a", "a.b-c_d", "9" * 64])
def test_a_name_that_is_allowed_is_taken(name: str) -> None:
    assert KeyBody.model_validate({"name": name}).name == name


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="valid string"):
        KeyBody.model_validate({"name": 7})

"""The pages on errors are what the error classes say."""

from __future__ import annotations

from scripts.errors_doc import BY_MESSAGE, REFERENCE, examples, reference_table, table_by_message, with_table

from foundrylocal.web.errors import _STATUS


def test_the_reference_is_up_to_date() -> None:
    page = REFERENCE.read_text("utf-8")
    assert page == with_table(page, reference_table()), "run python -m scripts.errors_doc"


def test_the_page_by_message_is_up_to_date() -> None:
    page = BY_MESSAGE.read_text("utf-8")
    assert page == with_table(page, table_by_message()), "run python -m scripts.errors_doc"


def test_every_code_that_has_a_status_is_in_the_reference() -> None:
    page = REFERENCE.read_text("utf-8")
    assert [kind.code for kind in _STATUS if f"`{kind.code}`" not in page] == []


def test_every_error_says_what_happened() -> None:
    assert [type(error).__name__ for error in examples() if not error.message] == []


# Word for word as the published document and the publishers' APIs have them.
_PUBLISHED_WITHOUT_A_STOP = {
    "Network connection error or model not available",
    "Stop the current server first or use switch-model endpoint",
    "Use auto_download option or download manually first",
}


def test_every_detail_is_a_whole_sentence() -> None:
    details = {error.details for error in examples() if error.details} - _PUBLISHED_WITHOUT_A_STOP
    assert [text for text in sorted(details) if not text.endswith((".", "?", "!"))] == []

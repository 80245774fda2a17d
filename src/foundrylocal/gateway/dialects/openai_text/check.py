"""What the types of a text completion do not say."""

from __future__ import annotations

from foundrylocal.gateway.dialects.openai_text.shapes import CompletionBody
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.dialects.sampling import check_sampling, check_stream_options

MAX_PROMPTS = 128
MAX_ANSWERS = 1024


def check_completion(body: CompletionBody) -> None:
    """Check a request; fields that change nothing are dropped. Raises InvalidRequest that names the field."""
    check_sampling(body)
    if body.prompt == []:
        refuse("prompt", "must not be empty")
    if body.prompt_count > MAX_PROMPTS:
        refuse("prompt", f"must not contain more than {MAX_PROMPTS} prompts")
    if body.answer_count > MAX_ANSWERS:
        refuse("n", f"must not ask for more than {MAX_ANSWERS} answers to all prompts together")
    if body.echo:
        refuse("echo", "is not supported")
    if body.suffix:
        refuse("suffix", "is not supported: use /infill")
    if body.best_of is not None and body.best_of != (body.n or 1):
        refuse("best_of", "is not supported beyond 'n'")
    check_stream_options(body)
    body.best_of = body.echo = body.suffix = None

"""What a provider's failure means for a task: try again, wait, or give up.

Imported with the model library. No text made here holds a key: provider errors
are cut, cleaned and never chained.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic_ai import exceptions as theirs

from pyagent_orch.exceptions import (
    AgentError,
    ModelError,
    ModelRequestError,
    RateLimitedError,
)

BUILD_ERRORS = (theirs.UserError, ValueError)
"""What the library raises for a wrong configuration; ValueError is for an unknown provider."""
RUN_ERRORS = (theirs.AgentRunError, theirs.UserError)
"""What it raises for a failed run. Anything else is a tool's own error and passes as it is."""

_TEXT_LENGTH = 500
_RETRY_AFTER_DEFAULT = 1.0
_RETRY_AFTER_MOST = 86_400.0
_TOO_MANY, _SERVER = 429, 500
_WORTH_ANOTHER_TRY = {408, 409, 425}
_NO_MORE_MONEY = {"insufficient_quota", "billing_hard_limit_reached"}
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"\bsk-[\w*-]{6,}|(?i:\b(?:bearer|basic)\s+)[\w.+/=~-]{6,}|(?<=://)[^/@\s]+@"
)
_SHORTEST_SECRET = 6


def meaning_of(error: Exception, agent: str, model: str) -> AgentError:
    """The error of ours that a failed model call is.

    Args:
        error: what the library raised, one of `BUILD_ERRORS` or `RUN_ERRORS`.
        agent: the agent's name.
        model: the model's whole name.
    """
    said = f"{model}: {without_secrets(_text_of(error))}"
    if isinstance(error, theirs.ModelHTTPError):
        status = error.status_code
        if status == _TOO_MANY and _code_of(error) not in _NO_MORE_MONEY:
            return RateLimitedError(agent, said, retry_after(_headers_of(error)))
        if status >= _SERVER or status in _WORTH_ANOTHER_TRY:
            return ModelError(agent, said)
        return ModelRequestError(agent, said)
    if isinstance(error, theirs.UsageLimitExceeded | theirs.ContentFilterError):
        return ModelRequestError(agent, said)
    if isinstance(error, theirs.UserError | ValueError):
        # The configuration: an unknown model, no key. Never a reason to answer offline instead.
        return ModelRequestError(agent, said)
    # The connection, a timeout, an answer that is no JSON or does not fit.
    return ModelError(agent, said)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a 429 answer asks to wait, >= 0 and at most a day; 1 if it does not say.

    `retry-after-ms` as OpenAI and Anthropic send it, else `Retry-After` in seconds or
    as a date (RFC 9110, section 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, _RETRY_AFTER_MOST)
    raw = headers.get("retry-after")
    seconds = _number(raw)
    if seconds is None and raw is not None:
        try:
            when = parsedate_to_datetime(raw)
        except ValueError:
            return _RETRY_AFTER_DEFAULT
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = max(0.0, (when - datetime.now(UTC)).total_seconds())
    return _RETRY_AFTER_DEFAULT if seconds is None else min(seconds, _RETRY_AFTER_MOST)


def without_secrets(text: str) -> str:
    """A text without what looks like a key, or equals one of this process' environment."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return _SECRET_TEXT.sub("***", text)


def _text_of(error: Exception) -> str:
    if isinstance(error, theirs.ModelHTTPError):
        body = error.body
        message = body.get("message") if isinstance(body, dict) else body
        return f"HTTP {error.status_code}: {str(message or 'no reason given')[:_TEXT_LENGTH]}"
    # The library's advice to try its own test model would mislead here.
    text = str(error).partition(" To try Pydantic AI")[0]
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    if deepest is not error and str(deepest) not in text:
        # A `Connection error.` alone does not say whether it was refused or cut.
        text = f"{text} ({type(deepest).__name__}: {deepest})"
    return f"{type(error).__name__}: {text[:_TEXT_LENGTH]}"


def _headers_of(error: theirs.ModelHTTPError) -> Mapping[str, str]:
    headers = getattr(error, "headers", None)
    if headers is None:
        # Releases before `headers` and providers without it: the SDK's own error has the response.
        headers = getattr(getattr(error.__cause__, "response", None), "headers", None)
    return {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}


def _code_of(error: theirs.ModelHTTPError) -> object:
    body = error.body
    code = getattr(error, "provider_error_code", None)
    return code or (body.get("code") if isinstance(body, dict) else None)


def _number(raw: str | None) -> float | None:
    try:
        value = float(raw or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None

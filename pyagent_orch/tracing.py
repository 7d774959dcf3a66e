"""Spans by OpenTelemetry (extra `otel`), behind one switch.

Ground layer. Switched off, which is the default, nothing is imported and a span costs a
comparison. A program has its own provider of spans; only a worker of ours sets one up,
from the `OTEL_*` variables. No span holds an input, an output or an error's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

from pyagent_orch.exceptions import ConfigurationError

Attributes = Mapping[str, str | int]
_NOTHING: AbstractContextManager[Any] = nullcontext()
_tracer: Any = None
_own_provider: Any = None


def enable() -> None:
    """Make spans from now on, with the provider that the program has set up.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    global _tracer  # noqa: PLW0603 - one switch for the process
    try:
        from opentelemetry import trace
    except ImportError:
        raise _missing() from None
    _tracer = trace.get_tracer("pyagent_orch")


def export(service: str) -> None:
    """Make spans and send them by OTLP over HTTP, as the `OTEL_*` variables say.

    Args:
        service: the service's name, unless `OTEL_SERVICE_NAME` gives one.

    Raises:
        ConfigurationError: the SDK or the exporter is not installed.
    """
    global _own_provider  # noqa: PLW0603 - one provider for the process
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise _missing() from None
    # What the variables say wins.
    resource = Resource({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
    _own_provider = TracerProvider(resource=resource)
    _own_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(_own_provider)
    enable()


def is_enabled() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def flush() -> None:
    """Send what `export` has not sent yet; before a process of ours ends."""
    if _own_provider is not None:
        _own_provider.force_flush(3_000)


def carrier() -> str:
    """The current span as W3C's `traceparent`; empty without one, or switched off."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(found)
    return found.get("traceparent", "")


def span(
    name: str,
    kind: Literal["internal", "producer", "consumer", "client"] = "internal",
    attributes: Attributes | None = None,
    *,
    parent: str = "",
    no_errors: tuple[type[Exception], ...] = (),
) -> AbstractContextManager[Any]:
    """A span around a block; gives the span, or None when switched off.

    Args:
        name: of the span.
        kind: OpenTelemetry's kind.
        attributes: nothing secret.
        parent: what `carrier` gave elsewhere; empty for the current span.
        no_errors: exceptions that say nothing bad.
    """
    return _NOTHING if _tracer is None else _span(name, kind, attributes, parent, no_errors)


@contextmanager
def _span(
    name: str,
    kind: str,
    attributes: Attributes | None,
    parent: str,
    no_errors: tuple[type[Exception], ...],
) -> Iterator[Any]:
    from opentelemetry.trace import SpanKind, StatusCode

    with _tracer.start_as_current_span(
        name,
        context=_context(parent),
        kind=SpanKind[kind.upper()],
        attributes=dict(attributes or {}),
        # An error's text may quote what must not leave: its class is enough.
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except no_errors:
            raise
        except Exception as error:
            # Celery's own word for another attempt has the reason as its cause.
            made.set_attribute("error.type", type(error.__cause__ or error).__name__)
            made.set_status(StatusCode.ERROR)
            raise


def record(
    name: str, began_ns: int, ended_ns: int, attributes: Attributes, *, parent: str = ""
) -> None:
    """Make a span of something that is over; times are nanoseconds since the epoch."""
    if _tracer is not None:
        made = _tracer.start_span(
            name, context=_context(parent), attributes=dict(attributes), start_time=began_ns
        )
        made.end(max(began_ns, ended_ns))


def _context(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _missing() -> ConfigurationError:
    return ConfigurationError(
        "PYAGENT_ORCH_TRACES",
        "traces need libraries that are not installed; pip install 'pyagent-orch[otel]'",
    )

"""Without an exporter a request begins no trace; its caller's goes on all the same."""

from runs.tracing import request_span, trace_id

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_nobody_begins_a_trace_that_goes_nowhere() -> None:
    with request_span("GET", "/ok", "") as span:
        assert (span, trace_id()) == (None, "")


def test_a_callers_trace_goes_on() -> None:
    with request_span("GET", "/ok", CALLER) as span:
        assert span is not None
        assert trace_id() == "0af7651916cd43dd8448eb211c80319c"

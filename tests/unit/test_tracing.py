"""Without an exporter neither a request nor an attempt begins a trace; that of their caller goes on all the same."""

from runs.tracing import attempt_span, request_span, trace_id

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_nobody_begins_a_trace_that_goes_nowhere() -> None:
    with request_span("GET", "/ok", "") as span:
        assert (span, trace_id()) == (None, "")


def test_a_callers_trace_goes_on() -> None:
    with request_span("GET", "/ok", CALLER) as span:
        assert span is not None
        assert trace_id() == "0af7651916cd43dd8448eb211c80319c"


def test_an_attempt_of_no_trace_begins_none() -> None:
    with attempt_span("digest", "", {}) as span:
        assert (span, trace_id()) == (None, "")


def test_the_trace_of_the_request_goes_on_in_its_attempt() -> None:
    with attempt_span("digest", CALLER, {}):
        assert trace_id() == "0af7651916cd43dd8448eb211c80319c"

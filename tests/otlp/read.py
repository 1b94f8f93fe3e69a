"""Reads what was posted to a collector with OpenTelemetry's own definitions, which know every field there is, and
prints a line for each span."""

import base64
import json
import sys

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def ids_as_protobuf_has_them(value):
    """OTLP writes ids in hexadecimal digits, where JSON of protobuf has base64."""
    if isinstance(value, list):
        return [ids_as_protobuf_has_them(it) for it in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(it)).decode() if key in ids else ids_as_protobuf_has_them(it)
        for key, it in value.items()
    }


for body in json.loads(sys.argv[1]):
    request = ParseDict(ids_as_protobuf_has_them(body), ExportTraceServiceRequest())
    for resource in request.resource_spans:
        service = {it.key: it.value.string_value for it in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
                moments = [it.time_unix_nano for it in span.events]
                assert all(span.start_time_unix_nano <= it <= span.end_time_unix_nano for it in moments), span
                facts = {it.key: it.value.string_value or it.value.int_value for it in span.attributes}
                line = {
                    "service": service,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "status": span.status.code,
                    "facts": facts,
                    "moments": [it.name for it in span.events],
                }
                print(json.dumps(line))

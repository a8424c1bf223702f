#!/usr/bin/python3
"""A collector of traces of another make (grpcio, Google's protobuf): a line of JSON for each span, after one with its own
process id.

usage: trace_collector.py ADDRESS:PORT    serves, and prints
       trace_collector.py --check         0: the libraries are here
"""
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent import futures

PROTO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "otlp_trace.proto")
METHOD = "opentelemetry.proto.collector.trace.v1.TraceService"


def make_messages():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", "-I", os.path.dirname(PROTO), "--python_out", folder, PROTO], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module("otlp_trace_pb2")


def plain(attributes):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def lines_of(request):
    for of_resource in request.resource_spans:
        resource = plain(of_resource.resource.attributes)
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                assert span.start_time_unix_nano <= span.end_time_unix_nano, span
                yield {"trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                       "state": span.trace_state, "name": span.name, "kind": {2: "server", 3: "client"}[span.kind], "error": span.status.code == 2, "start": span.start_time_unix_nano,
                       "end": span.end_time_unix_nano, "resource": resource, "attributes": plain(span.attributes)}


def main():
    try:
        import grpc  # pylint: disable=import-outside-toplevel
    except ImportError:
        return 77
    if sys.argv[1] == "--check":
        return 0
    messages, printing = make_messages(), threading.Lock()

    def export(request, _):
        with printing:
            for line in lines_of(request):
                print(json.dumps(line), flush=True)
        return messages.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD, {
        "Export": grpc.unary_unary_rpc_method_handler(export, messages.ExportTraceServiceRequest.FromString,
                                                      messages.ExportTraceServiceResponse.SerializeToString)}),))
    assert server.add_insecure_port(sys.argv[1]) > 0
    server.start()
    print(json.dumps({"pid": os.getpid()}), flush=True)
    server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main())

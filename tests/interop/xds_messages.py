"""The messages of xDS, as Google's protobuf makes them from our .proto files."""
import importlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def make_messages(folder):
    """Makes modules in the folder, and returns them by their files' names."""
    source = ROOT + "/shared/xds/proto"
    names = ["ads", "core", "type", "status", "workload", "authorization"]
    subprocess.run(["protoc", "-I", source, "--python_out", folder, *(f"{source}/{name}.proto" for name in names)], check=True)
    sys.path.insert(0, folder)
    return {name: importlib.import_module(name + "_pb2") for name in names}

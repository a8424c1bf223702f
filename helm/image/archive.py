#!/usr/bin/python3
"""Packs a folder as a container image of one layer, in the format that `ctr images import`, `docker load`, `podman load` and
skopeo read. Neither a daemon nor a registry is asked. The same folder gives the same bytes.

usage: archive.py --name NAME:TAG --rootfs FOLDER --out FILE [--user UID:GID] [--label KEY=VALUE]... [--arch ARCH] [ENTRYPOINT...]
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add_folder(tar, root):
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files) + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
            add(tar, root, os.path.join(folder, name))
        folders[:] = [f for f in folders if not os.path.islink(os.path.join(folder, f))]
        for name in folders:
            add(tar, root, os.path.join(folder, name))


def add(tar, root, path):
    info = tar.gettarinfo(path, arcname=os.path.relpath(path, root))
    info.mtime = 0
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    if info.islnk():  # a hard link: the file itself
        info.type = tarfile.REGTYPE
        info.size = os.path.getsize(path)
    if info.isreg():
        with open(path, "rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)


def add_bytes(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--rootfs", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--user", default="0:0")
    parser.add_argument("--label", action="append", default=[])
    parser.add_argument("--arch", default=ARCHITECTURES.get(platform.machine(), platform.machine()))
    parser.add_argument("entrypoint", nargs="*")
    options = parser.parse_args()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        add_folder(tar, options.rootfs)
    layer = layer.getvalue()
    packed = gzip.compress(layer, compresslevel=6, mtime=0)
    config = {"architecture": options.arch, "os": "linux",
              "config": {"Entrypoint": options.entrypoint or None, "User": options.user, "WorkingDir": "/",
                         "Env": ["PATH=/usr/bin"], "Labels": dict(label.split("=", 1) for label in options.label)},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
              "history": [{"created_by": "helm/image/build.sh"}]}
    config = json.dumps(config, sort_keys=True).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    layer_name = hashlib.sha256(packed).hexdigest() + ".tar.gz"
    manifest = [{"Config": config_name, "RepoTags": [options.name], "Layers": [layer_name]}]
    with tarfile.open(options.out + ".new", "w", format=tarfile.GNU_FORMAT) as tar:
        add_bytes(tar, config_name, config)
        add_bytes(tar, layer_name, packed)
        add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
    os.replace(options.out + ".new", options.out)
    print(f"{options.out}: {options.name}, {len(layer) / 1e6:.1f} MB on a node, {os.path.getsize(options.out) / 1e6:.1f} MB to fetch")


main()

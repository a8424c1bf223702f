"""Packages of npm that tests need, fetched once and kept in the cache."""
import fcntl
import os
import shutil
import subprocess

CACHE = os.environ.get("WEIR_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "weir")


def can_fetch():
    return shutil.which("npm") and shutil.which("node")


def fetch(*packages):
    """The folder with these ("NAME@VERSION") in its node_modules; it has the name of the last one."""
    folder = f"{CACHE}/npm/{os.path.basename(packages[-1])}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(f"{folder}/complete"):
            with open(f"{folder}/package.json", "w", encoding="ascii") as file:
                file.write('{"private": true}\n')
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *packages], cwd=folder,
                           check=True, stdin=subprocess.DEVNULL)
            with open(f"{folder}/complete", "w", encoding="ascii"):
                pass
    return folder

#!/usr/bin/python3
"""Checks the rules of the house: each violation is one line, `file:line: rule: what`.

usage: check.py [FOLDER]    (default: the repository that this file is in)

The tables below are the rules; tests/house/check_test.py plants a violation of each one and looks
whether it is found.
"""
import os
import re
import sys

TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "nodeproxy",
             "controller", "ca", "shared", "tests", "helm", "docs"}
TOP_LEVEL_IGNORED = {"build", "compile_commands.json", "CMakeUserPresets.json"}
NOT_OURS = {".git", "build", "__pycache__", "node_modules", ".cache"}

# A folder of shared/ may include itself and these, and nothing else that is ours.
SHARED = {
    "base": set(),
    "ring": {"base"},
    "tls": {"base"},
    "regex": {"base"},
    "http": {"base"},
    "http1": {"base", "http"},
    "http2": {"base"},
    "dns": {"base"},
    "grpc": {"base", "http2"},
    "json": {"base"},
    "yaml": {"base", "json"},
    "kube": {"base", "ring", "json", "yaml"},
    "mesh": {"base", "http", "regex"},
    "xds": {"base", "http", "mesh", "grpc"},
    "transport": {"base", "ring", "tls", "http", "http1", "http2"},
    "credentials": {"base", "ring", "tls", "http2", "grpc", "mesh", "xds", "transport"},
    "service": {"base", "ring", "tls", "http", "http1", "http2", "grpc", "mesh", "xds", "transport",
                "json"},
}
PROGRAMS = {"nodeproxy", "controller", "ca"}

# Headers from outside, and the one folder that wraps each.
OUTSIDE = [
    (re.compile(r"^(liburing(\.h|/)|linux/io_uring)"), "shared/ring"),
    (re.compile(r"^wolfssl/"), "shared/tls"),
    (re.compile(r"^llhttp\.h$"), "shared/http1"),
    (re.compile(r"^nghttp2/"), "shared/http2"),
    (re.compile(r"^cjson/"), "shared/json"),
    (re.compile(r"^yaml\.h$"), "shared/yaml"),
    (re.compile(r"^curl/"), "shared/kube"),
    (re.compile(r"^re2/"), "shared/regex"),
    (re.compile(r"^protobuf-c/|\.pb-c\.h$"), "shared/xds"),
    (re.compile(r"^(nftables|libmnl)/"), "nodeproxy/warden"),
    (re.compile(r"^(arpa/nameser|resolv)"), "shared/dns"),
    (re.compile(r"^seccomp\.h$"), "nodeproxy"),
    (re.compile(r"^sqlite3\.h$"), "ca"),
    (re.compile(r"^libpq-fe\.h$"), "ca"),
    (re.compile(r"^urcu"), "shared/mesh"),
    (re.compile(r"^cmocka\.h$"), "tests"),
    (re.compile(r"^openssl/"), "no folder"),
]
# Folders that see less than their program does.
NARROWED = [
    ("nodeproxy/path", re.compile(r"(^|/)worker\.h$")),
    ("nodeproxy/http", re.compile(r"(^|/)worker\.h$")),
    ("controller/model", re.compile(r"^shared/((ring|transport|kube)/|tls/(?!web_|secret\.h))")),
    ("controller/translate", re.compile(r"^shared/((ring|transport|kube)/|tls/(?!web_|secret\.h))")),
]
GENERATED = re.compile(r"^weir_version\.h$|\.pb-c\.h$")

BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|system|popen|"
                    r"alloca|__builtin_alloca)\s*\(")
TMP_IN_TESTS = re.compile(r"""["'( ]/tmp/weir""")
BANNED_IN_TESTS = re.compile(r"(?<![\w.>])(sleep|usleep)\s*\(")

LINES_MAX = 700
TEST_LINES_MAX = 1300  # a test of many cases is long; a second noun in it hurts less
SOURCES = (".c", ".cc", ".h", ".py", ".sh", ".proto", ".js", "CMakeLists.txt")
TEXTS = SOURCES + (".md", ".yaml", ".yml", ".json", ".tpl")
# What has the privileges is small enough to be read: lines of code, without blank ones, comments
# and includes (decision 10).
PRIVILEGED = "nodeproxy/warden/"
PRIVILEGED_LINES_MAX = 999
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")


class House:
    def __init__(self, root):
        self.root = root
        self.found = []
        self.files = sorted(self.walk())
        self.included = set()
        self.privileged_lines = 0

    def walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in NOT_OURS]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def report(self, path, line, rule, what):
        self.found.append((path, line, rule, what))

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def check(self):
        self.check_top_level()
        for path in self.files:
            if os.path.islink(os.path.join(self.root, path)) or not path.endswith(TEXTS):
                continue
            try:
                text = self.text(path)
            except FileNotFoundError:
                continue
            self.check_unfinished(path, text)
            if path.endswith(SOURCES):
                self.check_size(path, text)
            if path.startswith(PRIVILEGED) and path.endswith(".c"):
                self.check_privileged(path, text)
            if path.endswith((".c", ".cc", ".h")):
                self.check_includes(path, text)
                self.check_code(path, text)
            if path.endswith(".h"):
                self.check_header(path, text)
            if path.startswith(("tests/unit/", "tests/sim/", "tests/fuzz/", "tests/netns/", "tests/interop/")):
                self.check_tmp(path, text)
            if path.endswith(".md"):
                self.check_links(path, text)
        for path in self.files:
            if path.endswith(".h") and path not in self.included:
                self.report(path, 1, "dead-file", "no file includes this header")
        return sorted(self.found)

    def check_top_level(self):
        for name in sorted(os.listdir(self.root)):
            if not name.startswith(".") and name not in TOP_LEVEL | TOP_LEVEL_IGNORED:
                self.report(name, 1, "top-level", "nothing else lives at the top")

    def check_unfinished(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                self.report(path, number, "unfinished", "finish it, or open an issue")

    def check_size(self, path, text):
        count = len(text.splitlines())
        most = TEST_LINES_MAX if path.startswith("tests/") else LINES_MAX
        if count > most:
            self.report(path, most + 1, "size",
                        f"{count} lines, at most {most}: find the second noun")

    def check_privileged(self, path, text):
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        before = self.privileged_lines
        self.privileged_lines += sum(1 for line in code.splitlines()
                                     if line.strip() and not INCLUDE.match(line))
        if before <= PRIVILEGED_LINES_MAX < self.privileged_lines:
            self.report(path, 1, "privileged", f"{PRIVILEGED}*.c has more than "
                        f"{PRIVILEGED_LINES_MAX} lines of code: what needs no privilege goes elsewhere")

    def check_includes(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                self.check_include(path, number, match[2], match[1] == '"')

    def check_include(self, path, number, header, quoted):
        def wrong(what):
            self.report(path, number, "include", f"{header}: {what}")

        ours = os.path.exists(os.path.join(self.root, header))
        if ours:
            if header != path:
                self.included.add(header)
        elif quoted and not GENERATED.search(header):
            wrong("no such file (includes are written from the repository's root)")
        parts = path.split("/")
        if parts[0] == "tests":
            return
        for pattern, folder in OUTSIDE:
            if pattern.search(header) and not path.startswith(folder + "/"):
                wrong(f"{folder} may include it")
        for folder, pattern in NARROWED:
            if path.startswith(folder + "/") and pattern.search(header):
                wrong(f"{folder} must not see it")
        if not ours:
            return
        target = header.split("/")
        if target[0] == "tests":
            wrong("programs do not include tests")
        elif parts[0] == "shared":
            if target[0] in PROGRAMS:
                wrong("shared knows no program")
            elif parts[1] not in SHARED:
                wrong(f"shared/{parts[1]} is not in the table of tests/house/check.py")
            elif target[0] == "shared" and target[1] not in SHARED[parts[1]] | {parts[1]}:
                allowed = ", ".join(sorted(SHARED[parts[1]])) or "nothing"
                wrong(f"shared/{parts[1]} may include {allowed}")
        elif parts[0] in PROGRAMS and target[0] in PROGRAMS - {parts[0]}:
            wrong("programs do not include one another")

    def check_code(self, path, text):
        def line_of(offset):
            return text.count("\n", 0, offset) + 1

        def blank(match):
            token = match[0]
            if token.startswith("//"):
                self.report(path, line_of(match.start()), "comment", "comments are /* ... */")
            return re.sub(r"[^\n]", " ", token)

        code = TOKEN.sub(blank, text)
        for match in BANNED.finditer(code):
            self.report(path, line_of(match.start()), "banned", f"{match[1]}()")
        if path.startswith("tests/") and path.endswith(".c"):
            for match in BANNED_IN_TESTS.finditer(code):
                self.report(path, line_of(match.start()), "banned",
                            f"{match[1]}(): a test waits for an event")

    def check_tmp(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            if TMP_IN_TESTS.search(line):
                self.report(path, number, "tmp", "a test's files lie below TMPDIR")

    def check_header(self, path, text):
        if not re.match(r"\s*/\*.*?\*/\s*(#ifndef\b|#pragma once\b)", text, re.S):
            self.report(path, 1, "header-comment",
                        "a header opens with a comment, and then its include guard")

    def check_links(self, path, text):
        fenced = False
        for number, line in enumerate(text.splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            if fenced:
                continue
            for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
                target = target.split("#")[0]
                if not target or re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                base = self.root if target.startswith("/") else \
                    os.path.join(self.root, os.path.dirname(path))
                if not os.path.exists(os.path.join(base, target.lstrip("/"))):
                    self.report(path, number, "link", f"{target} does not exist")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(here))
    house = House(os.path.abspath(root))
    found = house.check()
    for path, line, rule, what in found:
        print(f"{path}:{line}: {rule}: {what}")
    print(f"{len(house.files)} files, {len(found)} violations")
    return 1 if found or not house.files else 0


if __name__ == "__main__":
    sys.exit(main())

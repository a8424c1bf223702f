#!/usr/bin/python3
"""Plants one violation of each rule in a copy of the tree, and some code that only looks like one:
check.py must find exactly the former, at their lines."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEADER = "/* A header of the self-test. */\n#pragma once\n"

# Path, text, and the violations (line, rule) that it must give.
PLANTED = [
    ("shared/tls/planted.c", '#include "shared/ring/planted.h"\n#include <liburing.h>\n',
     [(1, "include"), (2, "include")]),
    ("shared/ring/planted.h", HEADER, []),
    ("shared/ring/planted.c", '#include <liburing.h>\n#include <wolfssl/ssl.h>\n', [(2, "include")]),
    ("shared/base/planted.c", '#include "shared/json/planted.h"\n#include "ca/planted.h"\n',
     [(1, "include"), (2, "include")]),
    ("shared/json/planted.h", HEADER, []),
    ("ca/planted.h", HEADER, []),
    ("ca/planted.c", '#include "ca/planted.h"\n#include <sqlite3.h>\n#include <openssl/ssl.h>\n',
     [(3, "include")]),
    ("shared/unheard_of/planted.c", '#include "shared/json/planted.h"\n', [(1, "include")]),
    ("nodeproxy/worker.h", None, []),
    ("nodeproxy/path/planted.c", '\n#include "nodeproxy/worker.h"\n', [(2, "include")]),
    ("nodeproxy/http/planted.c", '#include "nodeproxy/worker.h"\n#include "absent.h"\n'
     '#include "weir_version.h"\n', [(1, "include"), (2, "include")]),
    ("nodeproxy/peer/planted.c", '#include "ca/planted.h"\n#include "foo/bar.pb-c.h"\n'
     '#include <urcu/urcu-qsbr.h>\n#include "tests/planted.h"\n',
     [(1, "include"), (2, "include"), (3, "include"), (4, "include")]),
    ("controller/model/planted.c", '#include "shared/ring/planted.h"\n', [(1, "include")]),
    ("tests/planted.h", HEADER, []),
    ("tests/planted_test.c", '#include <liburing.h>\n#include "ca/planted.h"\n'
     'void f(void)\n{\n    sleep(1);\n    usleep (1);\n}\n', [(5, "banned"), (6, "banned")]),
    ("tests/unit/tmp_test.c", 'char folder[] = "/tmp/weir-x";\nchar *tmp = "/tmp";\n', [(1, "tmp")]),
    ("tests/netns/tmp_test.sh", "x=$(mktemp -d /tmp/weir-x)\ny='/tmp/weir-x'\n", [(1, "tmp"), (2, "tmp")]),
    ("ca/planted_code.c",
     '/* strcpy(a, b) // not code\n TO' 'DO */\nconst char *s = "// strcpy(a)\\"", c = \'"\';\n'
     'int a = atoi(s), b = atol(s);\nx->system(1); x.system(2); my_system(3); fgets(a, b, c);\n'
     '// wrong\nstrcpy(a, b); strcat(a, b);\nsprintf (a, b); vsprintf(a, b, c);\n'
     'gets(a); strtok(a, b); system(a); popen(a, b);\nalloca(1); snprintf(a, 1, b); sleep(1);\n',
     [(2, "unfinished"), (4, "banned"), (4, "banned"), (6, "comment"), (7, "banned"),
      (7, "banned"), (8, "banned"), (8, "banned"), (9, "banned"), (9, "banned"), (9, "banned"),
      (9, "banned"), (10, "banned")]),
    ("ca/dead.h", HEADER, [(1, "dead-file")]),
    ("ca/self.h", HEADER + '#include "ca/self.h"\n', [(1, "dead-file")]),
    ("ca/bare.h", "#pragma once\n/* Too late. */\n", [(1, "header-comment"), (1, "dead-file")]),
    ("ca/long.c", "\n" * 701, [(701, "size")]),
    ("ca/just.c", "\n" * 700, []),
    ("nodeproxy/warden/zy_planted.c", "/*\n" + "much\n" * 300 + "*/\n" + "\n" * 300, []),
    ("nodeproxy/warden/zz_planted.c", "int a;\n" * 500, [(1, "privileged")]),
    ("docs/planted.md", "[a](planted.md) [b](http://x.y/z) [c](#d) [e](/ca/just.c#f)\n"
     "[g](absent.md)\n```\n[h](absent.md)\n```\n`[i](absent.md)`\n![j](/absent.png \"k\")\n",
     [(2, "link"), (7, "link")]),
    ("planted.txt", "", [(1, "top-level")]),
]


def check(root):
    """The set of (path, line, rule) with how often each is reported, and the exit code."""
    run = subprocess.run(["/usr/bin/python3", os.path.join(HERE, "check.py"), root],
                         stdout=subprocess.PIPE, text=True, check=False)
    found = []
    for line in run.stdout.splitlines()[:-1]:
        path, number, rule, _ = line.split(":", 3)
        found.append((path, int(number), rule.strip()))
    return found, run.returncode


def main():
    with tempfile.TemporaryDirectory(prefix="house-") as folder:
        copy = os.path.join(folder, "copy")
        shutil.copytree(ROOT, copy, symlinks=True, ignore_dangling_symlinks=True,
                        ignore=shutil.ignore_patterns(".git", "build", "__pycache__"))
        before, _ = check(copy)
        wanted = []
        for path, text, violations in PLANTED:
            whole = os.path.join(copy, path)
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            if text is None and os.path.exists(whole):
                continue
            with open(whole, "w", encoding="utf-8") as file:
                file.write(HEADER if text is None else text)
            wanted += [(path, line, rule) for line, rule in violations]
        found, code = check(copy)
        for item in before:
            if item in found:
                found.remove(item)
        missed, extra = list(wanted), []
        for item in found:
            if item in missed:
                missed.remove(item)
            else:
                extra.append(item)
        for path, line, rule in missed:
            print(f"not found: {path}:{line}: {rule}")
        for path, line, rule in extra:
            print(f"found without a cause: {path}:{line}: {rule}")
        if code == 0:
            print("check.py reported success")
        print(f"{len(wanted)} violations planted, {len(missed)} missed, {len(extra)} invented")
        return 1 if missed or extra or code == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

"""The table of tests/unit/shared/http1/http1_smuggling_test.c, for tests that play its rows through the real programs: each
request by which two readers could be made to disagree, with the status of its refusal, or with what is passed on of it."""
import os
import re

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "unit/shared/http1/http1_smuggling_test.c")
TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"|(\w+)|([(),])|\s+')
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|(.))", re.S)
LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b'"': b'"', b"\\": b"\\"}


def unescape(text):
    def one(match):
        hexadecimal, octal, letter = match.groups()
        if hexadecimal or octal:
            return bytes((int(hexadecimal or octal, 16 if hexadecimal else 8),))
        return LETTERS[letter]
    return ESCAPE.sub(one, text.encode("ascii"))


class Row:
    def __init__(self, name, data, status, forward):
        self.name, self.data, self.status, self.forward = name, data, status, forward


def strings(tokens, macros):
    """Literals and macros side by side are one value; NULL is None."""
    parts = [unescape(text) if text is not None else macros[word] for text, word in tokens if word != "NULL"]
    return b"".join(parts) if parts else None


def tokens_of(text):
    """(string, word, sign) one after the other, blanks left out."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match, f"what is {text[at:at + 40]!r}?"
        at = match.end()
        if match.group().strip():
            yield match.groups()


def rows():
    with open(SOURCE, encoding="ascii") as file:
        source = file.read()
    macros = {}
    for name, value in re.findall(r'^#define (\w+) ((?:"|[A-Z_]+ ").*)$', source, re.M):
        macros[name] = strings([t[:2] for t in tokens_of(value)], macros)
    table = source[source.index("requests[] = {") + len("requests[] = {"):source.index("\n};\n/* clang-format on")]
    table = re.sub(r"/\*.*?\*/", "", table, flags=re.S)
    found, arguments, kind = [], None, None
    for text, word, sign in tokens_of(table):
        if sign == "(":
            arguments = [[]]
        elif sign == ")":
            name, data, last = arguments
            status = int(last[0][1]) if kind == "R" else 0
            found.append(Row(strings(name, macros).decode(), strings(data, macros), status, None if status else strings(last, macros)))
            arguments = None
        elif sign == ",":
            if arguments:
                arguments.append([])
        elif arguments:
            arguments[-1].append((text, word))
        else:
            kind = word
    return found

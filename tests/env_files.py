"""Small `.env` files, and what Docker Compose makes of each.

The values are those that `docker compose config` showed; tests/deploy compares them anew.
"""

from __future__ import annotations

import string

from datastream.parsing import PRESETS

#: The environment in which they are read.
ENVIRONMENT = {"SET": "of the environment", "EMPTY": ""}
#: Every character that can be typed, and a file that holds them all.
TYPED = string.digits + string.ascii_letters + string.punctuation + " "
_DOUBLE = "".join(f"\\{char}" if char in '\\"$' else char for char in TYPED)

#: By what is special: a file, and the values of A and B in it; None where there is none.
READ: dict[str, tuple[str, str | None, str | None]] = {
    "plain": ("A=1\nB=2\n", "1", "2"),
    "no file": ("", None, None),
    "no newline at the end": ("A=1\nB=2", "1", "2"),
    "comments": ("# A=0\n  # B='\nA=1\n", "1", None),
    "empty": ("A=\nB=''\n", "", ""),
    "twice": ("A=1\nA=2\n", "2", None),
    "blanks around": ("  A = 1  \n\tB\t=\t2\t\n", "1", "2"),
    "blanks within": ("A=a  b\tc\n", "a  b\tc", None),
    "CRLF": ('A=1\r\n\r\nB="2"\r\n', "1", "2"),
    "CRLF in quotes": ('A="1\r\n2"\r\nB=3\r\n', "1\r\n2", "3"),
    "byte order mark": ("\ufeffA=1\nB=2\n", "1", "2"),
    "export": ("export A=1\n\texport  B=2\n", "1", "2"),
    "exported": ("exported=0\nexport=0\nA=${exported}${export}\n", "00", None),
    "as in YAML": ("A: 1\nB:2\n", "1", "2"),
    "other names": ("a-b.c[0]=0\n1=0\n\u00e9=0\nA=1\n", "1", None),
    "name alone": ("A\nB=2\n", None, "2"),
    "name alone, of the environment": ("SET\nA=$SET\n", "of the environment", None),
    "equals signs": ("A==1=\nB='='\n", "=1=", "="),
    "colons": ("A=a:b:c\nB=:\n", "a:b:c", ":"),
    "not ASCII": ("A=\u00e4\u20ac\nB='\U0001f600'\n", "\u00e4\u20ac", "\U0001f600"),
    # comments after a value
    "hash": ("A=#abc\nB=a#b\n", "#abc", "a#b"),
    "hash after a blank": ("A=a #b\nB= #b\n", "a", "#b"),
    "hash after a tab": ("A=a\t#b\n", "a\t#b", None),
    "hash in quotes": ("A=\"a #b\"\nB='a #b'\n", "a #b", "a #b"),
    "comment after quotes": ("A=\"a\" # b\nB='a'#b\n", "a", "a"),
    "more after quotes": ("A=\"a\" B='b'\n", "a", "b"),
    # quotes
    "single": (r"""A='a\n"$B${B}$$\\'""" + "\n", r"""a\n"$B${B}$$\\""", None),
    "single within single": (r"A='it\'s'" + "\n", "it's", None),
    "single within double": ("A=\"it's\"\n", "it's", None),
    "double within double": (r'A="a\"b"' + "\n", 'a"b', None),
    "double within single": ("A='a\"b'\n", 'a"b', None),
    "backslash": (r'A="a\\b"' + "\nB='a\\b'\n", r"a\b", r"a\b"),
    "backslash at the end": (r'A="a\\"' + "\nB=a\\\n", "a\\", "a\\"),
    "backslash without quotes": (r"A=a\b\\n\"" + "\n", r"a\b\\n\"", None),
    "backslash and quote": (r'A="\\\""' + "\n", r"\"", None),
    "quotes within": ("A=a'b\"c\nB=a''\n", "a'b\"c", "a''"),
    "escapes": (r'A="\n\r\t\$\""', '\n\r\t$"', None),
    "rare escapes": (r'A="\a\b\f\v"', "\a\b\f\v", None),
    "no escapes": (r'''A="\x41\u0041\d\'"''', r"""\x41\u0041\d\'""", None),
    "octal": (r'A="\0101\01011"' + "\n" + r'B="\012\0\0888\0777"', "AA1", r"\12\\888\777"),
    "lines in double quotes": ('A="1\n\n 2 # 3\nB=4"\nB=5\n', "1\n\n 2 # 3\nB=4", "5"),
    "lines in single quotes": ("A='1\n2\n'\nB=3\n", "1\n2\n", "3"),
    # variables
    "dollar": ("A=a$$b$$$$c\nB='$$'\n", "a$b$$c", "$$"),
    "dollar in double quotes": (r'A="a$$b\$c"' + "\n", "a$b$c", None),
    "dollar before no name": ("A=a$\nB=$1$-$(ls)$ $.\n", "a$", "$1$-$(ls)$ $."),
    "variable": ('A=1\nB="$A${A}a$A-"\n', "1", "11a1-"),
    "variable of before": ("A=1\nB=$A\nA=2\n", "2", "1"),
    "variable of the environment": ("SET=0\nA=${SET}s\n", "of the environments", None),
    "variable in itself": ("A=1\nA=${A}2\n", "12", None),
    "default": ("A=${NONE:-x}\nB=${EMPTY:-x}\n", "x", "x"),
    "default of what is empty": ("A=${NONE-x}\nB=${EMPTY-x}\n", "x", ""),
    "default that is a variable": ("A=1\nB=${NONE:-a${A:-2}b}c${A}\n", "1", "a1bc1"),
    "default with an operator": ("A=${NONE-a:-b}\nB=${NONE:-a?b}${NONE:-}\n", "a:-b", "a?b"),
    "alternative": ("A=${SET:+x}${SET+y}\nB=${NONE:+x}${EMPTY:+x}${EMPTY+y}\n", "xy", "y"),
    "required": ("A=${SET:?must}\nB=${EMPTY?must}\n", "of the environment", ""),
    # passwords
    "awkward": ("A='it is a $ecret: #1, \"really\"'\n", 'it is a $ecret: #1, "really"', None),
    "what can be typed, in double quotes": (f'A="{_DOUBLE}"\n', TYPED, None),
    "what can be typed, in single quotes": (
        "A='" + TYPED.replace("'", r"\'") + "'\n", TYPED, None
    ),
}  # fmt: skip

#: By what is wrong: a file, and the line and the reason that we say. Compose refuses it too, or
#: warns that a variable is not set.
REFUSED: dict[str, tuple[str, int, str]] = {
    "double quote": ('B=2\nA="secret\nC=3\n', 2, "a quote that begins there does not end"),
    "single quote": ("A='secret\\'\n", 1, "a quote that begins there does not end"),
    "quote in a directive": (
        "B=2\nA=log_format secret '$word;\nC=3\n", 2, "a quote that begins there does not end"
    ),
    "blank in a name": ("B=2\n\nA B=secret\n", 3, "name"),
    "blanks and no equals sign": ("A=1\n\nsecret password\nB=3\n", 3, "name"),
    "quote in a name": ("# B\nse'cret=1\n", 2, "name"),
    "more after quotes": ('A="secret"secret!\n', 1, "name"),
    "not set": ("B=2\nA=pa$word\n", 2, "the variable word is not set"),
    "not set, in double quotes": ('A="pa${word}"\n', 1, "the variable word is not set"),
    "not set yet": ("A=$B\nB=secret\n", 1, "the variable B is not set"),
    "open brace": ("B=${SET}\nA=secret${word\n", 2, "${ begins a variable that does not end"),
    "no name in braces": ("A=secret${}\n", 1, "${ begins a variable that does not end"),
    "default that does not end": ("A=secret${word:-\n", 1, "${ begins a variable that does"),
    "required": ("B=2\nA=secret${word:?secret}\n", 2, "the variable word"),
}  # fmt: skip

#: A directive of nginx.conf, which stands in a file as it is, and what is made of it.
MAIN = f"log_format main '{PRESETS['main']}';"
DIRECTIVE = """\
log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" ' # it's; a comment
                      "\\"$http_user_agent\\" \\"$http_x_forwarded_for\\"";"""
#: By how it stands there: a file, and the format that it means.
DIRECTIVES = {
    "several lines": (f"SOURCE=web\nFORMAT={DIRECTIVE}\nLOG_PATH=/a\n", MAIN),
    "one line": (f"SOURCE=web\nexport FORMAT = {MAIN}  # main\nLOG_PATH=/a\n", MAIN),
    "the last line": (f"LOG_PATH=/a\nSOURCE=web\nFORMAT={MAIN}", MAIN),
    "Windows": (
        f"SOURCE=web\nFORMAT={DIRECTIVE}\nLOG_PATH=/a\n".replace("\n", "\r\n"), MAIN
    ),
    "twice": (f"FORMAT=combined\nSOURCE=web\nFORMAT={DIRECTIVE}\nLOG_PATH=/a\n", MAIN),
    "prefixes": (
        f"SOURCE=web\nFORMAT=compose  rfc3164 {DIRECTIVE}\nLOG_PATH=/a\n",
        f"compose rfc3164 {MAIN}",
    ),
    "semicolons in comments": (
        f"SOURCE=web\nFORMAT={MAIN[:-1]} # it's;\n  # \"b\";\n ;# c;\nLOG_PATH=/a\n", MAIN
    ),
    "semicolons in quotes": (
        "SOURCE=web\nFORMAT=log_format a '$msec \\';\n#;' \"';\n\" $host#';\nLOG_PATH=/a\n",
        r"log_format a '$msec \';\n#;\';\n$host#\'';",
    ),
}  # fmt: skip

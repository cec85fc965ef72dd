"""The syntax of nginx.conf, as nginx reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing import FormatError
from datastream.parsing.nginx_conf import directives

Said = list[tuple[list[str], tuple[str, ...]]]


def said(source: str) -> Said:
    """Return the words of each directive, and the blocks that it stands in."""
    return [
        ([word.text for word in directive.words], directive.blocks)
        for directive in directives(source)
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a b;", ["a", "b"]),
        ("a\n\t'b' # c;\r\n;", ["a", "b"]),
        ("'a' \"b\";", ["a", "b"]),
        ("a b#c;", ["a", "b#c"]),
        ("a b}c;", ["a", "b}c"]),
        ("a it's;", ["a", "it's"]),
        ("a $b${c}{;", ["a", "$b${c}"]),
        ("a ${{b}};", ["a", "${{b}}"]),
        ("a ${b} $ {c;", ["a", "${b}", "$"]),
        ('a "$" "{;}";', ["a", "$", "{;}"]),
        (r"a \;\ \{\}\#\" '\'\\\n' \x;", ["a", r"\;\ \{\}\#" '"', "'\\\n", r"\x"]),
        ("a b\u00a0c\u2028d\x0b\x0ce;", ["a", "b\u00a0c\u2028d\x0b\x0ce"]),
    ],
)
def test_the_words_of_a_directive(source: str, words: list[str]) -> None:
    """Blanks are those of nginx; quotes, comments and braces count where a word begins."""
    assert [word.text for word in next(directives(source)).words] == words


def test_the_blocks_that_a_directive_stands_in() -> None:
    """The beginning of a block is a directive too."""
    source = "user x; http{ a 1; map $a $b { default {; ~^b 2; } server { c; } } stream { a 2; } d;"

    assert said(source.replace("default {;", "'default {' '';")) == [
        (["user", "x"], ()),
        (["http"], ()),
        (["a", "1"], ("http",)),
        (["map", "$a", "$b"], ("http",)),
        (["default {", ""], ("http", "map")),
        (["~^b", "2"], ("http", "map")),
        (["server"], ("http",)),
        (["c"], ("http", "server")),
        (["stream"], ()),
        (["a", "2"], ("stream",)),
        (["d"], ()),
    ]


def test_each_mark_ends_what_is_before_it() -> None:
    """With no blank around it."""
    assert said("a{b{c;}d;}e;") == [
        (["a"], ()),
        (["b"], ("a",)),
        (["c"], ("a", "b")),
        (["d"], ("a",)),
        (["e"], ()),
    ]


@pytest.mark.parametrize(
    ("source", "offsets"),
    [
        (" ab;", (1, 2, 3)),
        (" 'ab' ;", (2, 3, 4)),
        (r" a\nb;", (1, 2, 4, 5)),
        (r' "\\\"";', (2, 4, 6)),
        (r" a\x;", (1, 2, 3, 4)),
    ],
)
def test_where_each_character_comes_from(source: str, offsets: tuple[int, ...]) -> None:
    """And where the word ends, which is before its quote."""
    [directive] = directives(source)

    assert directive.words[0].offsets == offsets
    assert (directive.start, directive.end) == (1, len(source))


LUA = [
    "",
    "ngx.say('}')",
    'ngx.say("}{{")',
    r"ngx.say('it\'s }', '\\')",
    "if x then y = {1, {2}} end",
    "-- it's } {\n",
    "--[[ it's }\n } ]] x()",
    "--[==[ ]] it's } ]==] x()",
    "s = [[ it's } \n]] .. 'x'",
    "s = [=[ ]] it's \" } ]=]",
    "a = b[c[1]] - d",
    "---[[ it's }\n",
    "a = 1 --\n",
]


@pytest.mark.parametrize("code", LUA)
@pytest.mark.parametrize(
    "name", ["content_by_lua_block", "set_by_lua_block $x", "new_by_lua_block"]
)
def test_code_in_lua_is_stepped_over(name: str, code: str) -> None:
    """Its braces are counted as Lua has them, not those in its texts and comments."""
    assert said(f"http {{ {name} {{{code}}} a 1; }} b;") == [
        (["http"], ()),
        (name.split(), ("http",)),
        (["a", "1"], ("http",)),
        (["b"], ()),
    ]


@given(st.lists(st.sampled_from(LUA)))
def test_any_code_in_lua_is_stepped_over(code: list[str]) -> None:
    """Whatever follows what."""
    source = f"http {{ init_by_lua_block {{ {' '.join(code)} }} a 1; }}"

    assert said(source)[2:] == [(["a", "1"], ("http",))]


@pytest.mark.parametrize(
    ("source", "message", "offset"),
    [
        ("a 'b;", "this quote has no end", 2),
        ('a "b;', "this quote has no end", 2),
        ("a b", "a directive ends with a semicolon; there is none", 3),
        ("http { a b }", "a directive ends with a semicolon; there is none", 11),
        ("a; }", "this brace ends no block", 3),
        ("http { server { a; }", "the block http has no end", 20),
        ("x_by_lua_block { {} ", "this code has no end", 15),
        ("x_by_lua_block { ' } ", "this quote has no end", 17),
    ],
)
def test_what_nginx_could_not_read(source: str, message: str, offset: int) -> None:
    """It is said, with the place."""
    with pytest.raises(FormatError) as caught:
        said(source)

    assert (str(caught.value), caught.value.offset) == (message, offset)


@given(st.text(st.sampled_from("a $#;{}'\"\\\n[-]_"), max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, is_lua: bool) -> None:
    """Nothing but FormatError is raised; a word's characters know where they come from."""
    source = f"x_by_lua_block {{ {text}" if is_lua else text
    try:
        for directive in directives(source):
            assert source[directive.end - 1] in ";{}"
            for word in directive.words:
                assert len(word.offsets) == len(word.text) + 1
                assert directive.start <= word.offsets[0] <= word.offsets[-1] < directive.end
    except FormatError as error:
        assert 0 <= (error.offset or 0) <= len(source)  # noqa: PT017 - most texts are none, some are

"""What is decided about the files of a log, of what is known and what is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.history import Action, Decision, Do, Look, Opened, Role, Seen, decide
from producer.state import Entry

PATH = "/logs/access.log"
ROTATED = f"{PATH}.1"
#: Files, by device and inode.
A, B, C = (1, 10), (1, 11), (1, 12)


def entry(stream: int, inode: int, *, finished: bool = False, position: int = 100) -> Entry:
    """Return the entry of a stream."""
    return Entry(
        stream, PATH, 0, 1, inode, position, 100, "prefix", "marker", finished, 100 * finished
    )


def live(identity: tuple[int, int], **known: object) -> Seen:
    """Return the file at the path of the log."""
    return Seen(PATH, identity, Role.LIVE, **known)  # type: ignore[arg-type]


def rotated(identity: tuple[int, int], path: str = ROTATED, **known: object) -> Seen:
    """Return a rotated file."""
    return Seen(path, identity, Role.ROTATED, **known)  # type: ignore[arg-type]


ONE = frozenset({1})
READING = {1: entry(1, 10)}
READ = {1: entry(1, 10, finished=True)}
OPEN = Opened(A, 1, is_live=True)


@pytest.mark.parametrize(
    ("entries", "files", "opened", "actions"),
    [
        pytest.param({}, [live(A)], [], [(Do.BEGIN, A, PATH)], id="first file"),
        pytest.param(READING, [live(A, holds=ONE)], [OPEN], [], id="nothing new"),
        pytest.param(
            READING,
            [live(A, holds=ONE)],
            [],
            [(Do.RESUME, A, PATH, 1)],
            id="restart",
        ),
        pytest.param(
            READING,
            [rotated(A, holds=ONE), live(B)],
            [OPEN],
            [(Do.ROTATE, A, PATH), (Do.BEGIN, B, PATH)],
            id="renamed",
        ),
        pytest.param(READING, [rotated(A, holds=ONE)], [OPEN], [(Do.ROTATE, A)], id="moved away"),
        pytest.param(
            READING,
            [live(A, holds=ONE)],
            [Opened(A, 1, is_live=False)],
            [(Do.REVIVE, A)],
            id="moved back",
        ),
        pytest.param(
            READING,
            [rotated(B, holds=ONE), live(A, is_empty=True)],
            [Opened(A, 1, is_live=True, is_lost=True, is_in_hand=True)],
            [],
            id="copied and truncated, a slice on its way",
        ),
        pytest.param(
            READING,
            [rotated(B, holds=ONE), live(A, is_empty=True)],
            [Opened(A, 1, is_live=True, is_lost=True)],
            [(Do.LOSE, A, "", 1), (Do.RESUME, B, ROTATED, 1), (Do.BEGIN, A, PATH)],
            id="copied and truncated",
        ),
        pytest.param(
            READING,
            [rotated(B, holds=ONE, echoes=ONE), live(A, holds=ONE)],
            [OPEN],
            [],
            id="copied, not truncated yet",
        ),
        pytest.param(
            READING,
            [live(B, holds=ONE, more=ONE)],
            [Opened(A, 1, is_live=True, is_drained=True)],
            [(Do.ROTATE, A, PATH), (Do.RESUME, B, PATH, 1)],
            id="replaced by its own content and more",
        ),
        pytest.param(
            READING,
            [live(B, holds=ONE)],
            [Opened(A, 1, is_live=False, is_drained=True)],
            [],
            id="replaced by its own content alone",
        ),
        pytest.param(
            READING,
            [live(B, holds=ONE)],
            [Opened(A, 1, is_live=False, is_drained=True, is_quiet=True)],
            [(Do.RESUME, B, PATH, 1)],
            id="replaced by its own content, a minute ago",
        ),
        pytest.param(
            READING,
            [rotated(B, part_of=frozenset({A})), live(A, holds=ONE)],
            [OPEN],
            [],
            id="copy beside",
        ),
        pytest.param(
            READING,
            [rotated(B, f"{ROTATED}.gz", holds=ONE, echoes=ONE), live(A, holds=ONE)],
            [OPEN],
            [],
            id="packed beside",
        ),
        pytest.param(
            READING,
            [rotated(B, f"{ROTATED}.gz", is_awaited=True), live(C)],
            [Opened(A, 1, is_live=False)],
            [(Do.BEGIN, C, PATH)],
            id="packed, and what it was made from is not read yet",
        ),
        pytest.param(
            READ,
            [rotated(B, f"{ROTATED}.gz", holds=ONE), live(C)],
            [],
            [(Do.KNOW, B, f"{ROTATED}.gz", 1), (Do.BEGIN, C, PATH)],
            id="packed after it was read",
        ),
        pytest.param(
            READING,
            [rotated(A, holds=ONE), rotated(B, f"{PATH}.2", holds=ONE, echoes=ONE)],
            [],
            [(Do.RESUME, A, ROTATED, 1)],
            id="two files of one stream",
        ),
        pytest.param(
            {1: entry(1, 10, position=50), 2: entry(2, 11)},
            [rotated(C, holds=frozenset({1, 2})), rotated(A, f"{PATH}.2", holds=ONE)],
            [],
            [(Do.RESUME, C, ROTATED, 2), (Do.RESUME, A, f"{PATH}.2", 1)],
            id="files that begin alike",
        ),
        pytest.param(READ, [rotated(B, ends=ONE)], [], [(Do.LEAVE, B, ROTATED)], id="cut off"),
        pytest.param(
            {}, [rotated(B, is_wanted=False)], [], [(Do.SKIP, B, ROTATED)], id="there before"
        ),
        pytest.param({}, [rotated(B, is_empty=True)], [], [], id="empty"),
        pytest.param(READING, [live(B, is_opaque=True)], [], [], id="cannot be read"),
        pytest.param(
            READING,
            [Seen(f"{PATH}.bak", A, Role.OTHER, holds=ONE)],
            [],
            [(Do.RESUME, A, f"{PATH}.bak", 1)],
            id="by a name of no rotated file",
        ),
        pytest.param(
            READ,
            [Seen(f"{PATH}.bak", A, Role.OTHER, holds=ONE, more=ONE)],
            [],
            [],
            id="read, and by a name of no rotated file",
        ),
    ],
)
def test_what_is_to_be_done(
    entries: Mapping[int, Entry],
    files: list[Seen],
    opened: list[Opened],
    actions: list[tuple[Do, tuple[int, int]]],
) -> None:
    """Each thing that happens to a log leads to what is right to do, and to nothing else."""
    decision = decide(entries, Look(tuple(files)), opened)

    assert decision.actions == tuple(Action(*action) for action in actions)


@pytest.mark.parametrize(("first", "second", "furthest"), [(50, 100, 2), (100, 50, 1)])
def test_of_streams_that_begin_alike_the_one_read_furthest(
    first: int, second: int, furthest: int
) -> None:
    """A file that holds two is that one's: the other would send again what was read of it."""
    entries = {1: entry(1, 98, position=first), 2: entry(2, 99, position=second)}
    decision = decide(entries, Look((rotated(C, holds=frozenset({1, 2})),)), [])

    assert decision.actions == (Action(Do.RESUME, C, ROTATED, furthest),)


def test_what_is_waited_for() -> None:
    """What was read of a deleted file is sent before its copy is read on."""
    files = (live(B, holds=ONE, more=ONE),)

    assert decide(READING, Look(files), [Opened(A, 1, is_live=False)]) == Decision(
        (), frozenset(), is_waiting=True
    )


@pytest.mark.parametrize(
    ("look", "absent"),
    [
        (Look((live(A, holds=ONE),)), frozenset({2})),
        (Look((live(A, holds=ONE),), is_whole=False), None),
        (Look((live(A, holds=ONE), rotated(B, is_opaque=True))), None),
        (Look(()), None),
    ],
    ids=["sure", "a folder not listed", "a file not read", "nothing there"],
)
def test_what_no_file_holds(look: Look, absent: frozenset[int] | None) -> None:
    """A stream is absent only where it is sure that all was seen."""
    entries = {1: entry(1, 10), 2: entry(2, 11)}

    assert decide(entries, look, []).absent == absent


INODES = st.integers(10, 15)
SOME = st.frozensets(st.integers(1, 4))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[dict[int, Entry], Look, list[Opened]]:
    """Draw what is known, what is seen and what is open."""
    entries = {
        stream: entry(
            stream, draw(INODES), finished=draw(st.booleans()), position=draw(st.integers(100, 102))
        )
        for stream in draw(SOME)
    }
    of_known = st.frozensets(st.sampled_from(sorted(entries))) if entries else st.just(frozenset())
    files = []
    inodes = draw(st.lists(INODES, unique=True))
    has_live = draw(st.booleans())
    for number, inode in enumerate(inodes):
        is_live = has_live and number == len(inodes) - 1
        role = Role.LIVE if is_live else draw(st.sampled_from([Role.ROTATED, Role.OTHER]))
        holds = draw(of_known)
        file = Seen(
            PATH if is_live else f"{PATH}.{number}",
            (1, inode),
            role,
            is_wanted=draw(st.booleans()),
            is_asked=draw(st.booleans()),
            is_empty=draw(st.booleans()),
            is_opaque=draw(st.booleans()),
            holds=holds,
            more=holds & draw(of_known),
            ends=draw(of_known) - holds,
            echoes=draw(of_known),
            part_of=frozenset((1, other) for other in draw(st.frozensets(INODES)) - {inode}),
            is_awaited=role is Role.ROTATED and draw(st.booleans()),
        )
        files.append(file)
    streams = draw(st.permutations(sorted(entries)))
    identities = draw(st.lists(INODES, unique=True, max_size=len(streams)))
    opened = [
        Opened(
            (1, inode),
            stream,
            is_live=number == 0,
            is_lost=draw(st.booleans()),
            is_in_hand=draw(st.booleans()),
            is_drained=draw(st.booleans()),
            is_quiet=draw(st.booleans()),
        )
        for number, (inode, stream) in enumerate(zip(identities, streams, strict=False))
    ]
    return entries, Look(tuple(files), is_whole=draw(st.booleans())), opened


@given(scenes())
def test_whatever_is_seen(scene: tuple[dict[int, Entry], Look, list[Opened]]) -> None:
    """One file a stream, no file read twice, and nothing begun that may be known: each time."""
    entries, look, opened = scene
    decision = decide(entries, look, opened)
    read = [a for a in decision.actions if a.do in (Do.BEGIN, Do.RESUME, Do.SKIP)]
    there = {f.identity for f in look.files}
    # The content of a deleted file that is open may be in several files until one of them is read.
    deleted = {o.stream for o in opened if o.identity not in there}
    given_to = [a.stream for a in decision.actions if a.do in (Do.RESUME, Do.KNOW)]
    given_to = [stream for stream in given_to if stream not in deleted]
    begun = {a.identity for a in decision.actions if a.do is Do.BEGIN}
    is_open = {o.identity for o in opened if not o.is_lost}

    assert decide(entries, look, opened) == decision
    assert len(given_to) == len(set(given_to))
    assert set(given_to) <= entries.keys()
    assert len(read) == len({a.identity for a in read})
    assert not is_open & {a.identity for a in read}
    assert not begun & {f.identity for f in look.files if f.is_opaque or f.is_awaited}
    assert decision.absent is None or decision.absent <= entries.keys()


FINISHED = entry(1, 10, finished=True)
UNPACKED = replace(FINISHED, skipped=True)
PACKED = replace(UNPACKED, length=0)
TWO = frozenset({2})


@pytest.mark.parametrize(
    ("known", "is_asked", "more", "is_read"),
    [
        pytest.param(FINISHED, False, ONE, True, id="read to its end, and has grown"),
        pytest.param(FINISHED, True, frozenset(), False, id="read to its end, and asked for"),
        pytest.param(UNPACKED, False, ONE, True, id="passed over, and has grown"),
        pytest.param(UNPACKED, False, frozenset(), False, id="passed over"),
        pytest.param(UNPACKED, True, frozenset(), True, id="passed over, and asked for now"),
        pytest.param(PACKED, False, ONE, False, id="passed over when it was packed"),
        pytest.param(PACKED, True, ONE, True, id="the same, and asked for now"),
    ],
)
def test_a_rotated_file_that_is_known_is_read_on_if_there_is_something_to_read(
    known: Entry, is_asked: bool, more: frozenset[int], is_read: bool
) -> None:
    """It has grown, or is asked for by name for the first time."""
    file = rotated(A, holds=ONE, more=more, is_asked=is_asked)
    decision = decide({1: known}, Look((file,)), [])

    assert decision.actions == ((Action(Do.RESUME, A, ROTATED, 1),) if is_read else ())


@pytest.mark.parametrize(
    ("entries", "files", "found"),
    [
        pytest.param(
            READING,
            [rotated(B, holds=ONE), rotated(A, f"{PATH}.2", holds=ONE)],
            [Action(Do.RESUME, A, f"{PATH}.2", 1)],
            id="the one in which it was being read",
        ),
        pytest.param(
            READING,
            [rotated(B, holds=ONE), Seen(f"{PATH}.bak", A, Role.OTHER, holds=ONE)],
            [Action(Do.RESUME, B, ROTATED, 1)],
            id="one of the log before that",
        ),
        pytest.param(
            {1: entry(1, 10, finished=True), 2: entry(2, 11, position=200)},
            [rotated(A, holds=frozenset({1, 2}))],
            [Action(Do.RESUME, A, ROTATED, 2)],
            id="of streams that begin alike the one that was read furthest",
        ),
        pytest.param(
            {1: entry(1, 10, finished=True), 2: entry(2, 11, finished=True)},
            [rotated(A, holds=frozenset({1, 2})), rotated(B, f"{PATH}.2", holds=ONE | TWO)],
            [],
            id="each in its own, of equals",
        ),
    ],
)
def test_which_file_a_stream_is_in(
    entries: Mapping[int, Entry], files: list[Seen], found: list[Action]
) -> None:
    """Of several that hold it."""
    actions = decide(entries, Look(tuple(files)), []).actions

    assert [action for action in actions if action.stream] == found


@pytest.mark.parametrize(
    ("files", "opened", "is_waiting"),
    [
        pytest.param([rotated(B, ends=ONE), live(A, holds=ONE)], [OPEN], True, id="cut or a copy"),
        pytest.param([rotated(B, ends=ONE)], [], False, id="cut"),
        pytest.param(
            [live(A, is_empty=True)],
            [Opened(A, 1, is_live=True, is_lost=True, is_in_hand=True)],
            True,
            id="truncated, a slice on its way",
        ),
        pytest.param([live(A, holds=ONE)], [OPEN], False, id="nothing"),
        pytest.param(
            [live(B, holds=ONE)], [Opened(A, 1, is_live=True, is_drained=True)], False, id="drained"
        ),
    ],
)
def test_whether_all_must_be_read_first(
    files: list[Seen], opened: list[Opened], is_waiting: bool
) -> None:
    """Of the files that are open, before it can be said what another one is."""
    assert decide(READING, Look(tuple(files)), opened).is_waiting == is_waiting


@pytest.mark.parametrize(
    ("stream", "continues", "is_lost"),
    [(None, frozenset({A}), True), (None, frozenset({C}), False), (1, frozenset({A}), False)],
    ids=["it begins with that", "it does not", "a line of that was read"],
)
def test_what_a_new_file_begins_with_is_not_read_in_a_deleted_one_too(
    stream: int | None, continues: frozenset[tuple[int, int]], is_lost: bool
) -> None:
    """A file without a whole line, replaced by one that has it: its beginning is one stream."""
    opened = Opened(A, stream, is_live=False)
    decision = decide(READING, Look((live(B, continues=continues),)), [opened])
    lost = [Action(Do.LOSE, A)] if is_lost else []

    assert decision.actions == (*lost, Action(Do.BEGIN, B, PATH))


def test_what_waits_for_a_slice_holds_up_no_other_file() -> None:
    """What is being packed of a truncated file waits; the files behind it do not."""
    files = (rotated(B, holds=ONE), rotated(C, f"{PATH}.2", part_of=frozenset({B})), live(A))
    opened = [Opened(A, 1, is_live=True, is_lost=True, is_in_hand=True)]
    copied = decide(READING, Look(files), opened)
    other = decide(READING, Look((files[0], rotated(C, f"{PATH}.2"), live(A))), opened)

    assert copied.actions == ()
    assert other.actions == (Action(Do.BEGIN, C, f"{PATH}.2"),)


def test_a_copy_of_a_copy_is_nothing_new() -> None:
    """Nor is a copy of the live file, or one of two copies that were packed in their turn."""
    copy = rotated(B, part_of=frozenset({A}))
    packed = rotated(C, f"{PATH}.2", part_of=frozenset({B}))

    assert decide({}, Look((copy, packed, live(A))), []).actions == (Action(Do.BEGIN, A, PATH),)


def test_a_stream_of_which_a_file_holds_the_beginning_is_not_absent() -> None:
    """One that ends before what is confirmed may be the stream's own file, cut."""
    files = (rotated(B, ends=TWO), live(A, holds=ONE))
    entries = {1: entry(1, 10), 2: entry(2, 11), 3: entry(3, 12)}

    assert decide(entries, Look(files), [OPEN]).absent == frozenset({3})

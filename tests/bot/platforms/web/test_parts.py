"""Unit tests of the web chat's parts, without a socket."""

import struct

import pytest
from fakes.model_server.model_api import png

from bot.core.messages import Attachment, Reply, User
from bot.platforms.web.access.origin_check import OriginCheck, is_loopback
from bot.platforms.web.access.visitors import clean_filename, clean_name, create_secret, is_guest_name, user_from_secret
from bot.platforms.web.chat import files as files_module
from bot.platforms.web.chat import protocol
from bot.platforms.web.chat import room as room_module
from bot.platforms.web.chat.files import Files, picture_size
from bot.platforms.web.chat.room import Exchange, Room
from bot.platforms.web.chat.rooms import clean_room_name
from bot.storage.messages import StoredFile

ANN, BEN = User("a", "Ann"), User("b", "Ben")
DONE = Reply(text="done", final=True)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(1, 30, 20), (30, 20)),
        (b"GIF89a" + struct.pack("<HH", 30, 20), (30, 20)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", 20, 30), (30, 20)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x1d\0\0\x13\0\0", (30, 20)),
        (b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + struct.pack("<I", 29 | 19 << 14), (30, 20)),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 30, 20), (30, 20)),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"\xff\xd8\xff", None),
        (b"\xff\xd8\xff\xe0\x00\x04ab", None),
        (b"<svg/>", None),
        (b"", None),
    ],
)
def test_the_size_of_a_picture_is_read_from_its_header(data: bytes, size: tuple[int, int] | None) -> None:
    assert picture_size(data) == size


def kept(files: Files, *names: tuple[str, str]) -> list[bool]:
    """Return which of the files, each with its owner, are still kept."""
    return [files.get(name, owner) is not None for name, owner in names]


def test_newer_files_push_out_older_ones_beyond_the_limit() -> None:
    files = Files(100_000)
    names = [(files.keep(Attachment(str(number), bytes(40_000))), "") for number in range(3)]
    assert kept(files, *names) == [False, True, True]
    files.drop(names[1][0])
    files.drop(names[1][0])
    names += [(files.keep(Attachment("3", bytes(40_000))), "")]
    assert kept(files, *names[2:]) == [True, True]


def test_the_files_of_one_owner_make_way_for_their_own() -> None:
    files = Files(1_000_000, 100_000)
    of_ben = files.keep(Attachment("b", bytes(10)), "ben"), "ben"
    of_ann = [(files.keep(Attachment(str(number), bytes(40_000)), "ann"), "ann") for number in range(4)]
    assert kept(files, of_ben, *of_ann) == [True, False, False, True, True]


def test_whoever_has_the_most_makes_way_for_others() -> None:
    files = Files(100_000)
    small = [(files.keep(Attachment("s", bytes(10)), owner), owner) for owner in ("ben", "cat")]
    large = [(files.keep(Attachment("l", bytes(30_000)), "ann"), "ann") for _ in range(5)]
    newest = files.keep(Attachment("n", bytes(60_000)), "dan"), "dan"
    assert kept(files, *small, *large, newest) == [True, True, False, False, False, False, True, True]


def test_files_without_a_byte_take_space_too() -> None:
    files = Files(100_000)
    names = [(files.keep(Attachment("empty", b""), "ann"), "ann") for _ in range(1000)]
    assert sum(kept(files, *names)) < 100


def test_an_upload_is_only_returned_to_its_owner() -> None:
    files = Files()
    name = files.keep(Attachment("a", b"x"), "ann")
    assert files.get(name, "ann") is not None
    assert files.get(name) is None
    assert files.get(name, "ben") is None


@pytest.mark.parametrize(
    ("host", "names", "own", "others"),
    [
        (
            "127.0.0.1",
            [],
            ["127.0.0.1:8080", "LOCALHOST", "localhost.", "[::1]:8080"],
            ["evil.example", "10.0.0.1", ""],
        ),
        ("chat.example", [], ["chat.example:8080", "localhost"], ["evil.example", "chat.example.evil.example"]),
        ("0.0.0.0", [], ["10.0.0.1:8080", "[fe80::1]:8080", "localhost"], ["evil.example", "10.0.0.1.evil.example"]),
        (
            "127.0.0.1",
            ["Chat.a.org"],
            ["chat.a.org", "CHAT.a.org:443", "127.0.0.1:8080"],
            ["a.org", "chat.a.org.evil.a"],
        ),
    ],
)
def test_only_the_chats_own_names_are_accepted(host: str, names: list[str], own: list[str], others: list[str]) -> None:
    check = OriginCheck(host, names)
    assert [name for name in own if not check.is_own_name(name)] == []
    assert [name for name in others if check.is_own_name(name)] == []


def test_only_loopback_addresses_are_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "")))


def test_names_are_cleaned() -> None:
    assert clean_name(" A\u202en\0n\n  B ") == "Ann B"
    assert clean_name("x" * 100) == "x" * 32
    assert clean_filename("../../etc/.passwd") == "passwd"
    assert clean_filename("C:\\dir\\a b.txt") == "a b.txt"
    assert clean_filename("..") == "file"


def test_a_user_id_does_not_reveal_the_secret() -> None:
    secret = create_secret()
    user = user_from_secret(secret, "", "de-AT")
    assert user.id not in secret
    assert (user.locale, user.name, user.is_moderator) == ("de-AT", f"Gast {user.id[:4]}", False)
    assert all(is_guest_name(name, user.id) for name in (user.name, f"Guest {user.id[:4]}", f"Guest {user.id}"))
    assert not is_guest_name("Gast Ada", user.id)
    assert user_from_secret(secret, "Ann", "../../x").locale == "en"


def test_private_exchanges_do_not_push_out_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "MAX_PUBLIC_EXCHANGES", 3)
    monkeypatch.setattr(room_module, "MAX_PRIVATE_EXCHANGES", 2)
    room = Room(Files(100))
    running = room.open_exchange(Exchange(ANN, "running", private=False))
    for number in range(5):
        room.show(room.open_exchange(Exchange(ANN, f"public {number}", private=False)), DONE)
        room.show(room.open_exchange(Exchange(BEN, f"private {number}", private=True)), DONE)
    assert running in room.visible_to(ANN)
    shown = [exchange.question for exchange in room.visible_to(ANN)]
    assert shown[1:] == ["public 1", "public 2", "public 3", "public 4"]
    assert not any(exchange.private for exchange in room.visible_to(ANN))
    assert [exchange.question for exchange in room.visible_to(BEN) if exchange.private][-1] == "private 4"


def test_old_finished_exchanges_are_dropped() -> None:
    room = Room(Files(100))
    for at in (10, 20, 30):
        room.show(room.open_exchange(Exchange(ANN, str(at), private=False, began=at)), DONE)
    room.open_exchange(Exchange(ANN, "running", private=False, began=10))
    room.drop_older_than(30)
    assert [exchange.question for exchange in room.visible_to(ANN)] == ["30", "running"]


def test_a_private_exchange_stays_private_when_its_reply_is_not() -> None:
    room = Room(Files(100))
    exchange = room.open_exchange(Exchange(ANN, "secret", private=True))
    room.show(exchange, DONE)
    assert room.visible_to(BEN) == []


def test_private_answers_of_one_visitor_push_out_none_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "MAX_PRIVATE_EXCHANGES", 5)
    room = Room(Files())
    for author, count_of_author in ((BEN, 2), (ANN, 20), (BEN, 1)):
        for _ in range(count_of_author):
            room.show(room.open_exchange(Exchange(author, "/nothing", private=True)), Reply(text="no", final=True))
    assert [len(room.visible_to(user)) for user in (ANN, BEN)] == [3, 3]


def test_an_unchecked_exchange_is_only_visible_to_its_author_until_its_reply_has_a_row() -> None:
    room = Room(Files(100))
    asked, refused = (room.open_exchange(Exchange(ANN, "hi", private=False, unchecked=True)) for _ in range(2))
    room.show(asked, Reply(status="waiting"))
    assert (room.visible_to(ANN), room.visible_to(BEN)) == ([asked, refused], [])
    room.show(asked, Reply(row=1))
    room.show(refused, Reply(text="no", private=True, error=True, final=True))
    assert (room.visible_to(ANN), room.visible_to(BEN)) == ([asked, refused], [asked])


def test_a_file_keeps_its_name_while_it_is_shown() -> None:
    files = Files()
    room = Room(files)
    exchange = room.open_exchange(Exchange(ANN, "draw", private=False))
    seen = []
    for pictures in ([b"first"], [b"first"], [b"second"], []):
        room.show(exchange, Reply(attachments=tuple(Attachment("x.png", data) for data in pictures)))
        seen.append([name for _, name in exchange.files])
    assert seen[0] == seen[1]
    assert seen[2] != seen[1]
    names = [seen[0][0], seen[2][0]]
    assert None not in [files.get(name) for name in names]
    room.show(exchange, Reply(deleted=True))
    assert [files.get(name) for name in names] == [None, None]


def stored_file(number: int, file: Attachment) -> StoredFile:
    about = (file.filename, file.media_type, file.alt, file.spoiler, len(file.data), file.data)
    return StoredFile(number, 7, *about)


def test_stored_files_leave_memory_and_keep_their_names() -> None:
    files = Files()
    room = Room(files)
    exchange = room.open_exchange(Exchange(ANN, "draw", private=False))
    pictures = tuple(Attachment(f"{number}.png", png(number, 30, 20)) for number in range(2))
    last = Reply(attachments=pictures, final=True, row=7)
    room.show(exchange, last)
    names = [name for _, name in exchange.files]
    room.release_files(exchange, [])
    room.release_files(exchange, [stored_file(1, Attachment("else.png", b"x")), stored_file(2, pictures[1])])
    assert [files.get(name) for name in names] == list(pictures)
    room.release_files(exchange, [stored_file(1, pictures[0]), stored_file(2, pictures[1])])
    assert [files.get(name) for name in names] == [None, None]
    assert [files.find_stored(name) for name in names] == [(7, 1), (7, 2)]
    assert exchange.reply.attachments == ()
    room.show(exchange, last)
    assert [name for _, name in exchange.files] == names
    assert [files.get(name) for name in names] == [None, None]
    room.remove_file(names[0])
    assert [name for _, name in exchange.files] == names[1:]
    room.show(exchange, Reply(deleted=True))
    assert [files.find_stored(name) for name in names] == [None, None]


def test_a_preview_leaves_memory_once_the_stored_picture_of_another_process_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files_module, "MAX_RETIRED_BYTES", 0)
    files = Files()
    room = Room(files)
    exchange = room.open_exchange(Exchange(ANN, "draw", private=False))
    picture = Attachment("x.png", png(0, 30, 20))
    room.show(exchange, Reply(attachments=(picture,)))
    preview = exchange.files[0][1]
    room.show(exchange, Reply(final=True, row=7), [stored_file(1, picture)])
    assert files.get(preview) is None
    assert files.find_stored(exchange.files[0][1]) == (7, 1)


def test_files_retired_earlier_make_way_for_those_retired_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_RETIRED_BYTES", 100)
    files = Files()
    names = [files.keep(Attachment(str(number), bytes(40))) for number in range(5)]
    for name in names[:2]:
        files.retire(name)
        files.retire(name)
    files.drop(names[0])
    assert [files.get(name) is not None for name in names] == [False, True, True, True, True]
    for name in names[2:4]:
        files.retire(name)
    assert [files.get(name) is not None for name in names] == [False, False, True, True, True]


def test_only_pictures_without_scripts_are_shown_inline() -> None:
    room = Room(Files(1000))
    exchange = room.open_exchange(Exchange(ANN, "draw", private=False))
    svg = Attachment("x.svg", b"<svg/>", media_type="image/svg+xml")
    room.show(exchange, Reply(attachments=(Attachment("x.png", png(1), media_type="image/png", alt="A face."), svg)))
    sent = protocol.exchange_message(BEN, exchange)["reply"]
    assert [(picture["alt"], picture["width"]) for picture in sent["pictures"]] == [("A face.", 16)]
    assert [file["name"] for file in sent["files"]] == ["x.svg"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Lesson 1", "lesson-1"),
        ("#Grüße  aus_Köln!", "grüße-aus-köln"),
        ("  --  ", ""),
        ("…", ""),
        ("<script>", "script"),
        ("x" * 31 + " yz", "x" * 31),
    ],
)
def test_a_room_name_has_lower_case_letters_digits_and_single_hyphens(typed: str, name: str) -> None:
    assert clean_room_name(typed) == name

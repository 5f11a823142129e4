"""Forbidden tokens are hidden among the candidates for the next token."""

from bot import Candidate, Dial, LikelyToken, Token
from bot.safety import token_filter


def forbids(text: str) -> bool:
    return "turnip" in text


def candidate(number: int, token: bytes, *, ends: bool = False) -> Candidate:
    return Candidate(id=number, bytes=token, logit=-number, before=0.5, after=0.25, ends=ends)


def dial(*prompt: bytes, drawn: Candidate, shown: tuple[Candidate, ...]) -> Dial:
    return Dial(
        model="m",
        prompt=prompt,
        prompt_ids=tuple(range(len(prompt))),
        candidates=shown,
        drawn=drawn,
        temperatures=(1.0,),
        log_sum_exp=(0.0,),
        entropy=(1.0,),
    )


def test_candidates_that_are_or_complete_a_forbidden_word_are_hidden() -> None:
    shown = (candidate(1, b" turnip"), candidate(2, b"nip"), candidate(3, b"key"), candidate(4, b"\xe2\x82"))
    filtered = token_filter.filter_dial(dial(b"a", b" tur", drawn=shown[1], shown=shown), forbids)
    assert [(one.id, one.bytes, one.hidden) for one in filtered.candidates] == [
        (1, b"", True),
        (2, b"", True),
        (3, b"key", False),
        (4, b"\xe2\x82", False),
    ]
    assert (filtered.drawn.id, filtered.drawn.bytes, filtered.drawn.hidden) == (2, b"", True)
    assert {(one.before, one.after) for one in filtered.candidates} == {(0.5, 0.25)}


def test_forbidden_words_in_the_prompt_and_end_tokens_hide_nothing() -> None:
    shown = (candidate(1, b" soup"), candidate(2, b"turnip", ends=True))
    filtered = token_filter.filter_dial(dial(b"turnip", drawn=shown[0], shown=shown), forbids)
    assert filtered.candidates == shown


def test_forbidden_alternatives_to_tokens_of_an_answer_are_hidden() -> None:
    tokens = (
        Token("a tur", 0.5, (LikelyToken("a tur", 0.5), LikelyToken("turnips", 0.25), LikelyToken("", 0.125))),
        Token("key", 0.5, (LikelyToken("key", 0.5), LikelyToken("nip", 0.25), LikelyToken("tle", 0.125))),
    )
    first, second = token_filter.filter_tokens(tokens, forbids)
    assert first.likely == (LikelyToken("a tur", 0.5), LikelyToken("", 0.25, hidden=True), LikelyToken("", 0.125))
    assert second.likely == (LikelyToken("key", 0.5), LikelyToken("", 0.25, hidden=True), LikelyToken("tle", 0.125))
    assert "".join(token.text for token in (first, second)) == "a turkey"


def test_each_text_is_checked_once() -> None:
    checked: list[str] = []

    def recording(text: str) -> bool:
        checked.append(text)
        return forbids(text)

    tokens = (Token("a", 0.5, (LikelyToken("a", 0.5), LikelyToken("nip", 0.25))),) * 3
    token_filter.filter_tokens(tokens, recording)
    assert checked == ["nip", "anip", "aanip"]

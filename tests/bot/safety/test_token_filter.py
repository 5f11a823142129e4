"""Tokens that might come next, some of which no answer may hold."""

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


def test_a_candidate_is_hidden_that_is_forbidden_or_makes_a_word_that_is() -> None:
    shown = (candidate(1, b" turnip"), candidate(2, b"nip"), candidate(3, b"key"), candidate(4, b"\xe2\x82"))
    found = token_filter.filter_dial(dial(b"a", b" tur", drawn=shown[1], shown=shown), forbids)
    assert [(one.id, one.bytes, one.hidden) for one in found.candidates] == [
        (1, b"", True),
        (2, b"", True),
        (3, b"key", False),
        (4, b"\xe2\x82", False),
    ]
    assert (found.drawn.id, found.drawn.bytes, found.drawn.hidden) == (2, b"", True)
    assert {(one.before, one.after) for one in found.candidates} == {(0.5, 0.25)}


def test_what_stands_there_already_hides_nothing_after_it_and_an_end_is_none() -> None:
    shown = (candidate(1, b" soup"), candidate(2, b"turnip", ends=True))
    found = token_filter.filter_dial(dial(b"turnip", drawn=shown[0], shown=shown), forbids)
    assert found.candidates == shown


def test_what_was_likely_beside_tokens_of_an_answer_is_hidden_in_the_same_way() -> None:
    tokens = (
        Token("a tur", 0.5, (LikelyToken("a tur", 0.5), LikelyToken("turnips", 0.25), LikelyToken("", 0.125))),
        Token("key", 0.5, (LikelyToken("key", 0.5), LikelyToken("nip", 0.25), LikelyToken("tle", 0.125))),
    )
    first, second = token_filter.filter_tokens(tokens, forbids)
    assert first.likely == (LikelyToken("a tur", 0.5), LikelyToken("", 0.25, hidden=True), LikelyToken("", 0.125))
    assert second.likely == (LikelyToken("key", 0.5), LikelyToken("", 0.25, hidden=True), LikelyToken("tle", 0.125))
    assert "".join(token.text for token in (first, second)) == "a turkey"


def test_what_was_likely_again_and_again_is_looked_at_once() -> None:
    asked: list[str] = []

    def noting(text: str) -> bool:
        asked.append(text)
        return forbids(text)

    tokens = (Token("a", 0.5, (LikelyToken("a", 0.5), LikelyToken("nip", 0.25))),) * 3
    token_filter.filter_tokens(tokens, noting)
    assert asked == ["nip", "anip", "aanip"]

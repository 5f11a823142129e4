import json
import random
from collections import Counter
from pathlib import Path

import pytest

from model_server.training.moderation.texts import (
    SLOT,
    WRITTEN_FOLDER,
    Example,
    add_pieces,
    add_typo,
    fill_template,
    read_measured_prompts,
    read_questions,
    read_written,
    to_chat_spelling,
)

DATA = Path(__file__).parents[3] / "data"
CATEGORIES = {"fine", "harassment", "hate", "self-harm", "sexual", "violence", "illicit"}


def test_the_same_seed_gives_the_same_examples_with_every_brace_filled() -> None:
    examples = read_written()
    assert examples == read_written()
    assert examples != read_written(seed=1)
    assert not [example.text for example in examples if SLOT.search(example.text)]


def test_every_category_is_there_and_the_harmless_ones_are_the_most() -> None:
    counts = Counter(example.category for example in read_written())
    assert set(counts) == CATEGORIES
    assert min(counts.values()) > 300
    assert counts.most_common(1)[0][0] == "fine"


def test_a_text_has_one_category() -> None:
    found: dict[str, set[str]] = {}
    for example in read_written():
        found.setdefault(example.text, set()).add(example.category)
    assert not [text for text, categories in found.items() if len(categories) > 1]


def test_words_of_one_file_stand_in_braces_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[slots]\nanimal = ["cat"]\n[texts]\nfine = ["a dog"]\n')
    (tmp_path / "b.toml").write_text('[slots]\nlook = ["small {animal}"]\n[texts]\nhate = ["a {look} bites"]\n')
    examples = {(example.text, example.category) for example in read_written(tmp_path)}
    assert {("a dog", "fine"), ("a small cat bites", "hate")} <= examples


def test_a_slot_that_nobody_declared_is_noticed() -> None:
    with pytest.raises(KeyError, match="nothing"):
        fill_template("a {nothing}", {}, random.Random(0))


def test_a_mistyped_text_is_nearly_the_text() -> None:
    chance = random.Random(0)
    for _ in range(50):
        wrong = add_typo("photosynthesis", chance)
        assert abs(len(wrong) - 14) <= 1
        assert sum((Counter("photosynthesis") - Counter(wrong)).values()) <= 1


def test_measured_prompts_are_learnt_with_their_category_and_those_for_rules_are_not(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    rows = [("go away", "attack", "bullying"), ("Ann on a horse", "attack", "real_person"), ("hi", "fine", "plain")]
    path.write_text("".join(f"{json.dumps(dict(zip(('text', 'label', 'kind'), row, strict=True)))}\n" for row in rows))
    assert read_measured_prompts([path]) == [Example("go away", "harassment"), Example("hi", "fine")]


def test_each_piece_of_an_ordinary_text_is_ordinary_and_an_attack_stays_whole() -> None:
    long = [Example("One day. It rained.", "fine"), Example("You there. Go away.", "harassment")]
    assert [one.text for one in add_pieces(long)] == [long[0].text, "One day.", "It rained.", long[1].text]


def test_haste_changes_the_spelling_alone() -> None:
    assert to_chat_spelling("What are you, and why? I don't know!") == "wat r you, n why? i dont kno"


def test_questions_are_ordinary_and_count_once(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"question": "What is a GAN?"}\n{"question": "What is a GAN?"}\n')
    assert read_questions([path]) == [Example("What is a GAN?", "fine")]


def test_what_safety_is_measured_with_was_not_copied() -> None:
    written = "\n".join(path.read_text("utf-8") for path in WRITTEN_FOLDER.glob("*.toml")).casefold()
    held_out = [
        line for end in (3, 4) for line in (DATA / f"safety_held_out_{end}.jsonl").read_text("utf-8").splitlines()
    ]
    long = [text for line in held_out if len(text := json.loads(line)["text"].casefold()) > 40]
    assert long
    assert not [text for text in long if f'"{text}"' in written]

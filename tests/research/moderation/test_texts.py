"""The training texts of the head are reproducible, labelled and free of held-out prompts."""

import json
import random
from collections import Counter
from pathlib import Path

from research import DATA
from research.moderation.texts import (
    SLOT,
    WRITTEN_FOLDER,
    Example,
    add_pieces,
    add_typo,
    read_measured_prompts,
    read_questions,
    read_written,
    to_chat_spelling,
)

CATEGORIES = {"fine", "harassment", "hate", "self-harm", "sexual", "violence", "illicit"}


def test_the_same_seed_gives_the_same_examples_with_every_brace_filled() -> None:
    examples = read_written()
    assert examples == read_written()
    assert examples != read_written(seed=1)
    assert not [example.text for example in examples if SLOT.search(example.text)]


def test_every_category_has_examples_and_most_are_harmless() -> None:
    counts = Counter(example.category for example in read_written())
    assert set(counts) == CATEGORIES
    assert min(counts.values()) > 300
    assert counts.most_common(1)[0][0] == "fine"


def test_a_text_has_one_category() -> None:
    categories_of_text: dict[str, set[str]] = {}
    for example in read_written():
        categories_of_text.setdefault(example.text, set()).add(example.category)
    assert not [text for text, categories in categories_of_text.items() if len(categories) > 1]


def test_words_of_one_file_fill_braces_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[slots]\nanimal = ["cat"]\n[texts]\nfine = ["a dog"]\n')
    (tmp_path / "b.toml").write_text('[slots]\nlook = ["small {animal}"]\n[texts]\nhate = ["a {look} bites"]\n')
    examples = {(example.text, example.category) for example in read_written(tmp_path)}
    assert {("a dog", "fine"), ("a small cat bites", "hate")} <= examples


def test_a_typo_changes_at_most_one_letter() -> None:
    random_source = random.Random(0)
    for _ in range(50):
        wrong = add_typo("photosynthesis", random_source)
        assert abs(len(wrong) - 14) <= 1
        assert sum((Counter("photosynthesis") - Counter(wrong)).values()) <= 1


def test_measured_prompts_get_their_category_except_those_for_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    rows = [("go away", "attack", "bullying"), ("Ann on a horse", "attack", "real_person"), ("hi", "fine", "plain")]
    path.write_text("".join(f"{json.dumps(dict(zip(('text', 'label', 'kind'), row, strict=True)))}\n" for row in rows))
    assert read_measured_prompts([path]) == [Example("go away", "harassment"), Example("hi", "fine")]


def test_only_ordinary_texts_are_added_in_pieces() -> None:
    long = [Example("One day. It rained.", "fine"), Example("You there. Go away.", "harassment")]
    assert [one.text for one in add_pieces(long)] == [long[0].text, "One day.", "It rained.", long[1].text]


def test_chat_spelling_changes_only_the_spelling() -> None:
    assert to_chat_spelling("What are you, and why? I don't know!") == "wat r you, n why? i dont kno"


def test_questions_are_ordinary_and_count_once(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"question": "What is a GAN?"}\n{"question": "What is a GAN?"}\n')
    assert read_questions([path]) == [Example("What is a GAN?", "fine")]


def test_held_out_prompts_were_not_copied_into_the_training_texts() -> None:
    written = "\n".join(path.read_text("utf-8") for path in WRITTEN_FOLDER.glob("*.toml")).casefold()
    held_out = [
        line for end in (3, 4) for line in (DATA / "safety" / f"held_out_{end}.jsonl").read_text("utf-8").splitlines()
    ]
    long = [text for line in held_out if len(text := json.loads(line)["text"].casefold()) > 40]
    assert long
    assert not [text for text in long if f'"{text}"' in written]

"""The embedding engine, compared with the plain model that it runs."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.embedding import TEXTS_PER_STEP
from model_server.engines.factory import create
from model_server.jobs import Embed, Event, Faces, Failed, Finished, Job, Progress, Started, Vectors

Run = Callable[..., list[Event]]
TEXTS = ("the cat", "a much longer text about a cat that sat on a mat", "zebra")


@pytest.fixture(scope="module")
def engine(loaded: Callable[..., Engine], bert: Path) -> Engine:
    return loaded("embedding", bert)


def embed(*texts: str, name: str = "a") -> Job:
    return Job(id=name, model="tiny", task=Embed(texts=texts))


def vectors_of(events: list[Event], name: str = "a") -> list[tuple[float, ...]]:
    (found,) = [event.vectors for event in events if isinstance(event, Vectors) and event.job == name]
    return list(found)


def test_a_vector_is_the_mean_over_the_tokens_scaled_to_length_one(
    engine: Engine, run: Run, bert: Path, word_piece: PreTrainedTokenizerFast
) -> None:
    model = AutoModel.from_pretrained(bert)
    for text, vector in zip(TEXTS, vectors_of(run(engine, embed(*TEXTS))), strict=True):
        with torch.inference_mode():
            mean = model(input_ids=torch.tensor([word_piece(text).input_ids])).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((mean / mean.norm()).tolist(), abs=1e-5)
        assert math.hypot(*vector) == pytest.approx(1)


def test_usage_counts_the_tokens_that_were_read(engine: Engine, run: Run, word_piece: PreTrainedTokenizerFast) -> None:
    tokens = sum(len(word_piece(text).input_ids) for text in TEXTS)
    events = run(engine, embed(*TEXTS))
    assert events[0] == Started("a", tokens)
    assert events[-1] == Finished("a", "stop", tokens)


def test_the_name_of_a_special_token_is_read_as_text(
    engine: Engine, run: Run, word_piece: PreTrainedTokenizerFast
) -> None:
    assert len(word_piece("[PAD]").input_ids) == 1
    # The brackets, and the letters between them.
    assert run(engine, embed("[PAD]"))[0] == Started("a", 3)


def test_only_the_beginning_of_a_long_text_is_read(engine: Engine, run: Run) -> None:
    events = run(engine, embed("x " * 500, "x " * 64))
    assert vectors_of(events)[0] == pytest.approx(vectors_of(events)[1], abs=1e-5)
    assert events[-1] == Finished("a", "stop", 128)


def test_many_texts_take_several_steps_and_keep_their_order(engine: Engine, run: Run) -> None:
    words = [chr(97 + place % 26) * (1 + place // 26) for place in range(2 * TEXTS_PER_STEP + 5)]
    events = run(engine, embed(*words))
    assert [event.step for event in events if isinstance(event, Progress)] == [TEXTS_PER_STEP, 2 * TEXTS_PER_STEP]
    many = vectors_of(events)
    assert len(many) == len(words)
    for place in (0, TEXTS_PER_STEP, 2 * TEXTS_PER_STEP + 4):
        assert many[place] == pytest.approx(vectors_of(run(engine, embed(words[place])))[0], abs=1e-5)


def test_a_single_text_does_not_wait_for_a_long_list(engine: Engine) -> None:
    engine.add(embed(*["cat"] * 100, name="long"))
    engine.step()
    engine.add(embed("dog", name="short"))
    events = [event for event in engine.step() if event.job == "short"]
    assert [type(event) for event in events] == [Started, Vectors, Finished]
    engine.remove("long")


def test_with_all_slots_taken_each_job_embeds_a_text_in_each_step(engine: Engine) -> None:
    for place in range(engine.capacity):
        engine.add(embed("cat", "dog", name=str(place)))
    engine.step()
    assert sum(isinstance(event, Finished) for event in engine.step()) == engine.capacity


def test_a_removed_job_causes_no_events(engine: Engine) -> None:
    engine.add(embed(*["cat"] * 100))
    engine.step()
    engine.remove("a")
    engine.remove("unknown")
    engine.add(embed("new", name="b"))
    engine.remove("b")
    assert engine.step() == []


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (embed(), "nothing to embed"),
        (embed("cat", " \n"), "Text 2 of 2 is empty"),
        (embed("cat\ud800"), "half a surrogate pair"),
        (Job(id="a", model="tiny", task=Faces(seed=1)), "only turns texts into vectors"),
    ],
)
def test_bad_input_fails_that_job_alone(engine: Engine, run: Run, job: Job, sentence: str) -> None:
    events = run(engine, job, embed("fine", name="b"))
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.job, failed.status) == ("a", 400)
    assert sentence in failed.message
    assert vectors_of(events, "b")


@pytest.mark.weights
def test_real_vectors_of_similar_texts_are_similar(weights: Callable[[str], EngineSpec], run: Run) -> None:
    engine = create(weights("all-minilm-l6-v2"))
    engine.load()
    texts = ("A cat sits on the mat.", "A kitten is resting on the rug.", "Interest rates rose last quarter.")
    cat, kitten, rates = map(torch.tensor, vectors_of(run(engine, embed(*texts))))
    assert len(cat) == 384
    assert cat @ kitten > 0.5
    assert cat @ kitten > cat @ rates + 0.4


def test_a_model_for_many_languages_is_loaded_and_reads_its_prefix(
    loaded: Callable[..., Engine], run: Run, tmp_path: Path
) -> None:
    """As multilingual E5 and MiniLM: BERT's layers with the pieces of a SentencePiece unigram model."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581query:", -1.0), ("\u2581", -2.0)]
    backend = Tokenizer(models.Unigram([*pieces, *((letter, -3.0) for letter in "kläranío")], unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")
    tokenizer.save_pretrained(tmp_path)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(
        BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, initializer_range=0.4, **sizes)
    ).save_pretrained(tmp_path)
    plain = loaded("embedding", tmp_path)
    (expected, other) = vectors_of(run(plain, embed("query: klär", "klär")))
    prefixed = loaded("embedding", tmp_path, prefix="query: ")
    # The texts differ in length, so the shorter one is padded, with a token that is not the first.
    (found, _) = vectors_of(run(prefixed, embed("klär", "klaranío lo")))
    assert found == pytest.approx(expected, abs=1e-5)
    assert found != pytest.approx(other, abs=1e-2)

"""The real models, computed from the blocks of their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.engines.language import divergence
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from model_server.assembly import GGUF_FILE
from model_server.engines.contract import EngineSpec
from model_server.engines.language.runners.packed import PackedRunner, RunnerUnavailable
from model_server.engines.language.runners.runner import Chunk

TEXT = """\
A computer stores a picture as a grid of small squares, called pixels. Each pixel has a colour, and each \
colour is written as three numbers: how much red, how much green and how much blue it has. If every \
number is kept in eight bits, it can be anything from 0 to 255, and there are about sixteen million \
colours to choose from. A photograph of four thousand by three thousand pixels therefore needs thirty-six \
million bytes, which is a lot to send to a friend. That is why pictures are compressed. A simple way is \
to say how often the same colour follows itself: instead of writing white a hundred times, one writes \
"one hundred times white". This works well for drawings, and badly for photographs.

def compress(row):
    result = []
    for pixel in row:
        if result and result[-1][1] == pixel:
            result[-1][0] += 1
        else:
            result.append([1, pixel])
    return result

Die Hauptstadt von Frankreich ist Paris, und die von Spanien ist Madrid. Wer von der einen in die andere \
fahren will, braucht mit dem Zug etwa zehn Stunden. Photographs are compressed in another way. The \
picture is cut into blocks of eight by eight pixels, and each block is described by waves: slow ones for \
soft changes, fast ones for fine detail. The eye sees the slow waves well and the fast ones badly, so the \
fast ones can be stored with less precision, or not at all. What is lost is hardly missed, and the file \
becomes ten times smaller. The same idea, with a different kind of wave, is used for music. In both cases \
the trick is to know who will look or listen in the end, and to keep only what matters."""


@pytest.mark.weights
def test_the_real_model_keeps_its_quality(
    weights: Callable[[str], EngineSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    place = weights("qwen2.5-coder-0.5b-instruct").folder
    text = tuple(AutoTokenizer.from_pretrained(place)(TEXT)["input_ids"])
    runner = open_runner(place, 2)
    found = torch.cat([runner.forward([Chunk(0, at, (token,))]) for at, token in enumerate(text)])
    assert torch.equal(runner.forward([Chunk(1, 0, text)])[0], found[-1])
    unpacked = GgufConfig(dequantize=True)
    model: Any = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=GGUF_FILE, quantization_config=unpacked, dtype=torch.float32
    )
    with torch.inference_mode():
        expected = model.eval()(torch.tensor([text])).logits[0]
    loss = divergence(expected, found).mean()
    agreement = (expected.argmax(-1) == found.argmax(-1)).float().mean()
    with capsys.disabled():
        print(f"\n{len(text)} tokens: KL to float32 {loss:.5f} nats, the same best token for {agreement:.2%}")
    assert loss <= 0.003
    assert agreement >= 0.98


@pytest.mark.weights
def test_the_larger_model_knows_what_everybody_knows(larger_language_model: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(larger_language_model)
    runner = open_runner(larger_language_model, 1)
    question = [{"role": "user", "content": "How many legs does a spider have?"}]
    tokens = tokenizer(tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)).input_ids
    logits, answer = runner.forward([Chunk(0, 0, tuple(tokens))]), list[int]()
    for place in range(len(tokens), len(tokens) + 8):
        answer.append(int(logits[0].argmax()))
        logits = runner.forward([Chunk(0, place, (answer[-1],))])
    assert "eight legs" in tokenizer.decode(answer)


def open_runner(folder: Path, slots: int) -> PackedRunner:
    """Return the C++ runner; the test is skipped where it cannot run."""
    try:
        return PackedRunner(folder, slots, 1024, 2)
    except RunnerUnavailable as why:
        pytest.skip(f"{why}")

"""The divergence of the real model with 8-bit weights."""

from collections.abc import Callable

import pytest
import torch
from fakes.engines.language import divergence
from transformers import AutoModelForCausalLM, AutoTokenizer

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
    try:
        runner = PackedRunner(place, 2, 1024, 2)
    except RunnerUnavailable as why:
        pytest.skip(f"{why}")
    found = torch.cat([runner.forward([Chunk(0, at, (token,))]) for at, token in enumerate(text)])
    assert torch.equal(runner.forward([Chunk(1, 0, text)])[0], found[-1])
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = model(torch.tensor([text])).logits[0]
    loss = divergence(expected, found).mean()
    agreement = (expected.argmax(-1) == found.argmax(-1)).float().mean()
    with capsys.disabled():
        print(f"\n{len(text)} tokens: KL to float32 {loss:.5f} nats, the same best token for {agreement:.2%}")
    assert loss <= 0.02
    assert agreement >= 0.97

"""Small random models in the formats that the engines read."""

import gc
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from fakes.engines.language import make_letter_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.factory import create
from model_server.jobs import Event, Failed, Finished, Job

CONTEXT = 1536
TEMPLATE = (
    "{% for message in messages %}{% if message.content == 'forbidden' %}{{ raise_exception('No such words here.') }}"
    "{% endif %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
TRAINING_TEXT = ["the cat sat on the mat and the other cat sat there", "über größere Bäume 🐉 stop here and now"] * 4


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Let torch use one thread: networks of this size are computed before a second one has started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def byte_level() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer like GPT-2's and Qwen's."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<|text|>", "<|start|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TRAINING_TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", chat_template=TEMPLATE)


@pytest.fixture(scope="session")
def sentence_piece() -> PreTrainedTokenizerFast:
    """A tokenizer like Llama 2's: words begin with U+2581, and unknown characters are spelled in bytes."""
    vocabulary_pieces = [
        "<unk>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *"▁acehinost",
        "▁c",
        "▁ca",
        "▁cat",
    ]
    merges = [("▁", "c"), ("▁c", "a"), ("▁ca", "t")]
    vocabulary = {piece: place for place, piece in enumerate(vocabulary_pieces)}
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")


@pytest.fixture(scope="session")
def word_piece() -> PreTrainedTokenizerFast:
    """A tokenizer like BERT's, which splits words into letters."""
    backend = make_letter_tokenizer()
    backend.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]")


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory, byte_level: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    config = Qwen2Config(
        vocab_size=len(byte_level) + 8,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        eos_token_id=byte_level.eos_token_id,
    )
    torch.manual_seed(1)
    model = Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = [byte_level.eos_token_id]
    model.save_pretrained(folder)
    byte_level.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, word_piece: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=len(word_piece),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    torch.manual_seed(2)
    BertModel(config).save_pretrained(folder)
    word_piece.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dcgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that draws 16 x 16 pixels from 12 numbers."""
    folder = tmp_path_factory.mktemp("dcgan")
    torch.manual_seed(3)
    widths = (12, 16, 8, 3)
    weights: dict[str, torch.Tensor] = {}
    for depth, (inputs, outputs) in enumerate(pairwise(widths)):
        weights[f"main.{3 * depth}.weight"] = torch.randn(inputs, outputs, 4, 4) / 4
        if depth < len(widths) - 2:
            norm = f"main.{3 * depth + 1}."
            weights[norm + "weight"] = torch.ones(outputs)
            weights[norm + "bias"] = torch.zeros(outputs)
            weights[norm + "running_mean"] = torch.zeros(outputs)
            weights[norm + "running_var"] = torch.ones(outputs)
            weights[norm + "num_batches_tracked"] = torch.tensor(5)
    torch.save({"netG_state_dict": weights}, folder / "weights.tar")
    return folder


@pytest.fixture(scope="session")
def loaded() -> Callable[..., Engine]:
    """`loaded(kind, folder, **options)`: an engine on the CPU in float32, ready for jobs."""

    kinds: set[str] = set()

    def build(kind: str, folder: Path, **options: int | str) -> Engine:
        spec = EngineSpec(name="tiny", engine=kind, folder=folder, device="cpu", dtype="float32", options=options)
        engine = create(spec)
        engine.load()
        if kind not in kinds:
            # Imported modules stay; without freezing, each garbage collection after running out of memory scans them.
            kinds.add(kind)
            gc.freeze()
        return engine

    return build


@pytest.fixture(scope="session")
def run() -> Callable[..., list[Event]]:
    """`run(engine, *jobs)`: all events until each job has ended."""

    def until_done(engine: Engine, *jobs: Job) -> list[Event]:
        for job in jobs:
            engine.add(job)
        events: list[Event] = []
        while _ended(events) < len(jobs):
            new: Sequence[Event] = engine.step()
            assert new, "a step with work to do returned no event"
            events += new
        return events

    return until_done


def _ended(events: list[Event]) -> int:
    return sum(isinstance(event, Finished | Failed) for event in events)

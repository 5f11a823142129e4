"""Makes a tiny random chat model and serves it as `transformers serve` does: `python tiny_transformers.py FOLDER PORT`.

It runs with the Python of the contract tests. While it serves, it ends when its standard input is closed. Without PORT
it only makes the model. In a folder whose name ends with “-vl” the model reads pictures.
"""

import os
import sys
import threading
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.cli.serve import Serve
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

END, START, PAD, IMAGE = "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<image>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)
PART = "{% for p in m.content %}{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}"
PICTURE_PIXELS, PATCH_PIXELS = 32, 8
SPREAD = 0.2
"""The standard deviation of weights, wide enough that what a model sees changes what it says."""


def write(folder: Path) -> None:
    """Write a model that says random bytes, with a token for each."""
    tokenizer = make_tokenizer(START)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    save(Qwen2ForCausalLM(configure(tokenizer, tie_word_embeddings=True)), folder)


def write_reader_of_pictures(folder: Path) -> None:
    """Write such a model that also reads pictures, each as 16 tokens."""
    tokenizer = make_tokenizer(START, IMAGE)
    shape = {"height": PICTURE_PIXELS, "width": PICTURE_PIXELS}
    LlavaProcessor(
        LlavaImageProcessorPil(size=shape, crop_size=shape),
        tokenizer,
        patch_size=PATCH_PIXELS,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("{{ m.content }}", PART),
    ).save_pretrained(folder)
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=PICTURE_PIXELS,
        patch_size=PATCH_PIXELS,
        initializer_range=SPREAD,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=configure(tokenizer, initializer_range=SPREAD),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
    )
    save(LlavaForConditionalGeneration(config), folder)


def make_tokenizer(*special: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each byte, and some special ones."""
    tokens = [*bytes_to_unicode().values(), PAD, END, *special]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, additional_special_tokens=list(special)
    )


def configure(tokenizer: PreTrainedTokenizerFast, **more: object) -> Qwen2Config:
    """Return the configuration of a language model with one small layer, and seed its weights."""
    torch.manual_seed(7)
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **more,
    )


def save(model: Qwen2ForCausalLM | LlavaForConditionalGeneration, folder: Path) -> None:
    """Write a model that draws from all of its tokens until it ends."""
    choice = model.generation_config
    choice.do_sample, choice.top_k, choice.eos_token_id = True, 0, model.config.get_text_config().eos_token_id
    model.save_pretrained(folder)


def end_with_the_test() -> None:
    """End this process as soon as standard input is closed."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    torch.set_num_threads(1)
    path = Path(sys.argv[1])
    (write_reader_of_pictures if path.name.endswith("-vl") else write)(path)
    if len(sys.argv) > 2:
        end_with_the_test()
        Serve(force_model=sys.argv[1], port=int(sys.argv[2]), host="127.0.0.1", device="cpu")

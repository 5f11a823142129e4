"""Makes a tiny random chat model and serves it as `transformers serve` does: `python tiny_transformers.py FOLDER PORT`.

It runs with the Python of the contract tests. While it serves, it ends when its standard input is closed. Without PORT
it only makes the model.
"""

import os
import sys
import threading
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.cli.serve import Serve
from transformers.convert_slow_tokenizer import bytes_to_unicode

END, START, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def write(folder: Path) -> None:
    """Write a model that says random bytes, with a token for each."""
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, PAD, START, END]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, additional_special_tokens=[START]
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=512,
        eos_token_id=tokens.index(END),
        pad_token_id=tokens.index(PAD),
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config.do_sample, model.generation_config.top_k = True, 0
    model.save_pretrained(folder)


def end_with_the_test() -> None:
    """End this process as soon as standard input is closed."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        end_with_the_test()
        Serve(force_model=sys.argv[1], port=int(sys.argv[2]), host="127.0.0.1", device="cpu")

from pathlib import Path

import pytest

from bot.config import loading as config
from bot.core.errors import ConfigError

FILE = """
[model_server]
enabled = false
[[upstreams]]
name = "ollama"
url = "http://127.0.0.1:11434/v1/"
[[upstreams]]
name = "hosted"
url = "https://api.example.com"
key_variable = "HOSTED_KEY"
models = { chat = ["small"] }
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder without the `.env` of a developer."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str) -> config.Config:
    Path("mine.toml").write_text(text)
    return config.load(Path("mine.toml"))


def test_upstreams_are_read_and_their_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(FILE)
    assert loaded.warnings == ("The variable HOSTED_KEY, which holds the key of the upstream “hosted”, is not set.",)
    Path(".env").write_text("HOSTED_KEY=from-file\n")
    assert load(FILE).upstreams[1].key == "from-file"
    monkeypatch.setenv("HOSTED_KEY", " from-environment ")
    loaded = load(FILE)
    ollama, hosted = loaded.upstreams
    assert (hosted.key, loaded.warnings) == ("from-environment", ())
    assert "from-environment" not in repr(loaded)
    assert (ollama.base, hosted.base) == ("http://127.0.0.1:11434/v1", "https://api.example.com/v1")
    assert (ollama.is_local, hosted.is_local) == (True, False)
    assert not loaded.starts_models


def test_they_can_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPERA_UPSTREAMS", '[{"name": "a", "url": "http://10.0.0.5:8000", "local": true}]')
    (upstream,) = config.load().upstreams
    assert upstream.is_local


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('key_variable = "sk-1234"', "it must be the name of an environment variable that holds the key, not the key"),
        ('key_varible = "KEY"', "has no “upstreams.0.key_varible”"),
        ('key_varible = "KEY"', "Did you mean “key_variable”?"),
        ('models = { talk = ["a"] }', "there is no task “talk”; there are chat, images, embeddings"),
        ('[[upstreams]]\nname = "a"\nurl = "http://127.0.0.1:2"', "two of them are called “a”"),
        ("at_once = 0", "“upstreams.0.at_once”"),
    ],
)
def test_a_mistake_is_explained_in_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f'[[upstreams]]\nname = "a"\nurl = "http://127.0.0.1:1"\n{line}\n')
    assert sentence in str(caught.value)
    assert "sk-1234" not in str(caught.value)

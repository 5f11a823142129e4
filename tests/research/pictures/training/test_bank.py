"""write_bank: what it writes is read again by ReferenceBank."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from model_server.engines.diffusion.references import ReferenceBank
from research.pictures.training.bank import BankThing, Origin, write_bank
from research.pictures.training.networks import Sizes, make_autoencoder

if TYPE_CHECKING:
    from research.pictures.training.text_encoder import TextEncoder


class Embedder:
    """Gives each text the vector of its first letter."""

    def embed(self, texts: list[str]) -> torch.Tensor:
        return torch.eye(128)[[ord(text[0]) for text in texts]]


def test_a_face_is_found_by_what_it_shows(tmp_path: Path) -> None:
    autoencoder = make_autoencoder(Sizes(autoencoder=(32, 8, 8), groups=4), 1).eval()
    drawing = (np.full((128, 128, 3), 200, np.uint8), Origin("round", "Ann", "MIT"))
    things = [
        BankThing(["dog"], drawings=[drawing]),
        BankThing(["nobody drew it"], expressions=["sad"]),
        BankThing(["unamused face"], drawings=[drawing, drawing], expressions=["jealous", "fed up"]),
    ]
    write_bank(things, autoencoder, cast("TextEncoder", Embedder()), tmp_path)
    bank = ReferenceBank(tmp_path, lambda _: torch.zeros(128))
    assert len(bank) == 3
    assert bank.interpret("a face that is fed up") == ("unamused face",)
    assert [one.thing for one in bank.find("a jealous dog", 2, "", 0)] == ["dog", "unamused face"]
    assert bank.interpret("a sad face") == ("a sad face",)

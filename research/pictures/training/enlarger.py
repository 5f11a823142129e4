"""Converts realesr-animevideov3 from ncnn: `python -m research.pictures.training.enlarger BIN FOLDER`."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from model_server.engines.diffusion.enlarger import FILE, NAME

SHA256 = "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"
"""Of realesr-animevideov3-x4.bin as it was released."""
NETWORK_NAME = "Real-ESRGAN animevideov3"
SCALE, CHANNELS, LAYERS = 4, 64, 16
HALF_PRECISION = 0x01306B47
"""ncnn's mark before weights that are stored in half precision."""


def convert(data: bytes, channels: int, layers: int, scale: int) -> dict[str, np.ndarray]:
    """Return the tensors of ncnn's file for this SRVGGNetCompact, each in the precision that it has there.

    The file has for each convolution its weights, marked and in half precision, and its biases in float32; after all
    but the last come the slopes of the PReLU, in float32. Raises ValueError for any other file.
    """
    tensors: dict[str, np.ndarray] = {}
    place = 0

    def read(count: int, dtype: str) -> np.ndarray:
        nonlocal place
        values = np.frombuffer(data, dtype, count, place)
        # Blobs begin at multiples of four bytes.
        place += -(-values.nbytes // 4) * 4
        return values

    shapes = [(channels, 3), *[(channels, channels)] * layers, (3 * scale * scale, channels)]
    for number, (outputs, inputs) in enumerate(shapes):
        if int.from_bytes(data[place : place + 4], "little") != HALF_PRECISION:
            raise ValueError(f"Convolution {number} is not in half precision.")
        place += 4
        tensors[f"body.{2 * number}.weight"] = read(outputs * inputs * 9, "<f2").reshape(outputs, inputs, 3, 3)
        tensors[f"body.{2 * number}.bias"] = read(outputs, "<f4")
        if number < len(shapes) - 1:
            tensors[f"body.{2 * number + 1}.weight"] = read(channels, "<f4")
    if place != len(data):
        raise ValueError(f"The file has {len(data)} bytes, but this network takes {place}.")
    return tensors


def main() -> int:
    """Convert the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin", type=Path, help="realesr-animevideov3-x4.bin")
    parser.add_argument("folder", type=Path, help="where to write the weights")
    options = parser.parse_args()
    data = options.bin.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        parser.error(f"{options.bin} is not realesr-animevideov3-x4.bin as it was released.")
    options.folder.mkdir(parents=True, exist_ok=True)
    save_file(convert(data, CHANNELS, LAYERS, SCALE), options.folder / FILE, {NAME: NETWORK_NAME})
    sys.stdout.write(f"{NETWORK_NAME} is in {options.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

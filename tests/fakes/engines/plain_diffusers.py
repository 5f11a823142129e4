"""Draws with a model's folder as the documentation of diffusers says, in a process without this project's code."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from fakes.programs.deployment import READY_SECONDS

DRAW = """
import sys
import numpy, torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
    pipeline.scheduler.config, algorithm_type="dpmsolver++", final_sigmas_type="zero"
)
# The inputs for drawings to look at stay empty.
unet, draw = pipeline.unet, pipeline.unet.forward
free = unet.config.in_channels - pipeline.vae.config.latent_channels
unet.register_to_config(in_channels=unet.config.in_channels - free)
unet.forward = lambda noisy, *more, **named: draw(torch.nn.functional.pad(noisy, (0, 0, 0, 0, 0, free)), *more, **named)
seed = torch.Generator().manual_seed(7)
drawn = pipeline("a red apple", num_inference_steps=5, guidance_scale=4.0, generator=seed, output_type="np").images[0]
assert not [name for name in sys.modules if name.partition(".")[0] in {"model_server", "bot"}]
numpy.save(sys.argv[2], drawn)
"""


def drawn_elsewhere(folder: Path, scratch: Path) -> np.ndarray:
    """Draw a red apple with seed 7, guidance 4 and 5 steps: rows of RGB pixels from 0 to 255, not rounded."""
    command = [sys.executable, "-c", DRAW, str(folder), str(scratch / "drawn.npy")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False, timeout=READY_SECONDS)
    assert done.returncode == 0, done.stderr
    drawn: np.ndarray = np.load(scratch / "drawn.npy") * 255
    return drawn

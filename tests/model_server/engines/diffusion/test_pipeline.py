"""What pipelines are seen to do with the guidance, those of models among them that are made for few steps."""

from collections.abc import Callable

import pytest
from fakes.engines.diffusion import difference, imagine, pictures

from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.jobs import Event, Picture

Run = Callable[..., list[Event]]
Open = Callable[..., PipelineEngine]


@pytest.mark.parametrize(
    ("name", "guidances", "guided_by"),
    [
        ("sd", (3.0,), "comparison"),
        ("sd", (0.0, 0.5, 1.0), "prompt"),
        ("sdxl", (3.0,), "comparison"),
        ("sdxl", (0.0, 1.0), "prompt"),
        ("sdxl-turbo", (0.0, 1.0), "prompt"),
        ("sd3", (3.0,), "comparison"),
        ("pixart", (3.0,), "comparison"),
        ("pixart", (1.0,), "prompt"),
        ("flux", (0.0, 3.5), "prompt"),
        ("flux-dev", (0.0, 1.0, 3.5), "input"),
        ("lcm", (0.0, 1.0, 8.0), "input"),
        ("z-image", (1.5, 3.0), "comparison"),
        ("z-image", (0.0, 0.5, 1.0), "prompt"),
    ],
)
def test_what_led_each_step_is_told(
    opened_as: Open, run: Run, name: str, guidances: tuple[float, ...], guided_by: str
) -> None:
    engine = opened_as(name)
    jobs = [imagine(str(guidance), guidance=guidance, count=2, steps=2) for guidance in guidances]
    told = [event.guided_by for event in run(engine, *jobs) if isinstance(event, Picture)]
    assert told == [guided_by] * 2 * len(jobs)


@pytest.mark.parametrize("name", ["sd", "flux", "flux-dev", "lcm"])
def test_the_guidance_changes_what_it_is_told_to_change(opened_as: Open, run: Run, name: str) -> None:
    weak, strong = [run(opened_as(name), imagine(guidance=guidance)) for guidance in (2.0, 20.0)]
    [told] = {event.guided_by for event in strong if isinstance(event, Picture)}
    assert (difference(pictures(weak)[0], pictures(strong)[0]) == 0) == (told == "prompt")


def test_guidance_counts_from_1_in_every_family(opened_as: Open, run: Run) -> None:
    engine = opened_as("z-image")
    usual = engine._pipeline._parameters["guidance_scale"].default
    assert engine._pipeline.can.guidance == usual + 1
    alone, stronger = [run(engine, imagine(guidance=guidance)) for guidance in (1.0, 8.0)]
    assert difference(pictures(alone)[0], pictures(run(engine, imagine(guidance=0.0)))[0]) == 0
    assert difference(pictures(alone)[0], pictures(stronger)[0]) > 1

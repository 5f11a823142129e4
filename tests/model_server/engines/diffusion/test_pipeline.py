"""How pipelines use the guidance, including models for few steps."""

from collections.abc import Callable

import pytest
from fakes.engines.diffusion import difference, make_job, pictures_of

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
def test_pictures_say_what_guided_them(
    open_family: Open, run: Run, name: str, guidances: tuple[float, ...], guided_by: str
) -> None:
    engine = open_family(name)
    jobs = [make_job(str(guidance), guidance=guidance, count=2, steps=2) for guidance in guidances]
    reported = [event.guided_by for event in run(engine, *jobs) if isinstance(event, Picture)]
    assert reported == [guided_by] * 2 * len(jobs)


@pytest.mark.parametrize("name", ["sd", "flux", "flux-dev", "lcm"])
def test_guidance_changes_a_picture_unless_the_prompt_alone_guides_it(open_family: Open, run: Run, name: str) -> None:
    weak, strong = [run(open_family(name), make_job(guidance=guidance)) for guidance in (2.0, 20.0)]
    [reported] = {event.guided_by for event in strong if isinstance(event, Picture)}
    assert (difference(pictures_of(weak)[0], pictures_of(strong)[0]) == 0) == (reported == "prompt")


def test_guidance_counts_from_1_in_every_family(open_family: Open, run: Run) -> None:
    engine = open_family("z-image")
    usual = engine._pipeline._parameters["guidance_scale"].default
    assert engine._pipeline.capabilities.guidance == usual + 1
    alone, stronger = [run(engine, make_job(guidance=guidance)) for guidance in (1.0, 8.0)]
    assert difference(pictures_of(alone)[0], pictures_of(run(engine, make_job(guidance=0.0)))[0]) == 0
    assert difference(pictures_of(alone)[0], pictures_of(stronger)[0]) > 1

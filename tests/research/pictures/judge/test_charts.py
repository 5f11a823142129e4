"""The chart and the sheets of the evaluation are drawn correctly."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from research.pictures.judge.charts import GAP, make_guidance_chart, make_sheet
from research.pictures.judge.evaluation import GuidanceScore

SVG = "{http://www.w3.org/2000/svg}"


def test_each_value_of_guidance_is_a_point_of_both_lines() -> None:
    chart = ElementTree.fromstring(
        make_guidance_chart([GuidanceScore(1, 0.2, 0.3), GuidanceScore(3, 0.4, 0.2), GuidanceScore(7, 0.8, 0.1)])
    )
    score, diversity = (
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in chart.iter(f"{SVG}polyline")
    )
    assert [x for x, _ in score] == [x for x, _ in diversity]
    # From 3 to 7 is twice as far as from 1 to 3; and what is less is further down.
    assert score[2][0] - score[1][0] == pytest.approx(2 * (score[1][0] - score[0][0]), abs=0.2)
    assert score[0][1] > score[1][1] > score[2][1]
    assert diversity[0][1] < diversity[1][1] < diversity[2][1]
    words = "".join(chart.itertext())
    assert all(text in words for text in ("0.20", "0.80", "0.30", "guidance", "diversity"))


def test_a_sheet_has_the_second_row_under_the_first() -> None:
    upper = np.stack([np.full((4, 4, 3), 10 * number, np.uint8) for number in range(3)])
    pixels = np.asarray(make_sheet(upper, upper + 100, columns=2))
    assert pixels.shape == (2 * (8 + GAP), 8, 3)
    assert (pixels[1, 1, 0], pixels[1, 5, 0], pixels[5, 1, 0], pixels[5, 5, 0]) == (0, 10, 100, 110)
    assert (pixels[8 + GAP + 1, 1, 0], pixels[8 + GAP + 5, 1, 0], pixels[8 + GAP + 1, 5, 0]) == (20, 120, 255)

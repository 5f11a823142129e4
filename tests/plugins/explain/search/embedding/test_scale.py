import numpy as np

from plugins.explain.search.embedding.scale import (
    REFERENCE_SCALE,
    REFERENCE_SIMILARITY,
    UNRELATED_SENTENCES,
    measure_scale,
    normalize,
)


def unrelated(draw: np.random.Generator, width: int = 384) -> np.ndarray:
    return normalize(draw.standard_normal((len(UNRELATED_SENTENCES), width)).astype(np.float32))


def squeeze(rows: np.ndarray) -> np.ndarray:
    """Return embeddings of length 1 as of a model whose cosines lie between 0.7 and 1."""
    common = np.zeros(rows.shape[1], np.float32)
    common[::2] = 1.6 / np.sqrt(len(common) / 2)
    return normalize(rows + common)


def test_similarities_of_a_narrow_cone_are_spread_again() -> None:
    draw = np.random.default_rng(0)
    one = normalize(draw.standard_normal((50, 384)).astype(np.float32))
    other = normalize(one + draw.standard_normal((50, 384)).astype(np.float32) * draw.random((50, 1)) / 10)
    before = (one * other).sum(axis=1)
    narrow = [squeeze(rows) for rows in (one, other)]
    assert (narrow[0] @ narrow[1].T).min() > 0.6
    scale = measure_scale(squeeze(unrelated(draw)))
    after = (scale.apply(narrow[0]) * scale.apply(narrow[1])).sum(axis=1)
    # Random directions have nothing in common, and the reference model's sentences a little.
    assert np.abs(after - before).max() < REFERENCE_SIMILARITY + 0.02
    first = scale.apply(narrow[0])
    assert abs((first @ first.T)[~np.eye(50, dtype=bool)].mean() - REFERENCE_SIMILARITY) < 0.06
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)


def test_a_model_whose_sentences_are_as_unlike_as_the_reference_models_keeps_its_embeddings() -> None:
    assert measure_scale(unrelated(np.random.default_rng(1))) is REFERENCE_SCALE
    rows = unrelated(np.random.default_rng(2))
    assert REFERENCE_SCALE.apply(rows) is rows


def test_a_model_that_tells_nothing_apart_gets_numbers_all_the_same() -> None:
    same = np.ones((len(UNRELATED_SENTENCES), 3), np.float32)
    assert np.isfinite(measure_scale(same).apply(same)).all()

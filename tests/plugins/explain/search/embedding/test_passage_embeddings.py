import numpy as np

from plugins.explain.lessons.passages import Passage
from plugins.explain.search.embedding.embedded_texts import text_groups
from plugins.explain.search.embedding.passage_embeddings import PassageEmbeddings
from plugins.explain.search.embedding.scale import REFERENCE_SCALE


def passage(*path: str, kind: str = "text") -> Passage:
    return Passage("Pets", path, None, "Text.", path[-1].lower(), kind)  # type: ignore[arg-type]


def test_an_overview_stands_for_the_passages_below_it() -> None:
    passages = [passage("Care", kind="overview"), passage("Care", "Food"), passage("Care", "Sleep")]
    rows = [np.eye(8)[2 * n] for n, one in enumerate(passages) for group in text_groups(one) for _ in group]
    embedded = PassageEmbeddings(passages, np.array(rows, np.float32), REFERENCE_SCALE)
    expected = np.eye(8)[[2, 2, 4]]
    expected[0] = (np.eye(8)[2] + np.eye(8)[4]) / 2**0.5
    assert np.allclose(embedded.passage_directions(), expected, atol=1e-6)

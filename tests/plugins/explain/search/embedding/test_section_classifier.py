import numpy as np

from plugins.explain.search.embedding.section_classifier import SectionClassifier

WIDTH = 30


def directions(sections: np.ndarray, seed: int) -> np.ndarray:
    """Directions that differ in everything; which section they belong to shows in the first number alone."""
    rows = np.random.default_rng(seed).standard_normal((len(sections), WIDTH))
    rows[:, 0] = np.where(sections == 0, 0.9, -0.9)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_shared_features_of_wordings_count_more_than_the_nearest_wording() -> None:
    known, asked = np.arange(200) % 2, np.arange(400) % 2
    rows, questions = directions(known, 0), directions(asked, 1)
    classifier = SectionClassifier(rows, known)
    found = np.array([classifier.score(rows @ question).argmax() for question in questions])
    nearest = known[(questions @ rows.T).argmax(axis=1)]
    assert np.mean(nearest == asked) < 0.85
    assert np.mean(found == asked) > 0.9


def test_a_question_unlike_all_wordings_belongs_to_no_section() -> None:
    rows = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    classifier = SectionClassifier(rows, np.array([0, 0, 1, 1]))
    assert np.allclose(classifier.score(rows @ rows[0]), [0.4, -0.4], atol=0.1)
    assert np.allclose(classifier.score(rows @ np.eye(4)[3]), [0, 0], atol=1e-6)

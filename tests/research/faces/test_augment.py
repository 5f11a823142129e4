"""The augmentation changes each picture in its own way, and lets gradients through."""

import torch

from research.faces.augment import augment


def pictures() -> torch.Tensor:
    return torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def augmented(seed: int) -> torch.Tensor:
    return augment(pictures(), torch.Generator().manual_seed(seed))


def test_the_seed_decides_the_changes() -> None:
    assert torch.equal(augmented(1), augmented(1))
    assert not torch.equal(augmented(1), augmented(2))


def test_each_picture_is_recoloured_and_shifted_in_its_own_way() -> None:
    striped = torch.zeros(8, 3, 64, 64)
    striped[:, :, :, 32] = 3
    changed = augment(striped, torch.Generator().manual_seed(1))
    columns = (changed - changed.flatten(1).median(dim=1).values[:, None, None, None]).abs().sum(dim=(1, 2))
    assert len(set(columns.argmax(dim=1).tolist())) > 3
    assert len({round(value, 3) for value in changed.flatten(1).max(dim=1).values.tolist()}) == 8


def test_a_square_of_each_picture_is_hidden() -> None:
    hidden = (augmented(1) == 0).all(dim=1).flatten(1).sum(dim=1)
    # From the quarter of a square at a corner to a whole square and the margin of a shift.
    assert all(12 * 12 <= count <= 24 * 24 + 2 * 6 * 64 for count in hidden.tolist())

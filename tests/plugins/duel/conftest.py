"""A model server that has the model with a forger and a detective."""

import pytest
from fakes.model_server.model_api import DUEL_MODEL, FakeModels


@pytest.fixture
def models(models: FakeModels) -> FakeModels:
    models.listed[DUEL_MODEL] = "faces"
    return models

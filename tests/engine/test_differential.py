"""The engine and the independent oracle agree on every random rule and every random fact."""

import pytest

from tests.engine.differential import differences


@pytest.mark.parametrize("seed", range(8))
def test_engine_and_oracle_agree(seed: int) -> None:
    compared, found = differences(seed, 3_000)
    assert compared >= 3_000
    assert found == []


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 120))
def test_engine_and_oracle_agree_at_length(seed: int) -> None:
    compared, found = differences(seed, 10_000)
    assert compared >= 10_000
    assert found == []

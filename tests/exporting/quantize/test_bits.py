from __future__ import annotations

import pytest

from swift.errors import ConfigError, SwiftError, UnknownNameError
from swift.exporting.quantize.bits import bits_of, is_symmetric

NAMES = [f"model.layers.{layer}.{part}" for layer in range(12) for part in ("self_attn.q_proj", "mlp.down_proj")]


def test_the_last_rule_that_matches_counts():
    bits = bits_of(["layers.0-1=8,down_proj=16", "layers.11=4"], NAMES, 4, (4, 8))
    assert bits["model.layers.0.self_attn.q_proj"] == 8
    assert bits["model.layers.1.self_attn.q_proj"] == 8
    assert bits["model.layers.1.mlp.down_proj"] == 16
    assert bits["model.layers.2.self_attn.q_proj"] == 4
    assert bits["model.layers.10.self_attn.q_proj"] == 4, "layers.1 is not layers.10"
    assert bits["model.layers.11.mlp.down_proj"] == 4
    assert list(bits) == NAMES
    assert set(bits_of([], NAMES, 8, (4, 8)).values()) == {8}


@pytest.mark.parametrize("rule", ["down_proj", "down_proj=", "=8", "down_proj=x", "layers.3-1=8", "a b=4", "q=8=4"])
def test_what_is_no_rule(rule):
    with pytest.raises(ConfigError) as error:
        bits_of([rule], NAMES, 4, (4, 8))
    assert "bits_rule" in error.value.message


def test_what_matches_nothing_and_bits_that_are_not_known():
    with pytest.raises(UnknownNameError) as error:
        bits_of(["down_prj=8"], NAMES, 4, (4, 8))
    assert "down_proj" in error.value.hint
    with pytest.raises(SwiftError, match="3 bits are not among 4, 8, 16"):
        bits_of(["down_proj=3"], NAMES, 4, (4, 8))


def test_zero_points_where_transformers_reads_them():
    assert not is_symmetric(None, [4, 4], experts=False)
    assert is_symmetric(None, [4, 8], experts=False)
    assert is_symmetric(None, [4], experts=True)
    assert is_symmetric(True, [4], experts=False)
    with pytest.raises(ConfigError, match="4 and 8 bits"):
        is_symmetric(False, [8, 4, 8], experts=False)
    with pytest.raises(ConfigError, match="mixtures of experts"):
        is_symmetric(False, [4], experts=True)

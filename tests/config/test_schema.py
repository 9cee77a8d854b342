"""Options as read off the fields."""

from __future__ import annotations

import pytest

from swift.config.option import Config, option
from swift.config.reference import ROOTS
from swift.config.schema import REQUIRED, table
from swift.config.sft import SftConfig
from swift.errors import UnknownNameError

TUNERS = tuple(
    "lora full freeze adalora ia3 vera boft oft fourierft loha lokr miss ln tokens prompt ptuning prefix longlora "
    "llamapro lisa adapter reft peft".split()
)


def test_an_option_carries_all_that_help_needs() -> None:
    rank, of_longlora = table(SftConfig).find("lora_rank")
    assert of_longlora.variant == "longlora"
    assert rank.path == ("tuner", "rank")
    assert rank.names == ("lora_rank", "tuner.rank")
    assert (rank.kind, rank.type, rank.default, rank.rule, rank.variant) == ("one", "INT", "8", "at least 1", "lora")
    (dtype,) = table(SftConfig).find("dtype")
    assert dtype.choices == ("auto", "bfloat16", "float16", "float32")
    (accumulation,) = table(SftConfig).find("batch.accumulation")
    assert accumulation.nullable
    assert not accumulation.textual


def test_tagged_union() -> None:
    options = table(SftConfig)
    assert options.unions == {("tuner",): TUNERS, ("model", "quantization"): ("none", "bnb", "hqq", "torchao")}
    (method,) = options.find("quant_method")
    assert method.key == "model.quantization.type"
    assert method.default == SftConfig().model.quantization.type == "none"
    assert {found.variant for found in options.find("quant_bits")} == {"bnb", "hqq", "torchao"}
    assert options.find("tuner_type")[0].default == SftConfig().tuner.type == "lora"
    with pytest.raises(UnknownNameError):
        options.find("tuner.rnk")


@pytest.mark.parametrize("root", ROOTS.values(), ids=lambda root: root.__name__)
def test_every_option_has_help(root: type[Config]) -> None:
    for found in table(root).options():
        assert found.help.endswith((".", ":")), found.key


def test_required_and_clashing_flags() -> None:
    class Required(Config):
        """A class with an option that has no default."""

        name: str = option(..., "Its name.")

    class Clash(Config):
        """Two options that claim one flag."""

        a: int = option(1, "One.", "same")
        b: int = option(2, "Two.", "same")

    assert table(Required).find("name")[0].default == REQUIRED
    with pytest.raises(ValueError, match="--same stands for a and for b"):
        table(Clash)

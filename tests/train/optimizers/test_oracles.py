"""The same numbers as the libraries' own plain use."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from tests.train.optimizers.nets import TOKENS, Net, built, config_of, equal, steps, weights

RATE = 1e-2


def by_hand(model: Net, optimizer: torch.optim.Optimizer, count: int) -> None:
    """Plain torch with the batches and rates of `steps`."""
    for number in range(count):
        ids = torch.randint(0, TOKENS, (64,), generator=torch.Generator().manual_seed(number))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1.0 - number / 100)
        model(ids).backward()
        optimizer.step()
        optimizer.zero_grad()


def halves(model: Net, chosen: Any) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Chosen matrices, other matrices, the rest."""
    named = list(model.named_parameters())
    return (
        [p for name, p in named if p.ndim == 2 and chosen(name)],
        [p for name, p in named if p.ndim == 2 and not chosen(name)],
        [p for _, p in named if p.ndim != 2],
    )


def inner(name: str) -> bool:
    return name.startswith("layers.")


def test_galore() -> None:
    library = pytest.importorskip("pytorch_optimizer")
    ours, theirs = Net(), Net()
    steps(ours, built(ours, config_of("galore"), RATE), range(20), RATE)
    low = {"rank": 8, "update_proj_gap": 7, "scale": 1.0, "projection_type": "std"}
    chosen, others, rest = halves(theirs, inner)
    groups = [
        {"params": chosen, "weight_decay": 0.1, **low},
        {"params": others, "weight_decay": 0.1},
        {"params": rest, "weight_decay": 0.0},
    ]
    by_hand(theirs, library.GaLore(groups, lr=RATE, betas=(0.9, 0.95), eps=1e-8), 20)
    assert equal(weights(ours), weights(theirs))


def test_muon() -> None:
    library = pytest.importorskip("pytorch_optimizer")
    ours, theirs = Net(), Net()
    head = list(ours.lm_head.parameters())
    steps(ours, built(ours, config_of("muon"), RATE, head=head), range(20), RATE)
    chosen, others, rest = halves(theirs, inner)
    groups = [
        {"params": chosen, "use_muon": True, "weight_decay": 0.1, "lr": RATE},
        {"params": others, "use_muon": False, "weight_decay": 0.1, "lr": RATE},
        {"params": rest, "use_muon": False, "weight_decay": 0.0, "lr": RATE},
    ]
    by_hand(theirs, library.Muon(groups, use_adjusted_lr=True, adamw_betas=(0.9, 0.95), adamw_eps=1e-8), 20)
    assert equal(weights(ours), weights(theirs))


def test_bitsandbytes_in_8_bits() -> None:
    library = pytest.importorskip("bitsandbytes")
    ours, theirs = Net(), Net()
    optimizer = built(ours, config_of("adamw_8bit"), RATE)
    steps(ours, optimizer, range(20), RATE)
    assert any(
        t.dtype == torch.uint8
        for state in optimizer.inners[0].state.values()
        for t in state.values()
        if isinstance(t, torch.Tensor)
    )
    matrices, _, rest = halves(theirs, lambda name: True)
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    by_hand(theirs, library.optim.AdamW8bit(groups, lr=RATE, betas=(0.9, 0.95), eps=1e-8), 20)
    assert equal(weights(ours), weights(theirs))


def test_adam_mini_is_adamw_where_a_block_is_one_weight() -> None:
    """With blocks of one element, a mean over the block is the element."""
    from swift.train.optimizers.adam_mini import AdamMini

    ours, theirs = (nn.Parameter(torch.randn(6, 1, generator=torch.Generator().manual_seed(0))) for _ in range(2))
    mini = AdamMini([{"params": [("weight", ours)]}], 1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    adamw = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for number in range(10):
        gradient = torch.randn(6, 1, generator=torch.Generator().manual_seed(number))
        for p, optimizer in ((ours, mini), (theirs, adamw)):
            p.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_adam_mini_shares_a_second_moment_in_a_head_and_in_a_row() -> None:
    model = Net()
    optimizer = built(model, config_of("adam_mini"), RATE)  # heads of 16 rows
    steps(model, optimizer, range(1), RATE)
    shapes = {name: tuple(optimizer.inners[0].state[p]["exp_avg_sq"].shape) for name, p in optimizer.named.items()}
    assert shapes["layers.0.self_attn.q_proj.weight"] == (64 // 16,)
    assert shapes["layers.0.mlp.0.weight"] == (128,)
    assert shapes["embed.weight"] == (TOKENS,)
    assert shapes["layers.0.norm.weight"] == (1,)


def test_apollo_with_all_rows_and_one_scale_steps_as_far_as_adam() -> None:
    """Along the gradient; and where a channel has one row, each element is Adam's own first step."""
    from swift.train.optimizers.apollo import Apollo

    gradient = torch.randn(1, 12, generator=torch.Generator().manual_seed(0))
    p = nn.Parameter(torch.zeros(1, 12))
    rules = {"betas": (0.9, 0.95), "eps": 1e-12, "weight_decay": 0.0}
    group = {"params": [("weight", p)], "rank": 1, "update_proj_gap": 5}
    optimizer = Apollo([group], 1e-2, scale=1.0, scale_type="channel", **rules)  # type: ignore[arg-type]
    p.grad = gradient.clone()
    optimizer.step()
    stretched = float(optimizer.state[p]["projection"].abs())
    torch.testing.assert_close(p.detach(), -1e-2 * gradient.sign() / stretched, rtol=1e-4, atol=1e-6)

    wide = torch.randn(6, 40, generator=torch.Generator().manual_seed(1))
    for shape in ((6, 40), (40, 6)):
        p = nn.Parameter(torch.zeros(shape))
        group = {"params": [("weight", p)], "rank": 3, "update_proj_gap": 5}
        optimizer = Apollo([group], 1e-2, scale=4.0, scale_type="tensor", **rules)  # type: ignore[arg-type]
        p.grad = wide.clone() if shape == (6, 40) else wide.T.clone()
        optimizer.step()
        step = p.detach() / -1e-2
        assert torch.nn.functional.cosine_similarity(step.flatten(), p.grad.flatten(), dim=0) > 0.9999
        # Adam's first step on the projection [3, 40] has a one in each place; sqrt(scale) doubles it.
        projected = optimizer.state[p]["projection"]
        small = projected @ wide
        expected = 2 * (3 * 40) ** 0.5 / float(small.norm()) * float(wide.norm())
        assert float(step.norm()) == pytest.approx(expected, rel=1e-3)


def test_apollo_does_not_let_updates_grow_by_more_than_a_hundredth() -> None:
    model = Net()
    optimizer = built(model, config_of("apollo_mini"), RATE)
    norms: list[dict[str, float]] = []
    for number in range(12):
        steps(model, optimizer, range(number, number + 1), RATE)
        state = optimizer.inners[0].state
        norms.append({name: float(state[p]["norm"]) for name, p in optimizer.named.items() if "norm" in state[p]})
    for before, after in itertools.pairwise(norms):
        assert before.keys() == after.keys()
        assert before
        assert all(after[name] <= 1.01 * before[name] * (1 + 1e-5) for name in before)


def test_badam_on_a_single_block_is_adamw_and_changes_blocks_in_turn() -> None:
    ours, theirs = Net(), Net()
    for model in (ours, theirs):
        model.requires_grad_(False)
        model.layers[1].requires_grad_(True)
    steps(ours, built(ours, config_of("badam"), RATE), range(12), RATE)
    steps(theirs, built(theirs, config_of("adamw"), RATE), range(12), RATE)
    for name, value in weights(ours).items():
        torch.testing.assert_close(value, weights(theirs)[name], rtol=1e-4, atol=1e-5)

    model = Net()
    optimizer = built(model, config_of("badam", options={"switch_every": 2, "order": "ascending"}), RATE)
    moved = []
    for number in range(8):
        before = weights(model)
        steps(model, optimizer, range(number, number + 1), RATE)
        changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
        moved.append({name.partition(".")[0] + name[6:9] * name.startswith("layers") for name in changed})
        # What has no turn keeps no moments.
        assert len(optimizer.inners[0].state) in (0, len(changed))
    assert moved == [*[{"embed"}] * 2, *[{"layers.0."}] * 2, *[{"layers.1."}] * 2, *[{"lm_head"}] * 2]


@pytest.mark.parametrize("name", ["apollo", "dash", "spam"])
def test_random_numbers_are_the_same_in_every_process(name: str) -> None:
    """Processes have different generators, for dropout; an optimizer that drew from them would part their weights."""
    pytest.importorskip("pytorch_optimizer")
    found = []
    for seed in (1, 2):
        model = Net()
        optimizer = built(model, config_of(name), RATE)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        steps(model, optimizer, range(6), RATE)
        assert torch.equal(torch.get_rng_state(), before), "and it leaves them as they were"
        found.append(weights(model))
    assert equal(*found)

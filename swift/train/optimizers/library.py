"""The optimizers of the library pytorch-optimizer that need no more than parameters and options. Only data."""

from __future__ import annotations

from typing import Any

from swift.train.optimizers.spec import Spec

_EXTRA = "optim"


def library_spec(name: str, **traits: Any) -> Spec:
    """A class of the library, with what is known of it."""
    return Spec(f"pytorch_optimizer:{name}", extra=_EXTRA, **traits)


_DECOUPLED = (
    "AdaBelief AdaBound AdaGC Adalite AdaMod AdamC AdamP AdamS AdamWSN AdaNorm AdaPNM AdaTAM Ano AvaGrad BCOS CAME "
    "DiffGrad EXAdam FAdam FlashAdamW Grams GrokFastAdamW Kate LaProp Lamb Lion MARS PNM RACS Ranger SGDP SGDSaI SGDW "
    "SOAP SignSGD SimplifiedAdEMAMix StableAdamW StableSPAM TAM Tiger VSGD Yogi"
).split()
"""Weight decay acts on the weights."""

_COUPLED = (
    "A2Grad ADOPT AccSGD AdaShift AdaSmooth Adai Adan AggMo Aida Amos ApolloDQN DualAdam FOCUS FTRL Fromage LARS "
    "MADGRAD MSVAG Nero NovoGrad PAdam PID QHAdam QHM ROSE SM3 SRMM SWATS SaRA ScalableShampoo Shampoo"
).split()
"""Weight decay is added to the gradient, or there is none, so that the default is 0."""

_DRAWING = "Alice Conda DASH Gravity SCION SCIONLight SPAM".split()
"""A step, or the first one, draws random numbers."""

_ADAPTING = "AdamG DAdaptAdaGrad DAdaptAdam DAdaptAdan DAdaptLion DAdaptSGD Prodigy".split()
"""The rate is found while training, from all parameters together; the given one is a factor."""

_AVERAGING = {
    "schedule_free_adamw": library_spec(
        "ScheduleFreeAdamW", defaults={"betas": (0.9, 0.95), "eps": 1e-8}, averages=True
    ),
    "schedule_free_radam": library_spec("ScheduleFreeRAdam", averages=True),
    "schedule_free_sgd": library_spec("ScheduleFreeSGD", decay=0.0, averages=True),
    "splus": library_spec("SPlus", averages=True),
}
"""Evaluated and saved are averages of the weights that are trained."""

PLAIN: dict[str, Spec] = {
    **{name.lower(): library_spec(name) for name in _DECOUPLED},
    **{name.lower(): library_spec(name, decay=0.0) for name in _COUPLED},
    **{name.lower(): library_spec(name, decay=0.0, draws=True) for name in _DRAWING},
    **{name.lower(): library_spec(name, decay=0.0, rate=1.0, joined=True) for name in _ADAPTING},
    **_AVERAGING,
    "ademamix": library_spec("AdEMAMix", defaults={"weight_decouple": True}),
}
"""By name: that of the class in small letters, or one that is easier to read."""

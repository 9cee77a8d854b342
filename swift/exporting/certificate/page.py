"""The certificate as a page to read."""

from __future__ import annotations

from swift.exporting.certificate.certificate import Certificate
from swift.exporting.certificate.measure import Measured

_MB = 1e6
_WORST = 8


def page(certificate: Certificate) -> str:
    """Markdown."""
    verdict = "passed" if certificate.passed else "FAILED"
    lines = [
        f"# Certificate: {verdict}",
        "",
        f"- made of: {certificate.source}",
        f"- weights: {certificate.result}",
        f"- measured by: {certificate.rows}",
        f"- by: {', '.join(f'{name} {version}' for name, version in sorted(certificate.versions.items()))}",
        "",
        *tables(certificate),
    ]
    return "\n".join([*lines, *_layers(certificate)]) + "\n"


def tables(certificate: Certificate) -> list[str]:
    """What was checked and what was measured, as lines of Markdown."""
    apart = certificate.distance
    return [
        "| check | | |",
        "|---|---|---|",
        *(f"| {check.name} | {'yes' if check.passed else '**no**'} | {check.detail} |" for check in certificate.checks),
        "",
        f"Over {apart.positions} predictions: KL divergence from the source {apart.mean_kl:.3g} nats in the mean, "
        f"{apart.max_kl:.3g} at most; the same token is likeliest in {apart.greedy_match:.1%}; "
        f"{apart.same_answers[0]} of {apart.same_answers[1]} greedy answers are the same token for token.",
        "",
        "| | source | result |",
        "|---|---:|---:|",
        *(f"| {name} | {left} | {right} |" for name, left, right in pairs(certificate.before, certificate.after)),
    ]


def pairs(before: Measured, after: Measured) -> list[tuple[str, str, str]]:
    """Name, source and result of each number, as it is shown."""
    return [
        ("weights, MB", f"{before.size_bytes / _MB:.1f}", f"{after.size_bytes / _MB:.1f}"),
        ("perplexity of the answers", f"{before.perplexity:.3f}", f"{after.perplexity:.3f}"),
        (
            "probability of the stop token at their end",
            _number(before.stop_probability),
            _number(after.stop_probability),
        ),
        ("greedy answers that stop", _of(before.stopped), _of(after.stopped)),
        ("tokens a second", _number(before.tokens_per_second), _number(after.tokens_per_second)),
        ("seconds to load", f"{before.load_seconds:.1f}", f"{after.load_seconds:.1f}"),
    ]


def _layers(certificate: Certificate) -> list[str]:
    if not certificate.blocks:
        return []
    lines = [
        "",
        "Relative error of what each decoder layer puts out: of its own, given the source's input; and in the model.",
        "",
        "| layer | its own | so far |",
        "|---:|---:|---:|",
        *(f"| {block.index} | {block.own:.4f} | {block.so_far:.4f} |" for block in certificate.blocks),
    ]
    worst = sorted(certificate.layers, key=lambda layer: -layer.output)[:_WORST]
    if worst:
        lines += ["", "Linear layers with the largest error, given the source's input:", "", "| layer | error |"]
        lines += ["|---|---:|", *(f"| {layer.name} | {layer.output:.4f} |" for layer in worst)]
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _of(pair: tuple[int, int]) -> str:
    return f"{pair[0]} of {pair[1]}" if pair[1] else ""

"""How a configuration field is declared: default, help text and familiar flag names, in one place."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Base of every configuration class: frozen, and strict about unknown keys."""

    # Validators are built at first use (`defer_build`), so that showing help costs only the import. For the same reason
    # modules with such classes go without `from __future__ import annotations`: pydantic would compile each annotation.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        defer_build=True,
        protected_namespaces=(),
    )


def option(default: Any, help: str, *flags: str, **rules: Any) -> Any:
    """Declare a field.

    Args:
        default: Its value when the user says nothing; `...` makes it required.
        help: One or two sentences, shown by `--help` and in the reference page.
        flags: Flat command-line names (without `--`) that users of other systems already know.
        rules: Bounds for pydantic's `Field`, such as `ge=1`.
    """
    if callable(default):
        return Field(default_factory=default, description=help, json_schema_extra={"flags": list(flags)}, **rules)
    return Field(default, description=help, json_schema_extra={"flags": list(flags)}, **rules)

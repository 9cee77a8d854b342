"""Shapes of rows: one function a shape, each from a row to a conversation or a text."""

from __future__ import annotations

from swift.data.shapes.registry import Shape, data_shapes, shape_functions

__all__ = ["Shape", "data_shapes", "shape_functions"]

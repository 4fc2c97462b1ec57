"""Captions for pictures and pictures for captions, by the million, as Dagster assets."""

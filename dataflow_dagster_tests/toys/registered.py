"""Registers the toys where this module is imported; a process finds it as an entry point."""

from dataflow_dagster.registry import register
from dataflow_dagster_tests.toys.models import Filmer, Namer, Painter, Shouter, Wanderer, Watcher

for toy in (Filmer, Namer, Painter, Shouter, Wanderer, Watcher):
    register("Toy")(toy)

"""``python -m dataflow_dagster``."""

from dataflow_dagster.cli.main import main

main()

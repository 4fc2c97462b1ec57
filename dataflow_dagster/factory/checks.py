"""Asset checks, answered in the step's own process."""

import dagster as dg

from dataflow_dagster.steps.manifest import Tally

FAILED_SHARE = "failed_share"


def failed_share_spec(asset: dg.AssetKey, max_failed: float | None) -> dg.AssetCheckSpec:
    """The check every model step has: warns of failed rows, stops above `max_failed`."""
    allowed = (
        "Warns where a row failed." if max_failed is None else f"Stops above {max_failed:.1%}."
    )
    return dg.AssetCheckSpec(
        FAILED_SHARE, asset=asset, blocking=max_failed is not None, description=allowed
    )


def failed_share(asset: dg.AssetKey, tally: Tally, max_failed: float | None) -> dg.AssetCheckResult:
    """The verdict on one run's rows."""
    share = tally.failed / tally.rows if tally.rows else 0.0
    too_many = max_failed is not None and share > max_failed
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(tally.kinds.items()))
    said = f"{tally.failed} of {tally.rows} rows failed here" + (f" ({kinds})" if kinds else "")
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=FAILED_SHARE,
        passed=not too_many and (tally.failed == 0 or max_failed is not None),
        severity=dg.AssetCheckSeverity.ERROR if too_many else dg.AssetCheckSeverity.WARN,
        description=said + (f", more than max_failed {max_failed:.1%}" if too_many else ""),
        metadata={"failed": tally.failed, "rows": tally.rows, "share": round(share, 6)},
    )

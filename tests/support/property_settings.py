"""How many examples the property tests of hostile input try. `HYPOTHESIS_PROFILE=thorough` tries many more."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
_SUPPRESSED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
settings.register_profile("hostile", deadline=None, database=None, derandomize=True, suppress_health_check=_SUPPRESSED)
settings.register_profile("hostile-thorough", deadline=None, database=None, suppress_health_check=_SUPPRESSED)


def examples(count: int, thorough: int) -> settings:
    """Try `count` examples, the same in every run. The thorough profile tries `thorough`, different in every run."""
    name, number = ("hostile-thorough", thorough) if THOROUGH else ("hostile", count)
    return settings(settings.get_profile(name), max_examples=number)

"""Whether other programs need the cores of an engine's threads: a decision that does not flicker.

Measured on two cores with a small model, in tokens a second: alone 149, and 45 with short spinning; beside one busy
program 1 to 40, and 45 with short spinning (docs/decisions/0033). So short spinning pays when others keep more than
half of a core busy that the engine wants too.

Invariant: an engine that computes nothing is not crowded by anybody new: who computes in between, such as another
model that is used in turn with it, is gone when it begins.
"""

from __future__ import annotations

CROWDED_CORES = 0.5
CALM_CORES = 0.3
# So many looks in a row decide: a short burst is over before the engine has lost much.
LOOKS = 2
# An engine that uses less computes nothing; one that is crowded out may get very little.
ACTIVE_CORES = 0.05


class Crowding:
    """One engine's view. `spare_cores` are those that its threads leave to others anyway."""

    def __init__(self, spare_cores: float) -> None:
        self._spare_cores = max(0.0, spare_cores)
        self._crowded_looks = 0
        self._calm_looks = 0
        self._was_active = False
        self.is_crowded = False

    def note(self, own_cores: float, others_cores: float) -> bool:
        """Take what the engine and others used since the last look; whether it is crowded from now on."""
        wanted = others_cores - self._spare_cores
        # In the look in which it begins, part of what others used was before that.
        is_active, self._was_active = self._was_active, own_cores >= ACTIVE_CORES
        is_active = is_active and self._was_active
        self._crowded_looks = self._crowded_looks + 1 if wanted >= CROWDED_CORES and is_active else 0
        self._calm_looks = self._calm_looks + 1 if wanted < CALM_CORES else 0
        if self._crowded_looks >= LOOKS:
            self.is_crowded = True
        elif self._calm_looks >= LOOKS:
            self.is_crowded = False
        return self.is_crowded

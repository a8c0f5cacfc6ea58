"""How far off a measured share may be."""

from math import sqrt

_Z = 1.959964  # two-sided 95 %


def wilson(share: float, number: int) -> tuple[float, float]:
    """The 95 % interval of a share seen in `number` independent cases (Wilson, JASA 22, 1927).

    It stays within 0 to 1 and keeps its width where every case agreed. For values between 0 and 1 that are no
    plain yes or no it is wider than need be: their variance is at most that of a yes or no of the same mean.
    """
    if number <= 0:
        return 0.0, 1.0
    spread = _Z * _Z / number
    centre = (share + spread / 2) / (1 + spread)
    half = sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)

"""What goes through a process at the moment, whichever settings it came under."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """Counts and states that outlive a reload of the settings."""

    in_flight: int = 0  # requests being answered
    of_tenant: Counter[str] = field(default_factory=Counter)  # likewise, where there are keys
    is_leaving: bool = False  # not ready any more; requests are still taken
    is_draining: bool = False  # requests are refused
    reloads: int = 0  # how often new settings took effect

    def has_share(self, tenant: str, most: int) -> bool:
        """Whether a tenant has no more in flight than its share of `most` among those that have anything.

        It is let in then although others have filled the house, so that nobody is kept out by them. What comes
        on top is bounded: with n tenants no more than `most` times 1/2 + 1/3 + ... + 1/n.
        """
        present = sum(number > 0 for number in self.of_tenant.values())
        return present > 0 and self.of_tenant[tenant] <= most // present

"""What goes through a process at the moment, whichever settings it came under."""

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Counts and states that outlive a reload of the settings."""

    in_flight: int = 0  # requests being answered
    is_leaving: bool = False  # not ready any more; requests are still taken
    is_draining: bool = False  # requests are refused

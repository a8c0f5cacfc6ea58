"""The share of samples that gave the winner's answer, against what a policy wants of it."""


def reaches(agreement: float, least: float) -> bool:
    """Whether it is at least so much, in the two decimals in which it is told: two of three reach 0.67.

    1 takes all of them: 399 of 400 are told as 1.00, and somebody did not agree.
    """
    return agreement >= least or (least < 1 and round(agreement, 2) >= least)

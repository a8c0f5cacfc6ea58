"""What all answers come to, as plain text."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.bulk.record import Answered
from gateway.calling.bootstrap import Rate, rate
from gateway.calling.shown import shortened

_QUESTION, _ANSWER, _WHY = 60, 40, 160  # characters
_VOTED_NOW = frozenset({"vote", "reference", "single"})


def agreement_of(answers: Sequence[Answered]) -> Rate | None:
    """The mean agreement of the questions that were voted on; their interval is over questions."""
    return rate(each.agreement for each in answers)


def summary(answers: Sequence[Answered], lines: int, show: int) -> str:
    """All of it. `lines` is how many there are in all, `show` the most to name of each kind."""
    return "\n".join(_lines(answers, lines, show)) + "\n"


def _lines(answers: Sequence[Answered], lines: int, show: int) -> Iterator[str]:
    final = [each for each in answers if each.is_final]
    missed = [each for each in answers if not each.is_final]
    left = lines - len(answers)
    parts = [f"{len(final)} of {lines} lines answered"]
    parts += [f"{len(missed)} without an answer"] if missed else []
    parts += [f"{left} not asked yet"] if left else []
    yield ", ".join(parts)
    mean = agreement_of(final)
    if mean is not None:
        yield (
            f"agreement    {mean.value:.3f} [{mean.low:.2f} {mean.high:.2f}] over {mean.prompts} questions"
            " (95 %, the question is the unit)"
        )
    if final:
        yield f"outcomes     {_counted(each.outcome or 'not voted on' for each in final)}"
        yield f"answered by  {_counted(each.source for each in final)}"
        yield from _spending(final)
    yield from _uncertain(final, show)
    if missed:
        yield ""
        yield "without an answer; the same command asks again"
        yield from (f"  {each.job.custom_id}: {_short(each.said, _WHY)}" for each in missed[:show])
        yield from _more(len(missed) - show)


def _spending(answers: Sequence[Answered]) -> Iterator[str]:
    """Tokens and samples. An answer from a pin, or from somebody else's vote, cost nothing here."""
    voted = [each for each in answers if each.source in _VOTED_NOW]
    shared = [each for each in answers if each.source not in _VOTED_NOW]
    spent, returned = sum(each.spent for each in voted), sum(each.returned for each in answers)
    early = sum(max(each.k - each.samples, 0) for each in voted)
    pinned = sum(each.k for each in shared)
    yield f"tokens       {spent} spent, {returned} returned (of answers)"
    yield (
        f"samples      {sum(each.samples for each in voted)} cast, {early + pinned} saved"
        f" ({early} by stopping early, {pinned} by pins and shared votes)"
    )


def _uncertain(answers: Sequence[Answered], show: int) -> Iterator[str]:
    """The questions that agreed least, those first."""
    parted = [each for each in answers if each.agreement is not None and each.agreement < 1]
    if not parted or not show:
        return
    parted.sort(key=lambda each: (each.agreement, -each.distinct))
    shown = parted[:show]
    name = max(len(each.job.custom_id) for each in shown)
    yield ""
    yield "least certain"
    for each in shown:
        yield (
            f"  {each.agreement:.2f}  {each.outcome:9}  {each.distinct} distinct of {each.samples:<2}"
            f"  {each.job.custom_id:{name}}  {_short(each.job.shown, _QUESTION)} -> {_ending(each.said)}"
        )
    yield from _more(len(parted) - show)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"  … and {number} more"


def _counted(words: Iterator[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in Counter(words).most_common())


def _short(text: str, length: int) -> str:
    return shortened(_plain(text), length)


def _ending(text: str) -> str:
    """The end of an answer: what is voted on stands there, if it does not fill it."""
    plain = _plain(text)
    return plain if len(plain) <= _ANSWER else "…" + plain[1 - _ANSWER :]


def _plain(text: str) -> str:
    """On one line, with nothing in it that a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))

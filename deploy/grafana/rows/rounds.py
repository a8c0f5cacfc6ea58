"""What votes look like: agreement, outcomes, where texts part, what became of samples."""

from deploy.grafana.kinds import Panel, buckets, lines, numbers, quantiles, rates_by
from deploy.grafana.promql import CHOSEN, RANGE, above, increase, mean, rate, share

_BY = "model, policy"
_CAST = rate("scg_samples_total", *CHOSEN, 'fate=~"ballot|spoiled"')

ROUNDS: list[Panel] = [
    numbers(
        "Rounds without a clear winner",
        "Ties, mere pluralities and rounds with too few ballots, among rounds of more than one sample, over all that "
        "is in view.",
        {
            "share": share(
                increase("scg_rounds_total", *CHOSEN, 'outcome=~"plurality|tie|no_quorum"', over=RANGE),
                increase("scg_rounds_total", *CHOSEN, 'outcome!="single"', over=RANGE),
            )
        },
        width=8,
    ),
    numbers(
        "Samples saved, in all",
        "Samples that the stop rules spared, over all that is in view: what a full vote would have cost on top.",
        {"samples": increase("scg_samples_saved_total", *CHOSEN, over=RANGE)},
        unit="short", decimals=0, width=8,
    ),
    numbers(
        "Rounds cut to one sample",
        "Rounds for which pressure left one sample of k (`shed`), over all that is in view. Their answers are not "
        "pinned. Often: the upstreams cannot carry the load, or `limits.max_samples_in_flight` is too low.",
        {
            "share": share(
                increase("scg_shed_rounds_total", *CHOSEN, over=RANGE),
                increase("scg_rounds_total", *CHOSEN, over=RANGE),
            )
        },
        width=8,
    ),
    buckets(
        "Agreement within a round",
        "The winner's votes among all votes cast, and how many rounds fell where. Dark at 1: unanimous. Dark at a "
        "half: the model is of two minds; vote more, or ask for an answer that is easier to compare.",
        "scg_round_agreement", *CHOSEN, unit="percentunit",
    ),
    lines(
        "Mean agreement",
        "The mean of the same, for each model and policy. It falls before outcomes change, so look here first.",
        {"{{model}} {{policy}}": mean("scg_round_agreement", *CHOSEN, by=_BY)},
        unit="percentunit",
    ),
    rates_by(
        "outcome",
        "Outcomes",
        "Rounds a second by how they ended. no_quorum: too few answers came, or none could be read; look at "
        "samples by fate and at the upstreams.",
        "scg_rounds_total", *CHOSEN,
    ),
    lines(
        "Rounds that saw more than one",
        "The share of rounds with different answers, and with different texts before answers are extracted. Texts "
        "far above answers: the chosen `answer` kind forgives wording. Both alike: it does not.",
        {
            "answers": above("1.0", "scg_round_distinct_answers", *CHOSEN),
            "texts": above("1.0", "scg_round_distinct_texts", *CHOSEN),
        },
        unit="percentunit",
    ),
    lines(
        "Distinct answers and texts in a round",
        "The mean number of different answers, and of different texts. 1 is the best there is.",
        {
            "answers": mean("scg_round_distinct_answers", *CHOSEN),
            "texts": mean("scg_round_distinct_texts", *CHOSEN),
        },
    ),
    buckets(
        "Where texts part",
        "Characters that two differing texts share before their first difference. Near 0: other wording from the "
        "start, as with sampling. Far in: a near-tie flipped late, as with batching.",
        "scg_divergence_characters", *CHOSEN,
    ),
    lines(
        "Margin",
        "Smallest gap between the log probabilities of a sample's best two tokens, where clients or `accept_margin` "
        "ask for it. Where it is near 0 the last bits of a logit decide.",
        quantiles("scg_margin", *CHOSEN, at=(0.1, 0.5)),
    ),
    rates_by(
        "fate",
        "Samples by fate",
        "ballot: voted. spoiled: no answer could be read in it; look at the answer kind. abstained: failed or too "
        "late; look at the upstreams. cancelled: not needed any more.",
        "scg_samples_total", *CHOSEN,
    ),
    lines(
        "Samples saved",
        "Of the full k, what was not cast because the outcome was certain without it.",
        {
            "saved": share(
                rate("scg_samples_saved_total", *CHOSEN),
                f"({rate('scg_samples_saved_total', *CHOSEN)} + {_CAST})",
            ),
        },
        unit="percentunit",
    ),
]  # fmt: skip

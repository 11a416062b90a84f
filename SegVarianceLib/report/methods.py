"""How each sentence and plot of a comparison was computed: plain words, the formula with its numbers, the source."""

from __future__ import annotations

from ..stats.comparison import Comparison
from ..stats.comparison_words import amount_of_d0, difference, signed_range
from ..stats.usual_tests import UsualTest
from ..stats.verdict import p_value, percent

Paragraphs = tuple[str, ...]

FALSE_ALARM_MAP = (
    "Each pair of trainings was tested over the cases, as if it were the only one there is. The line rises at p by the share "
    "of pairs that have that p; were all differences chance between cases, p values would be spread evenly (dashed).",
    "Pairs share trainings, so the lines are descriptions, without an interval.",
)
VARIANCE_PARTS = (
    "A single score (one training, one case) is split into what the case, the training and their combination add. Bars: each "
    "one's share; whiskers: 95 % intervals.",
    "Random-effects analysis of variance, method of moments, negative parts as 0; generalised confidence intervals from the "
    "mean squares' chi-square distributions (Weerahandi 1993).",
)
STRUCTURE_FOREST = (
    "Each structure by itself, as the main result was: the two-way t with its 95 % interval, and the four verdicts.",
    "Structures and further metrics are corrected together by Holm's method, their verdicts too; the intervals are not widened for "
    "it, so one may exclude 0 and still be 'not settled'.",
)
ERROR_RATIO = (
    "The same question on a relative scale: near 1, a small difference of scores may be a large part of what is still wrong.",
    "Ratio of the means of 1 minus score; interval by the two-way t on the errors divided by their means (delta method of the logarithm).",
)
CASE_DIFFERENCES = (
    "Dot: the mean of all trainings of the first recipe minus that of the second, on one case. Whisker: the middle 90 % of that "
    "difference over all pairs of single trainings, one of each recipe.",
)
RANKING = (
    "The study was redrawn 2 000 times: trainings and cases drawn anew together, with replacement, and the recipes ranked by "
    "their means each time. A rank's interval is the middle 95 % of them.",
    "Pigeonhole bootstrap (Owen 2007); agreement: Kendall's tau between this order and a redrawn one, on average.",
)


def of_verdict(c: Comparison) -> Paragraphs:
    holm = "" if c.p_holm is None else f" (over all pairs, by Holm: {p_value(c.p_holm)})"
    dealt = (
        ""
        if c.permutation_p is None
        else f" For these very cases, dealing the trainings to the recipes in all ways gives {p_value(c.permutation_p)} "
        "(exact permutation, Bosma 2023)."
    )
    return (
        "Two things could have come out otherwise: which patients were tested, and how lucky each training was. The interval "
        "counts both: it says where the difference would lie with other patients and other trainings.",
        f"Better: the whole 95 % interval is beyond {amount_of_d0(c)}. Better, but maybe too little: it is beyond 0. Equivalent: "
        f"the 90 % interval lies within ±{amount_of_d0(c)} (two one-sided tests at 5 %). Otherwise not settled.",
        f"Two-way t: standard error² = variance of the cases' differences / n + mean squares of seeds / (n k) − mean squares of the "
        f"residual / (n k), never below one of the first two. Standard error {c.standard_error:.4f}, {c.freedom:.1f} degrees of freedom "
        f"(Satterthwaite), {p_value(c.p)}{holm}; equivalence: {p_value(c.equivalence_p)}.",
        f"Beside it: redrawing trainings and cases together (pigeonhole bootstrap, Owen 2007) gives "
        f"{signed_range(difference(c, c.redrawn), c.metric)}.{dealt}",
        "Obuchowski and Rockette 1995; Gallas 2006; equivalence: Schuirmann 1987.",
    )


def of_once_more(c: Comparison) -> Paragraphs:
    return (
        f"Every training of {c.a.name} was set against every training of {c.b.name}, by their means over the cases, and the wins "
        "were counted, ties half.",
        "Wilson's interval, with the number of independent pairs that the spread over redrawn studies stands for "
        "(pigeonhole bootstrap, Owen 2007; Wilson 1927).",
    )


def of_cases(c: Comparison) -> Paragraphs:
    return (
        f"On each case, every training of {c.a.name} was set against every training of {c.b.name}; the shares of differences beyond "
        f"±{amount_of_d0(c)} were counted.",
        "Variance from structural components over cases and trainings of both (Sen 1960); Wilson's interval with the number of "
        "independent cases that it stands for, at most all.",
    )


def of_equal_trainings(c: Comparison) -> Paragraphs:
    return (
        "All pairs of trainings of the same recipe were compared by the tests that papers use, over the cases. They ask whether "
        "these two trainings differ, not whether the recipes do: hence the false alarms.",
        *(_usual(c, test) for test in c.usual),
    )


def _usual(c: Comparison, test: UsualTest) -> str:
    halves = test.averaged_false_alarms
    alarms = (
        "" if halves is None else f", and calls {percent(halves)} of random halves of one recipe's trainings different"
    )
    return (
        f"{test.name[0].upper()}{test.name[1:]}: of pairs with one training of each recipe, it would have called {c.a.name} better in "
        f"{percent(test.first_better)} and {c.b.name} in {percent(test.second_better)}. On the means of all trainings it gives "
        f"{p_value(test.averaged_p)}{alarms}."
    )


def of_failures(c: Comparison) -> Paragraphs:
    below = "" if c.metric.unit else ", or a score below 0.5"
    return (
        f"A failure is a structure that is missed or seen where there is none{below}. Shares of all trainings and cases.",
        "Wilson's interval on the number of cases, as if all trainings failed on the same (Wilson 1927).",
    )


def of_new_data(c: Comparison) -> Paragraphs:
    new = c.new_training_data
    if new is None:
        return ()
    return (
        "In cross-validation, trainings share most of their cases, so the difference would vary more with other cases to train on "
        "than it does from fold to fold.",
        f"Corrected resampled t: variance x (1/J + 1/(F − 1)) with F = {new.folds} folds and J = {new.repetitions:.0f} folds x trainings, "
        f"J − 1 degrees of freedom; {p_value(new.p)}.",
        "Nadeau and Bengio 2003.",
    )

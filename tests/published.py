"""Numbers that others published: small tables of facts with their sources, so that a plain clone proves the statistics.

test_published.py holds every fact against numpy, scipy and statsmodels alone; the tests of a module hold the module to
the facts. A fact is written with the digits its source printed, and is met within half a unit of the last one.
"""

from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace as Case

import numpy as np
import pytest


def printed(number: str, within: float | None = None):
    """A printed number to compare with: true to half a unit of its last digit, or `within` if the source is rougher."""
    half_a_digit = 0.5 * 10.0 ** Decimal(number).as_tuple().exponent
    return pytest.approx(float(number), rel=0, abs=within or 1.001 * half_a_digit)


def all_printed(numbers: str, within: float | None = None) -> list:
    return [printed(number, within) for number in numbers.split()]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Users of one variant: their number, and the mean and covariance (n - 1) of each column."""

    n: int
    mean: np.ndarray
    cov: np.ndarray


def moments(n: int, mean: list[float], lower: list[list[float]]) -> Moments:
    """Moments from the lower triangle of the covariance."""
    cov = np.zeros((len(mean), len(mean)))
    cov[np.tril_indices(len(mean))] = np.concatenate(lower)
    return Moments(n=n, mean=np.array(mean), cov=cov + np.tril(cov, -1).T)


# Means and ratios

WELCH = Case(
    source="GrowthBook, gbstats 0.8, tests/frequentist/test_tests.py: TestTwoSidedTTest",
    control={"n": 3407, "sum": 1396.87, "sum_squares": 52377.9767},
    treatment={"n": 3461, "sum": 2422.7, "sum_squares": 134698.29},
    difference=printed("0.29"),
    difference_ci=tuple(all_printed("0.04538 0.53462")),
    p_value=printed("0.02016"),
    lift=printed("0.70732"),
    lift_se=printed("0.37879"),  # by the delta method
)

USERS = Case(
    source="tea-tasting 2.0, make_users_data(rng=42, covariates=True): the users of its user guide",
    columns=("sessions", "orders", "revenue", "sessions_covariate", "orders_covariate", "revenue_covariate"),
    control=moments(
        n=2023,
        mean=[1.996045477014, 0.5304003954523, 5.241028175976, 1.992585269402, 0.5388037567968, 5.278512110727],
        lower=[
            [1.007897311482],
            [0.250367558439, 0.7437588405933],
            [2.367986263802, 7.146002357655, 93.06028756746],
            [0.9327105252993, 0.273964394625, 2.796570436518, 2.842180405065],
            [0.2667212809369, 0.5503776305425, 5.519465523336, 0.7562225797982, 1.054749705782],
            [2.383025765028, 5.079840012458, 67.97440276697, 7.705745638804, 10.51922937651, 172.6581712272],
        ],
    ),
    treatment=moments(
        n=1977,
        mean=[1.982802225594, 0.5730905412241, 5.730111279717, 1.993424380374, 0.50885179565, 4.720263024785],
        lower=[
            [0.9744004431529],
            [0.2446786834016, 0.7447815874459],
            [2.311869323639, 7.333083967652, 107.8525933074],
            [0.9735710672736, 0.2340334904028, 1.926615104573, 2.896211800073],
            [0.2086543325162, 0.4931532973323, 4.630297597472, 0.6673153205179, 0.9453922538341],
            [2.097671529779, 4.409763154311, 59.99167461646, 5.662926831641, 8.290331678677, 121.7750776636],
        ],
    ),
)

MEAN = Case(  # orders per user of USERS, without covariates
    source="tea-tasting 2.0, docs/user-guide.md: Mean('orders'), lift interval on the log scale",
    difference=printed("0.042690145772"),
    difference_ci=tuple(all_printed("-0.010800201598 0.096180493142")),
    p_value=printed("0.117731779987"),
    lift=printed("0.080486640164"),
    lift_ci=tuple(all_printed("-0.019515294044 0.190688006128")),
)

RATIO = Case(  # orders per session of USERS, without covariates
    source="tea-tasting 2.0, docs/user-guide.md: RatioOfMeans('orders', 'sessions')",
    control=printed("0.266"),
    treatment=printed("0.289"),
    lift=printed("0.088"),
    p_value=printed("0.0762"),
)

CUPED = Case(  # of USERS; theta pooled over both variants
    source="tea-tasting 2.0, docs/user-guide.md: the table of CUPED",
    p_value={
        "sessions": printed("0.603"),
        "orders_per_session": printed("0.00229"),
        "orders": printed("0.00733"),
        "revenue": printed("0.00674"),
    },
    lift_ci={
        "sessions": tuple(all_printed("-0.032 0.019")),
        "orders_per_session": tuple(all_printed("0.042 0.21")),
        "orders": tuple(all_printed("0.029 0.20")),
        "revenue": tuple(all_printed("0.038 0.26")),
    },
)

COOKIE_CATS = Case(  # players who came back after seven days: control has the gate at level 30, treatment at 40
    source="Cookie Cats (Tactile Entertainment), counted from the public table of 90,189 players",
    control={"n": 44_700, "retained": 8_502},
    treatment={"n": 45_489, "retained": 8_279},
    difference=printed("-0.00820"),
    difference_ci=tuple(all_printed("-0.0133 -0.0031")),
    p_value=printed("0.00155", within=1e-5),  # z with the pooled variance; Welch's is .00156
    srm_p_value=printed("0.0086"),
)

# Sample ratio

SRM = {  # users of two variants planned as halves: p of Pearson's chi-squared
    "Fabijan and others 2019; Kohavi, Tang and Xu 2020, chapter 3": ((821_588, 815_482), printed("1.8e-6")),
    "Wikipedia, Sample ratio mismatch": ((600, 400), printed("2.54e-10")),
    "Vermeer, SRM frequently asked questions": ((502, 498), printed("0.899")),
}
SRM_YATES = Case(  # USERS again, with Yates's correction
    source="tea-tasting 2.0, docs/user-guide.md: SampleRatio", counts=(2023, 1977), p_value=printed("0.477")
)

# Several metrics

BENJAMINI_HOCHBERG_1995 = Case(
    source="Benjamini and Hochberg 1995, the worked example; rejections at 5%",
    p_values=[
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
    ],
    rejected_by={"nothing adjusted": 9, "Benjamini-Hochberg": 4, "Bonferroni": 3, "Hochberg": 3},
)

ADJUSTED = Case(
    source="R, multtest::mt.rawp2adjp, as kept in the tests of statsmodels (res_multtest3)",
    p_values=[0.001, 0.002, 0.003, 0.004, 0.005, 0.05, 0.06, 0.07, 0.08, 0.09],
    holm=all_printed("0.010 0.018 0.024 0.028 0.030 0.250 0.250 0.250 0.250 0.250"),
    benjamini_hochberg=all_printed("0.010 0.010 0.010 0.010 0.010 0.0833333 0.0857143 0.0875 0.0888889 0.090"),
)

# Planning: users per variant unless it says total, two-sided alpha 5% unless it says one-sided

PLANNING = Case(
    two_proportions=Case(
        source="R, stats::power.prop.test, whose root finder stops there",
        rates=(0.5, 0.75),
        power=0.9,
        users=printed("76.70692", within=1e-5),
    ),
    mean_total=Case(
        source="G*Power, in the tests of spotify/confidence; rounded up by variant",
        difference=0.3,
        variance=100,
        power=0.85,
        users=printed("39906", within=2),
    ),
    proportion_total=Case(
        source="G*Power, in the tests of spotify/confidence; rounded up by variant",
        rates=(0.34, 0.343),
        power=0.85,
        users=printed("897348", within=2),
    ),
    power=Case(source="Stata, in the tests of statsmodels", rates=(0.001, 0.015), users=550, power=printed("0.74156")),
    noninferiority=Case(
        source="Chow, Shao and Wang, through powerandsamplesize.com; rounded up",
        rates=(0.65, 0.85),
        margin=0.1,
        power=0.8,
        users=25,
    ),
)

# Looks before the end, equally spaced, two-sided alpha 5%

OBRIEN_FLEMING_SPENDING = Case(
    source="Lan-DeMets spending of O'Brien-Fleming shape: ldBounds and gsDesign (sfLDOF)",
    boundaries=[
        all_printed("2.9626 1.9686"),
        all_printed("3.7103 2.5114 1.9930"),
        all_printed("4.8769 3.3569 2.6803 2.2898 2.0310", within=2e-4),  # 3.3570 by a finer grid
    ],
)
POCOCK_SPENDING = Case(
    source="Lan-DeMets spending of Pocock shape: ldBounds and gsDesign (sfLDPocock)",
    boundaries=[all_printed("2.157 2.201"), all_printed("2.438 2.427 2.410 2.397 2.386")],
)
CLASSICAL = (
    Case(  # five looks; Pocock's constant holds for each, O'Brien and Fleming's over the root of its information
        source="Pocock 1977; O'Brien and Fleming 1979", pocock=printed("2.413"), obrien_fleming=printed("2.040")
    )
)
PEEKING = Case(  # chance of a false alarm when each look is read at a plain 5%
    source="Armitage, McPherson and Rowe 1969",
    looks=[1, 2, 3, 4, 5, 10, 20, 50],
    rejects=all_printed("0.050 0.083 0.107 0.126 0.142 0.193 0.248 0.320"),
)

# Bayesian readings

BETA_BINOMIAL = Case(  # clicks of users, Jeffreys's prior Beta(.5, .5); the source drew at random
    source="spotify/confidence, tests/bayesian/test_betabinomial.py",
    control=(42, 104),
    treatment=(500, 1009),
    chance_to_be_better=printed("0.962782", within=0.002),
    loss_of_treatment=printed("0.000767784", within=1e-4),
    loss_of_control=printed("0.091504838", within=5e-4),
)
NORMAL_LIFT = Case(  # clicks of users, flat prior on the lift, whose error is that of the delta method
    source="GrowthBook, gbstats 0.8, tests/bayesian/test_tests.py: TestBinom",
    control=(49, 100),
    treatment=(51, 100),
    chance_to_be_better=printed("0.60918"),
    lift_ci=tuple(all_printed("-0.24779 0.32943")),
    loss_of_control=printed("0.0814"),
    loss_of_treatment=printed("0.04058"),
)

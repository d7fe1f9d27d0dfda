"""What a test says when the slate of the other variant is known too: the counterfactual A/B estimate.

Under the position model (Craswell and others 2008) an item's clicks are its examination times its appeal. A click on an
item at position i of control's slate and j of the treatment's then counts theta_i / D for control and theta_j / D for
the treatment, D = (1 - p) theta_i + p theta_j with p the share of users in treatment: items at the same place in both
slates cancel, and every user speaks for both variants (Sakhi, Gilotte and Rohde 2025; Saito and others 2026).
Examination is estimated from the same test, by items that the variants show at different positions (intervention
harvesting; Agarwal and others 2019). A gate holds the estimate against the plain one, which needs no click model
(Hausman 1978).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.effects import adjust_p_values
from recab_helpers.analysis.metrics import CTR
from recab_helpers.analysis.statistics import bonferroni, t_critical, t_tail, welch_freedom
from recab_helpers.brief import Brief
from recab_helpers.formats import lift, lift_interval
from recab_helpers.impressions.aggregates import Aggregates
from recab_helpers.impressions.both_slates import AFTER, CONTROL_ONLY, DIFFERING, TREATMENT_ONLY, places
from recab_helpers.impressions.statistics import PRE, ByVariant, SufficientStatistics
from recab_helpers.references import CONTROL, Comparison

GATE_ALPHA = 0.05  # of the gate: one healthy test in twenty is read by its plain estimate only
TOLD = 10  # times the low end of an interval, beyond which examination of a position is not told
STEPS, CLOSE = 100, 1e-10  # of Newton's method


@dataclass(frozen=True, kw_only=True)
class Examination(Brief):
    """How likely each position is examined, against the first of them, with intervals by users.

    Left out are positions that no chain of moved items joins with the first, and those with an interval wider than a
    factor of TOLD.
    """

    position: np.ndarray  # (n,), the first is what the others are held against
    theta: np.ndarray  # (n,)
    low: np.ndarray  # (n,)
    high: np.ndarray  # (n,)


@dataclass(frozen=True, kw_only=True)
class BothSlates(Brief):
    """Three readings of the goal of one treatment: the plain one, the triggered one, and that by both slates.

    `triggered` counts only clicks at or below the first position where a user's slates differ, and needs no click
    model. `gate_p` tests that `both` and the plain estimate differ by chance. `same` is the share of clicks on items
    that stood at the same place in both slates.
    """

    plain: Effect
    triggered: Effect
    both: Effect
    examination: Examination
    gate_p: float
    same: float

    @property
    def holds(self) -> bool:
        """Whether the reading by both slates may be trusted."""
        return self.gate_p >= GATE_ALPHA

    def in_words(self) -> str:
        """The lift by both slates, and the gate."""
        e = self.both
        return f"both slates: {lift(e.lift)} ({lift_interval(e.lift_ci)}), gate p {self.gate_p:.3f}"


def read_goal_by(reading: str, effects: list[Effect], test: Aggregates) -> list[Effect]:
    """The effects, those on CTR as the goal read by both slates where that was chosen (`reading`) and may be done.

    It may while the gate holds and no heavy user is capped; else the plain effect stays. Control's value is as it was
    counted, and the difference is the lift of it. p-values are adjusted anew.
    """
    if reading != "both_slates":
        return effects
    return adjust_p_values([_sharper(e, test) if e.metric.role == "goal" else e for e in effects])


def _sharper(plain: Effect, test: Aggregates) -> Effect:
    by = test.both_slates.get(plain.comparison.variant)
    found = by and _read(by[CONTROL], by[plain.comparison.variant], plain.comparison, plain.alpha)
    if plain.metric.columns != CTR.columns or not found or not found.holds or test.users.caps or not found.both.defined:
        return plain
    both, level = found.both, plain.control
    low, high = both.lift_ci
    return replace(
        both,
        metric=plain.metric,
        control=level,
        treatment=level * (1 + both.lift),
        difference=level * both.lift,
        difference_ci=(level * low, level * high),
        se=level * both.log_se,
    )


def read_both_slates(by_treatment: dict[str, ByVariant], *, alpha: float = 0.05) -> dict[str, BothSlates]:
    """The readings of CTR by treatment, from `Aggregates.both_slates`; what has no clicks on both sides is left out.

    Counts from before the test are taken out of each of the three, as in CUPED, where there are any. The gate asks two
    things: the plain estimate and that by both slates differ by chance, and of a user's requests with the same item at
    the top, those where it was clicked have no fewer clicks below. By Bonferroni, in half of GATE_ALPHA each.
    """
    found = {v: _read(of[CONTROL], of[v], Comparison(v), alpha) for v, of in by_treatment.items()}
    return {v: reading for v, reading in found.items() if reading is not None}


def _read(
    control: SufficientStatistics, treatment: SufficientStatistics, comparison: Comparison, alpha: float
) -> BothSlates | None:
    arms = (control, treatment)
    if any(s.n < 2 or not (s.sum("clicks") > 0 and s.sum("impressions") > 0) for s in arms):
        return None
    readings = {"plain": _plain(arms), "triggered": _triggered(arms)}
    log_theta, influence, positions = harvest(control, treatment)
    readings["both"] = _both(arms, log_theta, influence, positions)
    adjusted = {name: _adjusted(arms, *reading) for name, reading in readings.items()}
    effects = {name: _effect(name, arms, *adjusted[name], comparison, alpha) for name in adjusted}
    moved = [c for c in control.columns if places(c)]
    elsewhere = sum(s.sum(c) for s in arms for c in (CONTROL_ONLY, TREATMENT_ONLY, *moved))
    return BothSlates(
        **effects,
        examination=_examination(arms, log_theta, influence, positions, alpha),
        gate_p=bonferroni([_gap(arms, adjusted["both"], adjusted["plain"]), fewer_after(arms)]),
        same=1 - elsewhere / sum(s.sum("clicks") for s in arms),
    )


def harvest(
    control: SufficientStatistics, treatment: SufficientStatistics
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], list[int]]:
    """Log examination of every position that an item moved to or from, mean zero among those that are connected.

    Of the clicks on items at i in control and j in treatment, the share that falls in treatment has the odds
    (theta_j N_treatment) / (theta_i N_control), N the impressions: the model of Bradley and Terry (1952), fitted by
    Newton's method. Also what one click, or one impression, of a user of control and of treatment adds to the estimate,
    (n_positions, n_columns), and the positions.
    """
    cells = {c: place for c in control.columns if (place := places(c))}
    positions = sorted({k for place in cells.values() for k in place})
    none = np.zeros((len(positions), len(control.columns)))
    if not cells:
        return np.zeros(0), (none, none), positions
    at = [control.columns.index(c) for c in cells]
    step = np.zeros((len(cells), len(positions)))  # +1 at the place in treatment, -1 at that in control
    for row, (i, j) in enumerate(cells.values()):
        step[row, positions.index(i)], step[row, positions.index(j)] = -1, 1
    in_control, in_treatment = (s.n * s.mean[at] for s in (control, treatment))
    shown = control.sum("impressions"), treatment.sum("impressions")
    both, offset, eta = in_control + in_treatment, math.log(shown[1] / shown[0]), np.zeros(len(positions))
    ridge = 1e-6 * np.eye(len(positions))  # keeps finite what clicks in one variant alone would send away
    for _ in range(STEPS):
        share = special.expit(step @ eta + offset)
        score = step.T @ (in_treatment - share * both) - ridge @ eta
        information = step.T @ (step * (share * (1 - share) * both)[:, None]) + ridge
        change = np.linalg.pinv(information, hermitian=True) @ score
        eta += change * min(1.0, 2 / max(float(np.abs(change).max()), 1e-300))
        if np.abs(change).max() < CLOSE:
            break
    inverse, by_click = np.linalg.pinv(information, hermitian=True, rcond=1e-9), (none.copy(), none.copy())
    by_click[0][:, at] = inverse @ (-share[:, None] * step).T
    by_click[1][:, at] = inverse @ ((1 - share)[:, None] * step).T
    by_offset = inverse @ step.T @ (share * (1 - share) * both)
    for side, of, n in zip((1, -1), by_click, shown, strict=True):
        of[:, control.columns.index("impressions")] = side * by_offset / n
    return eta, by_click, positions


Arms = tuple[SufficientStatistics, SufficientStatistics]
Reading = tuple[float, np.ndarray, tuple[float, float]]  # log lift, derivative by both variants' means, both values


def _plain(arms: Arms) -> Reading:
    """Log lift of the two ratios, its derivative by both variants' column means, and both values."""
    (c, c_grad), (t, t_grad) = (s.gradient(CTR.columns) for s in arms)
    return math.log(t / c), np.array([-c_grad / c, t_grad / t]), (c, t)


def _triggered(arms: Arms) -> Reading:
    """Clicks above the first difference are the same in both variants, so that all users tell their rate."""
    share = np.array([s.n for s in arms]) / sum(s.n for s in arms)
    clicks, impressions, differing = (arms[0].columns.index(c) for c in (*CTR.columns, DIFFERING))
    shown = sum(w * s.mean[impressions] for w, s in zip(share, arms, strict=True))
    common = sum(w * (s.mean[clicks] - s.mean[differing]) for w, s in zip(share, arms, strict=True)) / shown
    (c, c_grad), (t, t_grad) = (s.gradient((DIFFERING, "impressions")) for s in arms)
    c, t = common + c, common + t
    if not (c > 0 and t > 0):
        return math.nan, np.full((2, len(arms[0].columns)), math.nan), (c, t)
    by_common = np.zeros((2, len(arms[0].columns)))
    by_common[:, clicks], by_common[:, differing] = (share / shown), -(share / shown)
    by_common[:, impressions] = -share * common / shown
    gradient = by_common * (1 / t - 1 / c)
    gradient[0] -= c_grad / c
    gradient[1] += t_grad / t
    return math.log(t / c), gradient, (c, t)


def _both(arms: Arms, log_theta: np.ndarray, by_click: tuple[np.ndarray, np.ndarray], positions: list[int]) -> Reading:
    """Every click counted for both variants; that examination is estimated enters the derivative."""
    columns = arms[0].columns
    share = np.array([s.n for s in arms]) / sum(s.n for s in arms)
    shown = [s.mean[columns.index("impressions")] for s in arms]
    p = share[1]
    total = sum(w * s.mean / i for w, s, i in zip(share, arms, shown, strict=True))  # per impression
    for_control, for_treatment = np.zeros(len(columns)), np.zeros(len(columns))
    clicks = columns.index("clicks")
    for_control[clicks] = for_treatment[clicks] = 1.0  # what stood at the same place; the rest is corrected for below
    for_control[columns.index(CONTROL_ONLY)], for_treatment[columns.index(CONTROL_ONLY)] = p / (1 - p), -1.0
    for_control[columns.index(TREATMENT_ONLY)], for_treatment[columns.index(TREATMENT_ONLY)] = -1.0, (1 - p) / p
    slope = np.zeros((2, len(positions)))  # of both values by log examination
    for at, column in enumerate(columns):
        if place := places(column):
            i, j = (positions.index(k) for k in place)
            r = math.exp(log_theta[j] - log_theta[i])
            d = (1 - p) + p * r
            for_control[at], for_treatment[at] = 1 / d - 1, r / d - 1
            slope[0, [i, j]] += np.array([1, -1]) * p * r / d**2 * total[at]
            slope[1, [i, j]] += np.array([-1, 1]) * (1 - p) * r / d**2 * total[at]
    c, t = float(for_control @ total), float(for_treatment @ total)
    if not (c > 0 and t > 0):
        return math.nan, np.full((2, len(columns)), math.nan), (c, t)
    by_arm = []
    for w, s, i, moved in zip(share, arms, shown, by_click, strict=True):
        counted = for_treatment / t - for_control / c
        gradient = w * counted / i + s.n * (slope[1] / t - slope[0] / c) @ moved
        gradient[columns.index("impressions")] -= w * float(counted @ s.mean) / i**2
        by_arm.append(gradient)
    return math.log(t / c), np.array(by_arm), (c, t)


def _gap(arms: Arms, one: Reading, other: Reading) -> float:
    """p of the hypothesis that two readings of the same users differ by chance."""
    variances = [_variance(s, a - b) for s, a, b in zip(arms, one[1], other[1], strict=True)]
    if not sum(variances) > 0:
        return 1.0
    return 2 * t_tail(abs(one[0] - other[0]) / math.sqrt(sum(variances)), _freedom(variances, arms))


def fewer_after(arms: Sequence[SufficientStatistics]) -> float:
    """p of the hypothesis that a click at the top does not lower the clicks below it, one-sided.

    Users are in these groups by their column AFTER; nan where no user has two requests that tell.
    """
    at, n = arms[0].columns.index(AFTER), sum(s.n for s in arms)
    value = sum(s.n * s.mean[at] for s in arms) / n
    se = math.sqrt(sum(s.n * max(s.cov[at, at], 0.0) for s in arms)) / n
    return t_tail(-value / se, n - 1) if se > 0 else math.nan


def _adjusted(arms: Arms, value: float, gradient: np.ndarray, levels: tuple[float, float]) -> Reading:
    """The log lift less what the difference of the variants before the test explains, at least variance."""
    before = tuple(f"{PRE}{c}" for c in CTR.columns)
    if not set(before) <= set(arms[0].columns) or not math.isfinite(value):
        return value, gradient, levels
    whole = arms[0] + arms[1]
    level, by_level = whole.gradient(before)
    if not math.isfinite(level):
        return value, gradient, levels
    apart = np.array([-by_level, by_level])
    cov, var = (
        sum(float(a @ s.cov @ b) / s.n for s, a, b in zip(arms, apart, other, strict=True))
        for other in (gradient, apart)
    )
    if not var > 0:
        return value, gradient, levels
    factor = cov / var
    difference = float(by_level @ (arms[1].mean - arms[0].mean))
    return value - factor * difference, gradient - factor * apart, levels


def _variance(s: SufficientStatistics, gradient: np.ndarray) -> float:
    return max(float(gradient @ s.cov @ gradient) / s.n, 0.0)


def _freedom(variances: list[float], arms: Arms) -> float:
    return welch_freedom(variances[0], arms[0].n, variances[1], arms[1].n)


METHODS = {"plain": "as counted", "triggered": "clicks from the first difference on", "both": "both slates"}


def _effect(
    name: str,
    arms: Arms,
    value: float,
    gradient: np.ndarray,
    levels: tuple[float, float],
    comparison: Comparison,
    alpha: float,
) -> Effect:
    """The reading as an effect on CTR, its interval on the log scale."""
    adjusted = any(c.startswith(PRE) for c in arms[0].columns)
    effect = Effect(
        metric=CTR,
        comparison=comparison,
        method=METHODS[name] + (", CUPED" if adjusted else ""),
        alpha=alpha,
        n_control=arms[0].n,
        n_treatment=arms[1].n,
        control=levels[0],
        treatment=levels[1],
    )
    variances = [_variance(s, g) for s, g in zip(arms, gradient, strict=True)]
    if not (math.isfinite(value) and sum(variances) > 0):
        return replace(effect, reason="the lift does not vary between users, or a value is not above 0")
    se, freedom = math.sqrt(sum(variances)), _freedom(variances, arms)
    half = t_critical(alpha / 2, freedom) * se
    ends = tuple(math.expm1(value + side * half) for side in (-1, 1))
    return replace(
        effect,
        lift=math.expm1(value),
        lift_ci=(ends[0], ends[1]),
        p_value=2 * t_tail(abs(value) / se, freedom),
        log_se=se,
    )


def _examination(
    arms: Arms, log_theta: np.ndarray, by_click: tuple[np.ndarray, np.ndarray], positions: list[int], alpha: float
) -> Examination:
    """Against the first position, for those that are connected with it."""
    if not positions:
        empty = np.zeros(0)
        return Examination(position=empty, theta=empty, low=empty, high=empty)
    linked = _linked(arms[0].columns, positions)
    less = np.eye(len(positions)) - np.eye(len(positions))[0]  # each less the first
    var = sum((less @ b @ s.cov @ b.T @ less.T) * s.n for s, b in zip(arms, by_click, strict=True))
    half = t_critical(alpha / 2, min(s.n for s in arms) - 1) * np.sqrt(np.clip(np.diag(var), 0, None))
    value, told = log_theta - log_theta[0], linked & (2 * half < math.log(TOLD))
    theta, low, high = (np.exp(x[told]) for x in (value, value - half, value + half))
    return Examination(position=np.array(positions)[told], theta=theta, low=low, high=high)


def _linked(columns: tuple[str, ...], positions: list[int]) -> np.ndarray:
    """Which positions a chain of moves joins with the first."""
    there, pairs = {positions[0]}, [place for c in columns if (place := places(c))]
    for _ in positions:
        there |= {k for i, j in pairs if i in there or j in there for k in (i, j)}
    return np.array([k in there for k in positions])

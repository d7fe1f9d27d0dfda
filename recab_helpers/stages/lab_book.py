"""What an analysis leaves in MLflow: the run named by what it is, its numbers and first lines, and the champion."""

from typing import Any

from recab_helpers import report, tracking
from recab_helpers.analysis import Analysis, Effect, Verdict
from recab_helpers.formats import lift, lift_interval
from recab_helpers.report import Background
from recab_helpers.stages.log import Log


def log_analysis(run: tracking.Run, log: Log, found: Analysis, known: Background) -> None:
    """What the analysis leaves: the report as JSON, and its first lines where a reader of MLflow looks for them.

    The run is named by what it is, and carries verdict, lift and interval; a child run holds every effect, with the log
    and the models behind it as its inputs. Metrics are named in words: `ctr lift`, `ctr lift low`; of several
    treatments the variant comes first.
    """
    document = report.report_json(found, known)
    about, verdict = found.verdict.effect, document["verdict"]
    several = len(found.test.users.comparisons) > 1
    said = {"verdict": found.verdict.call, "kind": document["kind"], "sentence": verdict["sentence"]}
    if about is not None and about.defined:
        said |= {"lift": lift(about.lift), "interval": lift_interval(about.lift_ci), "goal": about.metric.label}
    with run.child("analysis") as child:
        built_on = tracking.model_ids(log.models.values()) if log.model_ids is None else log.model_ids
        child.log_inputs(_datasets(log, found), built_on)
        for effect in found.effects:
            of = f"{effect.comparison.variant} " if several else ""
            child.log_metrics(_numbers(f"{of}{effect.metric.name}", effect))
        states = [c.state for c in found.checks]
        child.log_metrics({f"checks {s}": states.count(s) for s in ("passed", "failed", "not tested")})
        child.tag(**said)
        if found.verdict.valid:
            child.tag(test=log.identity, same_model_in_all=str(known.same_in_all))
        child.log_json("ab_report", document)
        first_lines = _first_lines(document)
        child.name("analysis", first_lines)
    with run.together() as head:
        if about is not None and about.defined:
            head.log_metrics(_numbers(about.metric.name, about))
        head.tag(analysis_run_id=child.run_id, **said)
        head.name(f"{document['title']} [{known.dataset}]", first_lines)


def _datasets(log: Log, found: Analysis) -> dict[str, Any]:
    """The log and what is known of its users as MLflow's data sets, by what they are."""
    if read := None if "simulate" in log.run_ids else log.impressions or log.users:
        n = found.test.n_impressions or found.test.users.n
        return {"log": tracking.file_as_dataset(read, log.data_hash, n)}
    logged = tracking.datasets_of(log.run_ids["simulate"])
    names = {"log": "simulate/impressions", "users": "simulate/users"}
    return {used: logged[name] for used, name in names.items() if name in logged}


def _numbers(name: str, effect: Effect) -> dict[str, float]:
    """Lift, interval, difference and p of an effect, by names in words."""
    low, high = effect.lift_ci
    return {
        f"{name} lift": effect.lift,
        f"{name} lift low": low,
        f"{name} lift high": high,
        f"{name} lift log se": effect.log_se,
        f"{name} difference": effect.difference,
        f"{name} p value": effect.p_value,
    }


def _first_lines(document: dict[str, Any]) -> str:
    """The head of the page as Markdown: what it is, the call, and what to do next."""
    verdict, expected = document["verdict"], document["hypothesis"]
    lines = [
        f"**{verdict['headline']}** {verdict['sentence']}",
        document["title"],
        f"Expected: {expected}" if expected else "",
        f"Next step: {verdict['next_step']}",
        "The page is ab_report.html, the first artifact of the run that this test's title names.",
    ]
    return "\n\n".join(filter(None, lines))


def promote(log: Log, verdict: Verdict, *, wanted: bool) -> str:
    """Move the registry alias @champion to the winner's model when that is wanted; says what was done."""
    if not wanted:
        return "The alias @champion was left alone (promote is off)."
    if verdict.winner not in log.models:
        return f"The alias @champion was left alone: the verdict is {verdict.call} or the log names no model."
    tracking.set_champion(log.models[verdict.winner], log.models.values())
    return f"The alias @champion now points at {log.models[verdict.winner]}."

"""`make bench`: one table of ours against peers, and how cost grows; also as build/bench.json and build/bench.html.

Ratios within one run are what counts: machines differ, and are noisy. Nothing is judged here.
"""

import base64
import html
import io
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Entry:
    """What is compared: a piece, the ratio to its peer that it should stay below, or the rate that it should reach."""

    title: str
    piece: str
    limit: float = np.nan
    sizes: tuple[int, ...] = ()


ENTRIES = (
    Entry("ten best of 100,000 users x 20,000 items x 32 factors", "top_ten", 2.0),
    Entry("ten best of 10,000 users x 60,000 items by their texts", "content", 2.0),
    Entry("draws by user, session and position", "draws"),
    Entry("simulate and write", "simulate", sizes=(100_000,)),
    Entry("a log to aggregates", "reduce", 3.0, sizes=(600_000, 1)),
    Entry("a log in one file of CSV to aggregates", "reduce_csv", 3.0),
    Entry("five metrics of 2 million users", "analyze", 1.0),
    Entry("grading of tests of 2,000 users", "grade"),
    Entry("training and lists from 1 million ratings", "train", 2.0),
    Entry("EASE of 6,000 items", "ease"),
    Entry("make report", "report", 1.1),
)
GROWTH = {
    "simulate and write, by impressions": ("simulate", (2000, 20_000, 200_000, 1_000_000)),
    "a log to aggregates, by impressions": ("reduce", (2000, 20_000, 200_000, 600_000)),
    "the same log over more days, by days": ("days", (14, 60, 180, 366)),
    "training and lists, by ratings": ("train", (30_000, 100_000, 300_000, 1_000_000)),
    "ten best, by items": ("items", (300, 3000, 30_000, 100_000)),
}


def measured(piece: str, *sizes: int) -> dict:
    """What a piece says of itself, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.pieces", piece, *map(str, sizes)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(entry: Entry) -> list[dict]:
    """A row a peer; one where there is none."""
    found = measured(entry.piece, *entry.sizes)
    count, of, peak = (found.pop(k) for k in ("count", "of", "peak_gb"))
    seconds, cpu = found.pop("ours")
    row = {"what": entry.title, "ours (s)": seconds, "a second": f"{count / seconds:,.0f} {of}", "peak (GB)": peak}
    peers = [{"peer": k, "theirs (s)": s, "ratio": seconds / s, "of CPU": cpu / c} for k, (s, c) in found.items()]
    return [row | {"limit": entry.limit} | peer for peer in peers or [{}]]


@dataclass(frozen=True)
class Growth:
    """Time and memory over sizes; `exponent` is that of time between the last two."""

    title: str
    count: list[int]
    seconds: list[float]
    peak_gb: list[float]
    exponent: float


def growth_of(title: str, piece: str, sizes: tuple[int, ...]) -> Growth:
    """Measure a piece at every size, one round each."""
    found = [measured(piece, size, *((1,) if piece == "reduce" else ())) for size in sizes]
    count, seconds = [f["count"] for f in found], [f["ours"][0] for f in found]
    exponent = np.log(seconds[-1] / seconds[-2]) / np.log(count[-1] / count[-2])
    return Growth(title, count, seconds, [f["peak_gb"] for f in found], float(exponent))


def page(table: pd.DataFrame, grown: list[Growth]) -> str:
    """The table, and a plot of time and of memory for every stage."""
    figure = Figure(figsize=(9, 2.4 * len(grown)), layout="constrained")
    for g, (time, memory) in zip(grown, figure.subplots(len(grown), 2, squeeze=False), strict=True):
        time.loglog(g.count, g.seconds, "o-")
        time.set(title=f"{g.title}: exponent {g.exponent:.2f}", ylabel="s")
        memory.semilogx(g.count, g.peak_gb, "o-")
        memory.set(ylabel="GB", ylim=(0, None))
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    picture = base64.b64encode(stream.getvalue()).decode()
    style = (
        "body{font:15px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}td:first-child{text-align:left}"
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>recab: benchmarks</title><style>{style}</style>"
        f"<h1>Benchmarks</h1>{table.to_html(index=False, border=0, na_rep='', escape=True)}"
        f"<h2>How cost grows</h2><img src='data:image/png;base64,{picture}' alt='{html.escape(str(len(grown)))} plots'>"
    )


def main() -> None:
    """Measure, print, write."""
    rows = [row for entry in tqdm(ENTRIES, desc="against peers") for row in rows_of(entry)]
    columns = ["what", "ours (s)", "a second", "peak (GB)", "peer", "theirs (s)", "ratio", "of CPU", "limit"]
    table = pd.DataFrame(rows).reindex(columns=columns).round(2)
    print(table.to_string(index=False, na_rep=""))
    grown = [growth_of(title, *of) for title, of in tqdm(GROWTH.items(), desc="growth")]
    for g in grown:
        print(f"{g.title}: {g.seconds[-1]:.1f} s at {g.count[-1]:,}, {g.peak_gb[-1]:.2f} GB, exponent {g.exponent:.2f}")
    (ROOT / "build").mkdir(exist_ok=True)
    written = {"table": rows, "growth": [asdict(g) for g in grown]}
    (ROOT / "build" / "bench.json").write_text(json.dumps(written, indent=1))
    (ROOT / "build" / "bench.html").write_text(page(table, grown), encoding="utf-8")
    print("build/bench.html, build/bench.json")


if __name__ == "__main__":
    main()

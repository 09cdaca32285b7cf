"""Commands: run chapters, survey claims over seeds, start a chapter, build the site."""

import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from press import book
from press.book import BookError, Chapter
from press.files import write_atomically
from press.homework.cli import app as homework_app

if TYPE_CHECKING:  # what runs notebooks takes seconds to import: only the commands that run any do
    from press.kernel import Run

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Turns chapters into outputs, verdicts and a site.

A chapter is named `part/topic` (or just `topic`): `attention/self_attention`. Without names a
command takes every chapter there is.

Start with `run execute` after editing a chapter, `run verify` before publishing its claims, and
`site build` to look at it.""",
)
run_app = typer.Typer(no_args_is_help=True, help="Execute chapters; survey claims over seeds.")
site_app = typer.Typer(no_args_is_help=True, help="Build the site from the stored outputs.")
app.add_typer(run_app, name="run")
app.add_typer(site_app, name="site")
app.add_typer(homework_app, name="homework")

# Logs have no width of their own: names and paths stay whole there.
console = Console(width=None if sys.stdout.isatty() else 200)

Topics = Annotated[
    list[str] | None, typer.Argument(metavar="[TOPIC]...", help="Chapters; all if none is named.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Dask scheduler to use instead of processes on this machine, for instance "
        "`tcp://10.0.0.5:8786` (its workers need this package and its requirements installed).",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes on this machine; one per core if not.")
]
Timeout = Annotated[
    int | None, typer.Option(min=1, help="Seconds that one cell may take; no limit if not given.")
]


@run_app.command()
def execute(
    topics: Topics = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    preset: Annotated[
        str, typer.Option(help='"laptop" is stored; another preset goes to --output.')
    ] = "laptop",
    device: Annotated[str, typer.Option(help='"auto", "cpu", "cuda" or "mps".')] = "auto",
    output: Annotated[
        Path | None, typer.Option(help="Folder for runs that are not to be stored in the book.")
    ] = None,
    timeout: Timeout = None,
) -> None:
    """Run chapters from top to bottom and store outputs, slider frames and cost in place.

    A chapter whose run fails keeps the outputs it had, and so does every chapter not yet finished
    when the command is killed. The exit status is 1 if any chapter failed. Results that a longer
    preset keeps (`topic_what.json`) come to `_build/run/<preset>` beside the notebook; what the
    book uses lies in `src/dlnotes`.

    Example: `python -m press run execute attention/self_attention --workers 1`
    """
    from press import run

    root = _root()
    stored = preset == "laptop" and device == "auto" and output is None
    elsewhere = output or root / "_build/run" / preset
    parameters: dict[str, Any] = {} if stored else {"preset": preset, "device": device}
    jobs = [(chapter, parameters) for chapter in _chapters(root, topics)]

    def keep(chapter: Chapter, one: "Run") -> None:
        if one.error:
            return
        if not stored:
            write_atomically(elsewhere / f"{chapter.name}.ipynb", one.notebook)
            for name, text in one.files.items():
                write_atomically(elsewhere / chapter.part / name, text)
            return
        try:
            run.store(chapter, one)
        except (BookError, ValueError) as error:
            one.error = f"ran, but was not stored: {error}"

    runs = _run_all(jobs, {"DLNOTES_BAKE": "1"}, keep, workers, scheduler, timeout)
    table = Table("chapter", "seconds", "CPU seconds", "peak MB", "claims held", "")
    for one in runs:
        table.add_row(
            one.chapter,
            f"{one.seconds:.0f}",
            f"{one.cpu_seconds:.1f}",
            f"{one.peak_mb:.0f}",
            f"{one.held} of {len(one.claims)}",
            "[red]failed" if one.error else ("stored" if stored else f"in {elsewhere}"),
        )
    console.print(table)
    _finish(runs)


@run_app.command()
def verify(
    topics: Topics = None,
    seeds: Annotated[
        str, typer.Option(metavar="RANGE", help="For instance 0-9, or 0,3,7, or 5.")
    ] = "0-9",
    workers: Workers = None,
    scheduler: Scheduler = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the executed notebooks and claims.json.")
    ] = None,
    timeout: Timeout = None,
) -> None:
    """Run chapters at other seeds and say at which of them each claim held.

    The stored notebooks are not touched: what ran goes to a scratch folder (`_build/verify`),
    with `claims.json` beside it. `book/survey.json`, from which the site's ledger tells at how many
    seeds a claim held, is brought up to date. The exit status is 1 if a claim failed at any seed.

    Example: `python -m press run verify kalman_filter --seeds 0-9`
    """
    from press import run, survey

    root = _root()
    output = output or root / "_build/verify"
    wanted = parse_seeds(seeds)
    chapters = _chapters(root, topics)
    jobs = [(chapter, {"seed": seed}) for chapter in chapters for seed in wanted]

    def keep(chapter: Chapter, one: "Run") -> None:
        if one.notebook:
            write_atomically(output / chapter.name / f"seed-{one.seed}.ipynb", one.notebook)

    runs = _run_all(jobs, {"DLNOTES_CHECK": "record"}, keep, workers, scheduler, timeout)
    survey.record_survey(root, chapters, runs)
    run.write_report(output / "claims.json", runs)
    table = Table("claim", f"held at seeds {seeds}", "failed at")
    for claim, at in run.held_by_claim(runs).items():
        failed = ", ".join(map(str, at["failed"]))
        table.add_row(claim, f"{len(at['held'])} of {len(wanted)}", f"[red]{failed}")
    console.print(table)
    console.print(f"Notebooks and claims.json are in {output}")
    _finish(runs)


@app.command()
def new(
    topic: Annotated[str, typer.Argument(metavar="PART/TOPIC", help="For instance vision/ctc.")],
) -> None:
    """Make the files of a new chapter: a small one that runs, to be written over.

    The part must be one of `book/contents.yml`; a topic that is not planned there is added at the
    end of its part. No file that exists is touched.
    """
    from press.new import make_chapter

    root = _root()
    for path in _said(make_chapter, root, topic):
        console.print(f"made {path.relative_to(root)}")
    console.print(f"Next: edit it, then `python -m press run execute {topic}`.", markup=False)


@app.command()
def toc() -> None:
    """Write `_toc.yml`: the chapters there are, in the order of `book/contents.yml`."""
    root = _root()
    write_atomically(root / "_toc.yml", book.table_of_contents(root))


@app.command()
def check(topics: Topics = None) -> None:
    """Say what the structure of chapters lacks: rooms, cells, tags, alt texts, sizes, cost."""
    from press.structure import problems

    found = [line for chapter in _chapters(_root(), topics) for line in problems(chapter)]
    for line in found:
        console.print(line, markup=False)
    raise typer.Exit(1 if found else 0)


@app.command()
def bench(topics: Topics = None) -> None:
    """Measure reference implementations against their peers: time and memory, as ratios.

    What was found goes to `book/benchmarks.json`, from which the site's page of oracles shows it.
    Leave the machine alone meanwhile: other work makes ratios worse and growth steeper. The exit
    status is 1 if something costs over twice its peer's and its benchmark does not say why.

    Example: `python -m press bench self_attention`
    """
    from press import bench

    root = _root()
    table = Table("benchmark", "peer", "sizes", "time", "memory", "growth")
    unexplained = []
    for chapter in _chapters(root, topics):
        if not bench.bench_file(chapter).is_file():
            continue
        cases = _said(bench.run_benchmarks, chapter)
        bench.store(root, chapter, cases)
        for case in cases:
            table.add_row(
                f"{chapter.id}: {case.name}",
                case.peer or "",
                f"{', '.join(map(str, case.sizes))} {case.axis}",
                ", ".join(f"{ratio:.2g}" for ratio in case.time),
                ", ".join(f"{ratio:.2g}" for ratio in case.memory),
                f"{case.slope:.2g}" + (f" of {case.growth:g}" if case.growth else ""),
            )
        unexplained += [f"{chapter.id}: {case.name}" for case in cases if case.unexplained]
    console.print(table)
    if unexplained:
        names = "; ".join(unexplained)
        console.print(f"over {bench.EXPLAIN_ABOVE:g} times the peer's without because=: {names}")
        raise typer.Exit(1)


@app.command()
def student(topics: Topics = None) -> None:
    """Write chapters without their solutions and outputs into `_build/student`."""
    from press.student import student_version

    root = _root()
    for chapter in _chapters(root, topics):
        path = student_version(chapter, root / "_build/student")
        console.print(str(path), markup=False, soft_wrap=True)


@site_app.command()
def build() -> None:
    """Build the site into `_build/html` from the outputs that the chapters store.

    Every warning is an error. Everything a page needs is on the site: it works with the network
    off, over http:// and file://. Set `BOOK_REPOSITORY_URL` (or a git remote) for launch buttons.
    """
    from press.site import build_site

    root = _root()
    for line in _said(build_site, root):
        console.print(line, markup=False)


# ---------------------------------------------------------------------------- shared
def parse_seeds(text: str) -> list[int]:
    """Turn ``0-9`` or ``0,3,7`` into a list of seeds; raise ``BadParameter`` for anything else."""
    seeds: list[int] = []
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", piece)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise typer.BadParameter(f"seeds look like 0-9 or 0,3,7, not {text!r}")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(seeds))


def _said(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except BookError as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        raise typer.Exit(2) from None


def _root() -> Path:
    return Path(_said(book.find_root))


def _chapters(root: Path, topics: list[str] | None) -> tuple[Chapter, ...]:
    chosen: tuple[Chapter, ...] = _said(book.select, book.written(root), topics or ())
    return chosen


def _processes(wanted: int | None, jobs: int) -> int:
    return max(1, min(wanted or os.cpu_count() or 1, jobs))


def _run_all(
    jobs: list[tuple[Chapter, dict[str, Any]]],
    environment: dict[str, str],
    keep: Any,
    count: int | None,
    scheduler: str | None,
    timeout: int | None,
) -> "list[Run]":
    from press import run
    from press.cluster import workers

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("starting workers", total=len(jobs))

        def done(chapter: Chapter, one: "Run") -> None:
            keep(chapter, one)
            progress.update(bar, advance=1, description=f"{chapter.name}, seed {one.seed}")

        def survey() -> "list[Run]":
            with workers(scheduler, _processes(count, len(jobs))) as client:
                return run.run_all(client, jobs, environment, done, timeout)

        result: list[Run] = _said(survey)
    return result


def _finish(runs: "list[Run]") -> None:
    errors: dict[str, list[Run]] = defaultdict(list)
    for one in runs:
        if one.error:
            errors[one.error].append(one)
    for error, those in errors.items():
        where = ", ".join(f"{one.chapter} at seed {one.seed}" for one in those)
        console.print(f"\n{where}:\n{error}", markup=False, highlight=False)
    if not all(one.ok for one in runs):
        raise typer.Exit(1)

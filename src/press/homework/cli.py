"""Commands for instructors: ``python -m press homework --help``."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from press.book import BookError, find_root
from press.files import write_atomically
from press.homework.assignment import Assignment, HomeworkError
from press.homework.course import FOLDER, SETTINGS, Course, open_course
from press.homework.sandbox import Limits, NoSandbox

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""From a master notebook to grades, with strangers' code kept in a box.

The order: `doctor`, `init`, `build`, `check`, then hand out `release/NAME/NAME.ipynb`; when answers
are in: `collect`, `grade`, `mark`, `feedback`, `export`, `report`. The page *Assign this as
homework* of the book goes through all of it.""",
)
console = Console(width=None if os.isatty(1) else 200)

SETTINGS_TEXT = """\
# For feedback pages: a title, and where the book is published, for links to its sections.
title = "Deep learning"
site = ""

# What one submission may use. Without a line here the value shown holds.
[limits]
"""

Name = Annotated[
    str, typer.Argument(metavar="ASSIGNMENT", help="Its master is masters/ASSIGNMENT.ipynb.")
]
Folder = Annotated[
    Path, typer.Option("--course", metavar="FOLDER", help="The folder that `init` made.")
]
Unsafe = Annotated[
    bool,
    typer.Option(
        "--unsafe-no-sandbox",
        help="Run strangers' code as you, with your files and network. Every result says so.",
    ),
]


def _said(function: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options)
    except (BookError, NoSandbox, OSError) as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        raise typer.Exit(2) from None


def _open(folder: Path, name: str) -> tuple[Course, Assignment]:
    course: Course = _said(open_course, folder)
    assignment: Assignment = _said(course.assignment, name.rpartition("/")[2])
    return course, assignment


def _need_box(course: Course, unsafe: bool) -> None:
    from press.homework.doctor import require_box

    if unsafe:
        console.print(
            "[red]unsafe:[/red] strangers' code runs as you; every result will say so",
            highlight=False,
        )
        return
    try:
        require_box(course.limits, _said(_outside, course))
    except NoSandbox as error:
        Console(stderr=True).print(
            f"[red]error:[/red] no safe box on this machine: {escape(str(error))}\n"
            "`python -m press homework doctor` shows all of it.",
            highlight=False,
        )
        raise typer.Exit(2) from None


def _outside(course: Course | None) -> list[str]:
    """Return paths that no box may show; of the system's own those that it need not show."""
    from press.homework.sandbox import readable_from

    files = [Path.home() / ".bashrc", Path.home() / ".ssh", find_root() / "book/contents.yml"]
    hidden = [one for one in [*files, Path("/etc/passwd")] if not readable_from(one)]
    hidden += [course.root / SETTINGS, course.root / "masters"] if course else []
    return [str(one) for one in hidden]


@app.command()
def doctor(course: Folder = Path(FOLDER)) -> None:
    """Try to get out of a box, from inside, and say what is missing on this machine.

    The exit status is 1 if anything failed; `grade` refuses to run then.
    """
    from press.homework.doctor import examine

    there: Course | None = _said(open_course, course) if (course / SETTINGS).is_file() else None
    probes = examine(there.limits if there else Limits(), _outside(there))
    table = Table("a box must", "", "")
    for probe in probes:
        verdict = "[green]yes" if probe.holds else "[red]no"
        table.add_row(probe.what, verdict, escape(probe.detail))
    console.print(table)
    if not all(probe.holds for probe in probes):
        console.print("Without a box, `grade` refuses to run.")
        raise typer.Exit(1)
    console.print("The box is real: strangers' code may run in it.")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Keep it private.")] = Path(FOLDER),
    examples: Annotated[bool, typer.Option(help="Copy the book's example masters into it.")] = True,
) -> None:
    """Make the private folder of a course: settings, and masters to start from."""
    from press.homework.gradebook import write_configuration

    masters = sorted((_said(find_root) / "homework/masters").glob("*.ipynb"))
    if (folder / SETTINGS).exists():
        _said(_refuse, f"{folder} is a course already")
    limits = "".join(f"# {key} = {value}\n" for key, value in vars(Limits()).items())
    _said(write_atomically, folder / SETTINGS, SETTINGS_TEXT + limits)
    write_atomically(
        folder / ".gitignore", "# Solutions and students' work: not for publishing.\n*\n"
    )
    write_configuration(folder)
    (folder / "masters").mkdir(parents=True, exist_ok=True)
    console.print(f"made {folder}", highlight=False)
    for master in masters * examples:
        shutil.copyfile(master, folder / "masters" / master.name)
        console.print(f"  masters/{master.name}: an example", highlight=False)


def _refuse(why: str) -> None:
    raise HomeworkError(why)


@app.command()
def build(
    name: Name,
    student_to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Copy the students' version there.")
    ] = None,
    course: Folder = Path(FOLDER),
) -> None:
    """Make the notebooks of an assignment: for students, for nbgrader, and solved, executed."""
    import nbformat

    from press.homework.gradebook import release
    from press.homework.solution import executed

    place, assignment = _open(course, name)
    _said(release, place, assignment)
    path = place.solution(assignment.name)
    write_atomically(path, nbformat.writes(_said(executed, place, assignment)) + "\n")
    table = Table("exercise", "points", "by hand")
    for one in assignment.exercises:
        table.add_row(escape(one.title), f"{one.points:g}", f"{one.by_hand:g}" * bool(one.by_hand))
    console.print(table)
    for label, path in (
        ("for students", place.release(assignment.name)),
        ("with solutions, executed", place.solution(assignment.name)),
        ("in nbgrader's format", place.source(assignment.name)),
    ):
        console.print(f"{label}: {_short(path)}", markup=False, highlight=False, soft_wrap=True)
    if not assignment.topic and any(one.reread for one in assignment.exercises):
        console.print(
            "[yellow]no links:[/yellow] reread= needs the chapter in the notebook's metadata, "
            'such as "homework": {"topic": "attention/self_attention"}',
            highlight=False,
        )
    if student_to:
        released = place.release(assignment.name)
        _said(write_atomically, student_to / released.name, released.read_bytes())


def _short(path: Path) -> str:
    return os.path.relpath(path)


@app.command()
def check(name: Name, course: Folder = Path(FOLDER), unsafe: Unsafe = False) -> None:
    """Prove an assignment: solution, blank version, mutants, secrets, and the same score twice.

    The exit status is 1 if anything does not hold.
    """
    from press.homework.check import check as look

    place, assignment = _open(course, name)
    _need_box(place, unsafe)
    findings = _said(look, place, assignment, _said(find_root), not unsafe)
    table = Table("must hold", "", "")
    for one in findings:
        table.add_row(
            escape(one.what), "[green]yes" if one.holds else "[red]no", escape(one.detail)
        )
    console.print(table)
    if not all(one.holds for one in findings):
        raise typer.Exit(1)
    console.print(f"{assignment.name} is ready: {assignment.points:g} points")


@app.command()
def rehearse(
    name: Name,
    uploads: Annotated[Path, typer.Argument(help="The zip to write.")],
    students: Annotated[int, typer.Option(min=1, max=1000)] = 12,
    course: Folder = Path(FOLDER),
) -> None:
    """Write made-up uploads, good, bad and hostile, as Moodle would give them."""
    import nbformat

    from press.homework.check import need_built
    from press.homework.rehearsal import moodle_zip
    from press.homework.rehearsal import uploads as make

    place, assignment = _open(course, name)
    _said(need_built, place, assignment)
    made = make(assignment, nbformat.read(place.release(assignment.name), as_version=4), students)
    _said(write_atomically, uploads, moodle_zip(made, assignment.name))
    console.print(f"{len(made)} uploads in {uploads}", highlight=False)


@app.command()
def collect(
    name: Name,
    uploads: Annotated[Path, typer.Argument(help="A folder, or the zip of Moodle or Canvas.")],
    course: Folder = Path(FOLDER),
) -> None:
    """Take students' answers out of what they uploaded. Nothing of it runs or is unpacked.

    Uploads that cannot be used are named with the reason; the exit status is 0 all the same.
    """
    from press.homework.check import need_built
    from press.homework.uploads import collect as take

    place, assignment = _open(course, name)
    _said(need_built, place, assignment)
    report = _said(take, place, assignment.name, uploads)
    table = Table("file", "student", "", "notes")
    for one in report:
        if one.outcome != "collected" or one.notes:
            color = {"skipped": "[red]", "collected": ""}.get(one.outcome, "[yellow]")
            notes = escape("; ".join(one.notes)[:300])
            table.add_row(escape(_plain(one.path)), one.student, f"{color}{one.outcome}", notes)
    if table.row_count:
        console.print(table)
    counts = Counter(one.outcome for one in report)
    console.print(
        ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "no files"
    )


def _plain(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)[:120]


@app.command()
def grade(
    name: Name,
    student: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    again: Annotated[bool, typer.Option(help="Grade also what is graded already.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A Dask scheduler, `tls://…`, instead of this machine."
        ),
    ] = None,
    tls: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(metavar="CA CERT KEY", help="Files for a scheduler at a `tls://` address."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="On this machine; default: cores.")
    ] = None,
    course: Folder = Path(FOLDER),
    unsafe: Unsafe = False,
) -> None:
    """Grade what was collected; a run that was stopped goes on where it stopped."""
    from press.homework import gradebook
    from press.homework.check import need_built
    from press.homework.grade_all import already_graded, grade_all, need_boxes, to_grade
    from press.homework.grade_all import workers as cluster

    place, assignment = _open(course, name)
    _said(need_built, place, assignment)
    everybody = place.students(assignment.name)
    if not everybody:
        _said(_refuse, f"no answers to {assignment.name} are here yet: first `collect` them")
    if unknown := set(student or ()) - set(everybody):
        _said(_refuse, f"nothing was collected of {', '.join(sorted(unknown))}")
    if scheduler is None:
        _need_box(place, unsafe)
    prints = to_grade(place, assignment.name, student or everybody, not unsafe)
    done = set() if again else already_graded(place, assignment.name, prints)
    waiting = {one: prints[one] for one in prints if one not in done}
    if done:
        console.print(f"{len(done)} graded before", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("grading", total=len(waiting))

        def finished(who: str, _: dict[str, Any]) -> None:
            progress.update(bar, advance=1, description=who)

        def run() -> None:
            count = max(1, min(workers or os.cpu_count() or 1, len(waiting)))
            with cluster(scheduler, count, _security(tls)) as client:
                if scheduler and not unsafe:
                    need_boxes(client, place.limits)
                grade_all(client, place, assignment.name, waiting, not unsafe, finished)

        if waiting:
            _said(run)
        book = progress.add_task("gradebook", total=len(prints))
        for one in prints:
            _said(gradebook.record, place, assignment, one)
            progress.advance(book)
    failed = _show(place, assignment, list(prints))
    waiting_for = [one.student for one in _said(gradebook.scores, place, assignment) if one.waiting]
    if waiting_for:
        console.print(
            f"{len(waiting_for)} wait for points by hand, which this table leaves out: "
            f"{', '.join(waiting_for[:10])}{' …' if len(waiting_for) > 10 else ''}",
            highlight=False,
        )
    raise typer.Exit(1 if failed else 0)


def _security(tls: tuple[Path, Path, Path] | None) -> Any:
    if tls is None:
        return None
    from distributed.security import Security

    authority, certificate, key = map(str, tls)
    return Security(
        tls_ca_file=authority,
        tls_client_cert=certificate,
        tls_client_key=key,
        require_encryption=True,
    )


def _show(course: Course, assignment: Assignment, students: list[str]) -> list[str]:
    """Print what was found; return the students for whom grading itself failed."""
    table = Table("student", "name", *(one.id for one in assignment.exercises), "points", "s", "")
    failed, roster = [], course.roster()
    for student in students:
        result = json.loads(course.result(assignment.name, student).read_text("utf8"))
        points = Counter[str]()
        for test in assignment.tests:
            points[test.exercise] += result["scores"].get(test.id, 0)
        notes = [] if result["safe"] else ["[red]unsafe"]
        if result["error"]:
            failed.append(student)
            notes.append(f"[red]{escape(result['error'])}")
        if result["restarts"]:
            notes.append(f"box died {result['restarts']} times")
        table.add_row(
            student,
            escape(_plain(roster[student].name)) if student in roster else "",
            *(f"{points[one.id]:g}" for one in assignment.exercises),
            f"{sum(points.values()):g}",
            f"{result['seconds']:.1f}",
            ", ".join(notes),
        )
    console.print(table)
    return failed


@app.command()
def mark(
    name: Name,
    student: Annotated[str, typer.Argument()],
    answer: Annotated[str, typer.Argument(help="Its id in the master.")],
    points: Annotated[float, typer.Argument()],
    comment: Annotated[str, typer.Option(help="For the student's feedback page.")] = "",
    course: Folder = Path(FOLDER),
) -> None:
    """Give points to an answer that is graded by hand, as JupyterLab's Formgrader does."""
    from press.homework import gradebook

    place, assignment = _open(course, name)
    _said(gradebook.mark, place, assignment, student, answer, points, comment)
    console.print(f"{student}: {points:g} points for {answer}", highlight=False)


@app.command()
def feedback(
    name: Name,
    pack: Annotated[
        Path | None,
        typer.Option(
            "--zip", metavar="FILE", help="Also for Moodle's *Upload multiple feedback files*."
        ),
    ] = None,
    course: Folder = Path(FOLDER),
) -> None:
    """Write one page per student: points, what public tests said, what to read again."""
    from press.homework import gradebook
    from press.homework.feedback import moodle_zip, write_feedback

    place, assignment = _open(course, name)
    scores = _said(gradebook.scores, place, assignment)
    for score in scores:
        write_feedback(place, assignment, score)
    folder = place.feedback(assignment.name, "x").parent
    console.print(f"{len(scores)} pages in {_short(folder)}", highlight=False)
    if pack:
        packed = _said(moodle_zip, place, assignment, [score.student for score in scores])
        _said(write_atomically, pack, packed)
        console.print(f"packed in {pack}", highlight=False)


@app.command()
def export(
    name: Name,
    format: Annotated[str, typer.Option(help="csv, moodle or canvas")] = "csv",
    into: Annotated[
        Path | None,
        typer.Option(help="A table downloaded from there: a copy of it is filled in."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Its column to fill in, for Canvas: `Homework 1 (4711)`.")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option(help="Also while answers wait to be graded by hand.")
    ] = False,
    course: Folder = Path(FOLDER),
) -> None:
    """Write the grades as a table for a spreadsheet, Moodle or Canvas."""
    from press.homework import export as tables
    from press.homework import gradebook

    place, assignment = _open(course, name)
    if format not in tables.FORMATS:
        _said(_refuse, f"--format is one of {', '.join(tables.FORMATS)}, not {format!r}")
    scores = _said(gradebook.scores, place, assignment)
    waiting = [f"{score.student}: {', '.join(score.waiting)}" for score in scores if score.waiting]
    if waiting and not unfinished:
        _said(
            _refuse,
            f"{len(waiting)} wait for points by hand ({'; '.join(waiting[:5])}"
            f"{' …' if len(waiting) > 5 else ''}): give them with `mark`, or use --unfinished",
        )
    if into:
        text, gone = _said(tables.fill_in, place, into, column, scores, format)
        if gone:
            console.print(f"[yellow]not in {escape(str(into))}:[/yellow] {', '.join(gone)}")
    else:
        text = _said(tables.table, place, assignment, scores, format)
    ending = "" if format == "csv" else f"-{format}"
    path = place.grades(assignment.name, f"{ending}.csv")
    write_atomically(path, text)
    console.print(f"{len(scores)} grades in {_short(path)}", highlight=False)


@app.command()
def report(name: Name, course: Folder = Path(FOLDER)) -> None:
    """Draw how points are distributed and which share of students passed each test."""
    from press.homework import export as tables
    from press.homework import gradebook

    place, assignment = _open(course, name)
    scores = _said(gradebook.scores, place, assignment)
    passed = Counter[str]()
    for score in scores:
        path = place.result(assignment.name, score.student)
        found = json.loads(path.read_text("utf8"))["scores"]
        passed.update(test.id for test in assignment.tests if found.get(test.id))
    shares = {test.id: passed[test.id] / len(scores) for test in assignment.tests}
    path = place.grades(assignment.name, ".svg")
    write_atomically(path, tables.report(assignment, scores, shares))
    for test, share in shares.items():
        console.print(f"{test}: {share:.0%} passed", highlight=False)
    console.print(f"drawn in {_short(path)}", highlight=False)

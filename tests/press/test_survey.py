"""Surveys are kept with the book, and stand for the code that they ran."""

from press.kernel import Run
from press.survey import fingerprint, read_survey, record_survey


def run_of(chapter, seed, *holds):
    claims = [
        {"claim": f"{chapter.id}.{number}", "holds": one, "verdict": "held", "evidence": ""}
        for number, one in enumerate(holds, start=1)
    ]
    return Run(chapter.name, seed, claims=claims)


def test_a_survey_counts_the_seeds_at_which_each_claim_held(small_book, stream_mean):
    runs = [run_of(stream_mean, seed, True, seed != 1) for seed in (2, 0, 1)]
    record_survey(small_book, [stream_mean], runs)
    seen = read_survey(small_book)[stream_mean.name]
    assert seen["seeds"] == [0, 1, 2]
    assert seen["held"] == {"stream_mean.1": 3, "stream_mean.2": 2}
    assert seen["code"] == fingerprint(stream_mean)


def test_a_run_that_broke_off_holds_nothing(small_book, stream_mean):
    broken = Run(stream_mean.name, 1, error="it broke")
    record_survey(small_book, [stream_mean], [run_of(stream_mean, 0, True), broken])
    seen = read_survey(small_book)[stream_mean.name]
    assert seen["held"] == {"stream_mean.1": 1}
    assert seen["seeds"] == [0, 1]


def test_a_new_survey_replaces_that_chapters_last_one_only(small_book, stream_mean):
    other = {"code": "x", "seeds": [0], "held": {}}
    record_survey(small_book, [stream_mean], [run_of(stream_mean, 0, True)])
    before = read_survey(small_book)
    (small_book / "book/survey.json").write_text(
        '{"vision/other": {"code": "x", "seeds": [0], "held": {}}}'
    )
    record_survey(small_book, [stream_mean], [run_of(stream_mean, 5, True)])
    after = read_survey(small_book)
    assert after["vision/other"] == other
    assert after[stream_mean.name]["seeds"] == [5] != before[stream_mean.name]["seeds"]


def test_the_fingerprint_changes_with_cells_and_module_but_not_with_prose(stream_mean):
    before = fingerprint(stream_mean)
    text = stream_mean.notebook.read_text("utf8")
    stream_mean.notebook.write_text(text.replace("A stream never ends", "Streams never end"))
    assert fingerprint(stream_mean) == before
    module = stream_mean.module.read_text("utf8")
    stream_mean.module.write_text(module + "\n# another line\n")
    assert fingerprint(stream_mean) != before

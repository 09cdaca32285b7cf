"""The built site, as its readers get it: in a real browser, with no network, http:// and file://."""

import functools
import gzip
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from filelock import FileLock
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from press import book
from press.records import read_ledger, read_records

ROOT = Path(__file__).resolve().parent.parent

CHAPTERS = [f"book/{chapter.name}.html" for chapter in book.written(ROOT)]
PAGES = ["book/index.html", "book/how-to.html", "book/homework.html", "book/notation.html"]
PAGES += ["book/api.html", "book/glossary.html", "book/ledger.html", "book/cards.html"]
PAGES += ["book/bibliography.html", "search.html"]
PAGES += CHAPTERS
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Build the site once, whichever worker comes first; the others wait."""
    run = tmp_path_factory.getbasetemp()
    run = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run
    built = run / "site.txt"
    with FileLock(run / "site.lock"):
        if not built.exists():
            command = [sys.executable, "-m", "press", "site", "build"]
            environment = {**os.environ, "BOOK_REPOSITORY_URL": ""}
            result = subprocess.run(
                command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True
            )
            built.write_text("" if result.returncode == 0 else result.stdout + result.stderr)
    assert not built.read_text()
    return ROOT / "_build/html"


@pytest.fixture(scope="session")
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"http": f"http://127.0.0.1:{server.server_port}/", "file": site.as_uri() + "/"}
    server.shutdown()


@pytest.fixture(scope="session")
def chrome(tmp_path_factory):
    if not (BROWSER and DRIVER):
        reason = "no browser: install Debian's chromium and chromium-driver to test the site"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the network is off
        "--window-size=1200,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def phone(chrome):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield chrome
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def requests_and_errors(chrome):
    """Return the addresses asked for outside this machine, and the console's errors."""
    events = [json.loads(row["message"])["message"] for row in chrome.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    inside = r"(data|blob|file|about|chrome[a-z-]*):|http://127\.0\.0\.1"
    errors = [row["message"] for row in chrome.get_log("browser") if row["level"] == "SEVERE"]
    return {url for url in asked if not re.match(inside, url)}, errors


def center(chrome, element):
    script = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"
    chrome.execute_script(script, element)


# ---------------------------------------------------------------------------- pages as files
def parsed(site, page):
    return BeautifulSoup((site / page).read_text("utf8"), "html.parser")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_leads_somewhere(site, page):
    soup, broken = parsed(site, page), []
    wanted = [(tag, "href") for tag in soup.find_all("a", href=True)]
    wanted += [(tag, "href") for tag in soup.find_all("link", href=True)]
    wanted += [(tag, "src") for tag in soup.find_all(["img", "script"], src=True)]
    for tag, attribute in wanted:
        path, anchor = urldefrag(urljoin((site / page).as_uri(), tag[attribute]))
        if urlsplit(path).scheme != "file":
            assert tag.name == "a", f"{page} loads {path}"
            continue
        target = Path(unquote(urlsplit(path).path))
        if not target.is_file():
            broken.append(tag[attribute])
        elif anchor and target.suffix == ".html" and not tag[attribute].startswith("#__"):
            text = target.read_text("utf8")
            if f'id="{anchor}"' not in text and anchor != "main-content":
                broken.append(tag[attribute])
    assert not broken


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_page_is_light(site, page):
    assert len(gzip.compress((site / page).read_bytes())) < 300_000


@pytest.mark.parametrize("page", CHAPTERS)
def test_maths_is_set_and_nothing_of_its_source_is_left(site, page):
    article = parsed(site, page).find("article")
    for tag in article.find_all(["pre", "script", "annotation", "code"]):
        tag.decompose()
    assert article.find(class_="katex")
    assert not re.search(
        r"\$[^$\d\s][^$]*\$|\\frac|\\mathbf|:::|\{(glue|numref|footcite|eq)", article.get_text()
    )


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_figure_of_a_chapter_has_a_number_a_caption_and_an_alt_text(site, page):
    figures = parsed(site, page).find_all("figure")
    assert figures
    for figure in figures:
        assert figure.find(class_="caption-number"), figure.get("id")
        assert len(figure.find(attrs={"role": "img"})["aria-label"].split()) >= 3


def test_every_chapter_shows_its_verdicts_and_cards(site):
    for chapter in book.written(ROOT):
        soup = parsed(site, f"book/{chapter.name}.html")
        claims = soup.select("div.claim .verdict")
        assert claims, chapter.name
        assert soup.select("details.flashcard summary"), chapter.name


def test_the_api_page_shows_the_bench_and_every_topic(site):
    ids = {tag["id"] for tag in parsed(site, "book/api.html").find_all(id=True)}
    assert {"dlnotes.lab.explore.explore", "dlnotes.lab.claims.check"} <= ids
    for chapter in book.written(ROOT):
        assert f"module-dlnotes.{chapter.part}.{chapter.id}" in ids


def test_fonts_weigh_little_and_come_from_the_site(site):
    fonts = list((site / "vendor/fonts").glob("*.woff2"))
    assert sum(font.stat().st_size for font in fonts) < 150_000


def test_without_a_repository_there_are_no_launch_buttons(site):
    page = (site / CHAPTERS[0]).read_text("utf8")
    assert "mybinder.org" not in page
    assert "colab.research" not in page


def test_with_a_repository_launch_buttons_point_there(site, tmp_path):
    for name in ("book", "src", "_config.yml", "_toc.yml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    shutil.copytree(site.parent / "web", tmp_path / "_build/web")
    environment = {
        **os.environ,
        "BOOK_REPOSITORY_URL": "https://github.com/someone/their-book",
        "BOOK_REPOSITORY_BRANCH": "main",
        "BOOK_JUPYTERHUB_URL": "https://hub.example.org",
    }
    command = [sys.executable, "-m", "press", "site", "build"]
    result = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    page = (tmp_path / "_build/html" / CHAPTERS[0]).read_text("utf8")
    notebook = CHAPTERS[0].replace(".html", ".ipynb")
    assert f"mybinder.org/v2/gh/someone/their-book/main?urlpath=lab/tree/{notebook}" in page
    assert f"colab.research.google.com/github/someone/their-book/blob/main/{notebook}" in page
    assert "hub.example.org/hub/user-redirect/git-pull" in page


def test_the_ledger_lists_every_claim_with_its_verdict_and_a_way_to_its_cell(site):
    rows = parsed(site, "book/ledger.html").select("table.ledger tbody tr")
    entries = read_ledger(ROOT)
    assert len(rows) == len(entries)
    for row, entry in zip(rows, entries, strict=True):
        assert entry.status in row.select_one(".verdict").text
        link = row.select_one("td:last-child a")
        assert bool(link) == (entry.status != "not yet run")
        if link:  # that the anchor exists is tested with all links
            assert link["href"].endswith(f"#claim-{entry.claim.id.replace('.', '-')}")
            assert (f"{entry.seeds_held} of {entry.seeds} seeds" in row.text) == bool(entry.seeds)


def test_every_card_of_the_book_is_on_the_cards_page(site):
    ids = {tag["id"] for tag in parsed(site, "book/cards.html").select("details.flashcard")}
    cards = {
        card.id.replace(".", "-") for topic in read_records(ROOT).values() for card in topic.cards
    }
    assert ids == cards


# ---------------------------------------------------------------------------- pages in a browser
@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("page", PAGES)
def test_every_control_moves_its_picture_and_nothing_asks_the_network(
    chrome, address, scheme, page
):
    requests_and_errors(chrome)  # what an earlier page left in the logs
    chrome.get(address[scheme] + page)
    sliders = chrome.find_elements(By.CSS_SELECTOR, ".explore[data-axes]")
    assert bool(sliders) == (page in CHAPTERS or page == "book/index.html")
    still = []
    for index, slider in enumerate(sliders):
        for number, axis in enumerate(json.loads(slider.get_attribute("data-axes"))):
            if not move(chrome, slider, number, axis):
                still.append((index, number, axis))
    for index, number, axis in still:  # where another control is now, this one may do nothing
        chrome.get(address[scheme] + page)
        slider = chrome.find_elements(By.CSS_SELECTOR, ".explore[data-axes]")[index]
        assert move(chrome, slider, number, axis), f"{axis['name']} moved, its picture did not"
    pictures = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert chrome.execute_script(pictures) == 0
    outside, errors = requests_and_errors(chrome)
    assert not outside
    assert not errors


def move(chrome, slider, number, axis):
    """Move one control by keyboard, and say whether the picture followed."""
    controls = slider.find_elements(By.CSS_SELECTOR, ".explore-row :is(input, select)")
    control, view = controls[number], slider.find_element(By.CSS_SELECTOR, ".explore-view")
    label = slider.find_element(By.CSS_SELECTOR, f"label[for='{control.get_attribute('id')}']")
    assert label.text == axis["name"]
    center(chrome, view)
    before, frame = view.screenshot_as_base64, slider.get_attribute("data-frame")
    last = axis["at"] == len(axis["stops"]) - 1
    keys = {
        "range": Keys.HOME if last else Keys.END,
        "select": Keys.ARROW_UP if last else Keys.ARROW_DOWN,
        "check": Keys.SPACE,
    }
    chrome.execute_script("arguments[0].focus({preventScroll: true})", control)
    control.send_keys(keys[axis["kind"]])
    WebDriverWait(chrome, 5).until(
        lambda _: slider.get_attribute("data-frame") not in (None, frame)
    )
    center(chrome, view)
    changed = view.screenshot_as_base64 != before
    if axis["kind"] == "range":
        assert control.get_attribute("aria-valuetext") == axis["stops"][0 if last else -1]
        assert f"{axis['name']} {axis['stops'][0 if last else -1]}" in view.get_attribute(
            "aria-label"
        )
    return changed


def test_the_keyboard_alone_reaches_and_moves_a_control(chrome, address):
    chrome.get(address["file"] + "book/index.html")
    reached = "return Boolean(document.activeElement.closest('.explore-controls'))"
    for _ in range(80):
        chrome.switch_to.active_element.send_keys(Keys.TAB)
        if chrome.execute_script(reached):
            break
    focused = chrome.switch_to.active_element
    assert chrome.execute_script(reached)
    outline = chrome.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused)
    assert outline == "solid"  # who has no mouse sees where they are
    before = focused.get_attribute("value")
    for key in (Keys.ARROW_DOWN, Keys.ARROW_UP):
        focused.send_keys(key)
        if focused.get_attribute("value") != before:
            break
    assert focused.get_attribute("value") != before
    slider = chrome.find_element(By.CSS_SELECTOR, ".explore[data-axes]")
    WebDriverWait(chrome, 5).until(lambda _: slider.get_attribute("data-frame"))


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_shows_every_page_without_sideways_scrolling(phone, address, page):
    phone.get(address["file"] + page)
    assert phone.execute_script("return document.documentElement.scrollWidth") <= 360


def colors(chrome, selector):
    script = """const style = getComputedStyle(document.querySelector(arguments[0]));
        const back = getComputedStyle(document.body).backgroundColor;
        return [style.color, back].map(c => c.match(/[\\d.]+/g).slice(0, 3).map(Number));"""
    return chrome.execute_script(script, selector)


def contrast(one, other):
    def luminance(color):
        parts = [value / 255 for value in color]
        parts = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", [CHAPTERS[0], "book/index.html"])
def test_light_and_dark_are_both_readable_and_figures_follow(chrome, address, page):
    chrome.get(address["http"] + page)
    seen = {}
    for mode in ("light", "dark"):
        chrome.execute_script(
            f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{mode}')"
        )
        chrome.refresh()
        root = chrome.find_element(By.TAG_NAME, "html")
        assert root.get_attribute("data-theme") == mode
        for selector in ("article p", "article a", ".explore-view svg text", ".verdict"):
            text, back = colors(chrome, selector)
            assert contrast(text, back) >= 4.5, (mode, selector, text, back)
        seen[mode] = colors(chrome, ".explore-view svg text")
    assert seen["light"] != seen["dark"]
    chrome.execute_script("localStorage.clear()")


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_a_word(chrome, address, scheme):
    chrome.get(address[scheme] + "search.html?q=covariance")
    found = "#search-results li a"
    WebDriverWait(chrome, 10).until(lambda _: chrome.find_elements(By.CSS_SELECTOR, found))
    titles = [link.text for link in chrome.find_elements(By.CSS_SELECTOR, found)]
    assert titles


@pytest.mark.parametrize("page", CHAPTERS[:1])
def test_without_scripts_a_page_keeps_its_pictures_maths_and_cards(chrome, address, page):
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chrome.get(address["file"] + page)
        view = chrome.find_element(By.CSS_SELECTOR, ".explore[data-axes] .explore-view svg")
        assert view.size["height"] > 100
        assert chrome.find_elements(By.CSS_SELECTOR, ".katex")
        card = chrome.find_element(By.CSS_SELECTOR, "details.flashcard")
        assert card.get_attribute("open") is None
        card.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
        assert card.get_attribute("open") is not None
    finally:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def shown_rows(chrome):
    rows = chrome.find_elements(By.CSS_SELECTOR, "table.ledger tbody tr")
    return [row for row in rows if row.is_displayed()]


def test_the_ledger_filters_and_searches(chrome, address):
    chrome.get(address["file"] + "book/ledger.html")
    fields = chrome.find_elements(By.CSS_SELECTOR, ".ledger-controls :is(select, input)")
    by_label = {field.find_element(By.XPATH, "..").text.split("\n")[0]: field for field in fields}
    Select(by_label["verdict"]).select_by_visible_text("corrected")
    rows = shown_rows(chrome)
    assert rows
    assert all("verdict-corrected" in row.get_attribute("class") for row in rows)
    by_label["search"].send_keys("kalman")
    found = shown_rows(chrome)
    assert 0 < len(found) < len(rows)
    assert all("kalman" in row.text.lower() for row in found)
    count = chrome.find_element(By.CSS_SELECTOR, ".ledger-controls output").text
    assert count.startswith(f"{len(found)} of ")
    Select(by_label["part"]).select_by_visible_text("Vision")
    assert not shown_rows(chrome)


def test_a_graded_card_is_due_later_and_its_schedule_travels(chrome, address, tmp_path):
    chrome.get(address["file"] + "book/cards.html")
    chrome.execute_script("localStorage.clear()")
    chrome.refresh()
    card = chrome.find_element(By.CSS_SELECTOR, "details.flashcard")
    name = card.get_attribute("id")
    card.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    easy = card.find_element(By.XPATH, ".//button[text()='Easy']")
    easy.send_keys(Keys.ENTER)
    read = "return JSON.parse(localStorage.getItem('dlnotes-cards') || '{}')[arguments[0]]"
    WebDriverWait(chrome, 5).until(lambda _: chrome.execute_script(read, name))
    schedule = chrome.execute_script(read, name)
    assert schedule["reps"] == 1
    assert schedule["scheduled_days"] >= 1
    only_due = chrome.find_element(By.XPATH, "//button[text()='Only due']")
    only_due.send_keys(Keys.SPACE)
    assert only_due.get_attribute("aria-pressed") == "true"
    assert not chrome.find_element(By.ID, name).is_displayed()
    due = chrome.find_elements(By.CSS_SELECTOR, "details.flashcard:not([hidden])")
    everything = chrome.find_elements(By.CSS_SELECTOR, "details.flashcard")
    assert len(due) == len(everything) - 1

    # Another browser: nothing known, until the schedule is imported.
    chrome.execute_script("localStorage.clear()")
    chrome.refresh()
    assert not chrome.execute_script(read, name)
    file = tmp_path / "progress.json"
    file.write_text(json.dumps({name: schedule}))
    chrome.find_element(By.CSS_SELECTOR, ".card-bar input[type=file]").send_keys(str(file))
    WebDriverWait(chrome, 5).until(lambda _: chrome.execute_script(read, name))
    file.write_text("[1, 2]")
    chrome.find_element(By.CSS_SELECTOR, ".card-bar input[type=file]").send_keys(str(file))
    status = chrome.find_element(By.CSS_SELECTOR, ".card-bar output")
    WebDriverWait(chrome, 5).until(lambda _: "not taken" in status.text)
    assert chrome.execute_script(read, name)["reps"] == 1
    chrome.execute_script("localStorage.clear()")


def test_cards_shuffle_within_their_part(chrome, address):
    chrome.get(address["file"] + "book/cards.html")
    order = "return [...document.querySelectorAll('details.flashcard')].map(card => card.id)"
    before = chrome.execute_script(order)
    chrome.find_element(By.XPATH, "//button[text()='Shuffle']").send_keys(Keys.ENTER)
    after = chrome.execute_script(order)
    assert before != after
    assert sorted(before) == sorted(after)


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_quiz_judges_and_explains(chrome, address, page):
    chrome.get(address["file"] + page)
    question = chrome.find_element(By.CSS_SELECTOR, ".quiz-question")
    right = int(question.get_attribute("data-right"))
    options = question.find_elements(By.CSS_SELECTOR, "input[type=radio]")
    assert len(options) >= 3
    center(chrome, question)
    verdict = question.find_element(By.CSS_SELECTOR, ".quiz-verdict")
    options[right - 1].send_keys(Keys.SPACE)
    assert verdict.text == "No."
    options[right].send_keys(Keys.SPACE)
    assert verdict.text == "Right."
    assert question.find_element(By.TAG_NAME, "details").get_attribute("open") is not None


def test_print_shows_pictures_without_controls(chrome, address):
    chrome.get(address["file"] + CHAPTERS[0])
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        controls = chrome.find_element(By.CSS_SELECTOR, ".explore-controls")
        assert not controls.is_displayed()
        assert chrome.find_element(By.CSS_SELECTOR, ".explore-view svg").is_displayed()
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

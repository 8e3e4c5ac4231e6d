//! Tests the pages in a browser: their content, their keyboard control, and errors in their
//! scripts.

use anyhow::{Context, Result, ensure};
use interlatch_browser::{Page, Window, folder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// A lock that forgets a waiter, so two of three processes sleep forever.
const DEADLOCK: &str = "broken-lock-that-forgets-other-waiters.html";

/// A semaphore without Acquire ordering: the execution ends in a data race.
const RACE: &str = "broken-semaphore-acquired-relaxed.html";

/// Returns the rows that a page must show: the steps of its execution without consecutive
/// repetitions.
fn fold(steps: &Value) -> Result<Vec<Value>> {
    let mut rows: Vec<Value> = Vec::new();
    for step in steps.as_array().context("an array")? {
        let key = |step: &Value| ["process", "action", "site"].map(|name| step[name].clone());
        if rows.last().is_none_or(|last| key(last) != key(step)) {
            rows.push(step.clone());
        }
    }
    Ok(rows)
}

/// Returns the index of the selected row.
fn selected(page: &Page) -> Result<u64> {
    page.count("[...document.querySelectorAll('#lanes tbody tr')].findIndex((row) => row.classList.contains('selected'))")
}

/// Returns the source line of a step.
fn source_of(step: &Value) -> Result<String> {
    let site = step["site"].as_str().context("a site")?;
    let (file, line) = site.rsplit_once(':').context("FILE:LINE")?;
    let text = fs::read_to_string(folder().join("../..").join(file))?;
    let line = text.lines().nth(line.parse::<usize>()? - 1);
    Ok(line.context("a line")?.to_owned())
}

/// All facts about a failure page, read with one query because one query is faster than six.
const FACTS: &str = "({
    steps: JSON.parse(document.getElementById('execution').textContent).steps,
    drawn: document.querySelectorAll('#lanes tbody tr').length,
    selected: document.querySelectorAll('#lanes tr.selected:last-child').length,
    source: document.querySelector('#source .here').lastChild.textContent,
    verdict: document.getElementById('verdict').textContent,
    replay: document.getElementById('replay').textContent,
})";

fn check_failure_page(page: &Page) -> Result<()> {
    let facts = page.evaluate(FACTS)?;
    let (rows, drawn) = (fold(&facts["steps"])?, &facts["drawn"]);
    ensure!(
        *drawn == rows.len(),
        "{drawn} rows for {} steps",
        rows.len()
    );
    ensure!(
        facts["selected"] == 1,
        "the last step is selected initially"
    );
    let expected = source_of(rows.last().context("a step")?)?;
    ensure!(
        facts["source"] == expected,
        "the page shows {}, expected {expected:?}",
        facts["source"]
    );
    let text = |name: &str| facts[name].as_str().unwrap_or_default();
    // A model that is not deterministic cannot be replayed.
    let is_expected =
        text("replay").contains(" --replay ") != text("verdict").contains("bad model");
    ensure!(is_expected, "{}, {:?}", text("verdict"), text("replay"));
    Ok(())
}

#[test]
fn every_failure_has_a_complete_page() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit("index.html")?;
    // The folder may also contain pages of older runs, which show the source of their time.
    let summary = fs::read_to_string(folder().join("index.html"))?;
    let mut seen = 0;
    for entry in fs::read_dir(folder())? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.ends_with(".html") && summary.contains(&format!("\"{name}\"")) {
            page.navigate(&name)?;
            check_failure_page(&page).context(name)?;
            seen += 1;
        }
    }
    page.check_errors()?;
    ensure!(seen >= 60, "only {seen} pages exist");
    println!("{seen} pages");
    Ok(())
}

#[test]
fn keyboard_steps_through_an_execution() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit(DEADLOCK)?;
    let rows = fold(&page.evaluate("execution.steps")?)?;
    let last = rows.len() as u64 - 1;
    page.press(&["Home"])?;
    for (number, row) in rows.iter().enumerate() {
        ensure!(selected(&page)? == number as u64);
        let shown = page.text("document.querySelector('#source .here').lastChild.textContent")?;
        ensure!(shown == source_of(row)?, "step {number}: {shown:?}");
        let later = page.count("document.querySelectorAll('#lanes tr.later').length")?;
        ensure!(later == last - number as u64, "later steps are faint");
        page.press(&["ArrowDown"])?;
    }
    ensure!(selected(&page)? == last, "the last step has no successor");
    page.press(&["ArrowUp"])?;
    ensure!(selected(&page)? == last - 1);
    page.press(&["Home", "ArrowUp", "ArrowRight"])?;
    let at = selected(&page)? as usize;
    ensure!(at > 0 && rows[at]["process"] == rows[0]["process"]);
    page.press(&["ArrowLeft"])?;
    ensure!(selected(&page)? == 0);
    page.press(&["End"])?;
    ensure!(selected(&page)? == last);
    page.click("#lanes tbody tr:nth-child(3) .step")?;
    ensure!(selected(&page)? == 2);
    page.check_errors()
}

#[test]
fn deadlock_page_shows_sleepers_and_orderings() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit(DEADLOCK)?;
    let asleep =
        "document.querySelector('#lanes tbody tr:last-child').querySelectorAll('.asleep').length";
    ensure!(page.count(asleep)? == 1, "process 2 is asleep at the end");
    ensure!(page.count("document.querySelectorAll('#arrows .orders').length")? >= 1);
    ensure!(page.count("document.querySelectorAll('#arrows .reads').length")? >= 5);
    ensure!(page.count("document.querySelectorAll('#arrows .races').length")? == 0);
    let memory = page.text("document.getElementById('memory').textContent")?;
    ensure!(memory.contains("word 0= 0"), "the lock is free: {memory}");
    let states = page.text("document.getElementById('process-states').textContent")?;
    ensure!(states.contains("process 2 sleeps on word 0"), "{states}");
    page.screenshot("deadlock.png")?;
    page.use_dark_scheme()?;
    page.screenshot("deadlock-dark.png")?;
    page.check_errors()
}

#[test]
fn race_page_names_both_accesses() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit(RACE)?;
    ensure!(page.count("document.querySelectorAll('#arrows .races').length")? == 1);
    let other = page.text("document.querySelector('tr.race .step').textContent")?;
    let this = page.text("document.querySelector('tr.selected .step').textContent")?;
    ensure!(
        other.contains("cell") && this.contains("cell"),
        "{other}, {this}"
    );
    let ordered =
        page.evaluate("document.querySelector('tr.race').classList.contains('before')")?;
    ensure!(ordered == false, "racing accesses are not ordered");
    page.screenshot("race.png")?;
    page.check_errors()
}

#[test]
fn summary_page_shows_the_results_of_the_run() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit("index.html")?;
    let run: Value = serde_json::from_str(&fs::read_to_string(folder().join("run.json"))?)?;
    let models = run["results"]["models"].as_array().context("models")?;
    let passed = models.iter().filter(|model| model["passed"] == true);
    let expected = format!("{} of {}", passed.count(), models.len());
    let shown = page.text("document.querySelector('.score b').textContent")?;
    ensure!(
        shown == expected,
        "the page shows {shown}, expected {expected}"
    );
    // The board has one badge for each correct model, each bug and each fixed form.
    let badges = page.count(
        "document.querySelectorAll('#properties .badge, #museum .badge, #bugs .badge').length",
    )?;
    ensure!(
        badges == models.len() as u64,
        "{badges} badges for {} models",
        models.len()
    );
    let holds = models.iter().filter(|model| model["is_bug"] == false);
    let named = holds.filter(|model| {
        !model["name"]
            .as_str()
            .is_some_and(|name| name.ends_with(", fixed"))
    });
    let with_crash_points = named.filter(|model| model["crash_points"] != 0).count() as u64;
    let shown = page.count(
        "[...document.querySelectorAll('#properties .count')].filter((count) => count.textContent.includes('crash points')).length",
    )?;
    ensure!(
        shown == with_crash_points && with_crash_points >= 10,
        "{shown} rows show crash points, {with_crash_points} models have crash points"
    );
    let museum = page.count("document.querySelectorAll('#museum tbody tr').length")?;
    let has = |name: &str| models.iter().any(|model| model["name"] == name);
    let names = models.iter().filter_map(|model| model["name"].as_str());
    let exhibits = names.filter(|name| has(&format!("{name}, fixed"))).count() as u64;
    ensure!(museum == exhibits, "{museum} rows for {exhibits} exhibits");
    ensure!(exhibits >= 25, "the run has only {exhibits} exhibits");
    let links = page.evaluate(
        "[...document.querySelectorAll('main a')].map((link) => link.getAttribute('href'))",
    )?;
    let links: BTreeSet<&str> = links
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(links.len() >= 60);
    for link in links {
        ensure!(folder().join(link).is_file(), "{link} does not exist");
    }
    page.screenshot("summary.png")?;
    page.check_errors()
}

#[test]
fn summary_page_links_to_the_executions() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit("index.html")?;
    page.click(&format!("a[href='{DEADLOCK}']"))?;
    page.wait_for(
        "document.getElementById('model')?.textContent === 'broken/lock_that_forgets_other_waiters'",
    )?;
    page.check_errors()
}

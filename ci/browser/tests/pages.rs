//! The pages as a person sees them: everything is there, the keyboard steps, nothing complains.

use anyhow::{Context, Result, ensure};
use interlatch_browser::{Page, Window, folder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// A lock that forgets a waiter: three processes, two of them sleep.
const DEADLOCK: &str = "broken-lock-that-forgets-other-waiters.html";

/// A semaphore that hands over nothing: the two accesses that race are the end of it.
const RACE: &str = "broken-semaphore-that-acquires-relaxed.html";

/// The rows that a page should have: its steps, without immediate repetitions.
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

/// The row that is chosen, from 0.
fn chosen(page: &Page) -> Result<u64> {
    page.count("[...document.querySelectorAll('#lanes tbody tr')].findIndex((row) => row.classList.contains('chosen'))")
}

/// The line of source of a step.
fn source_of(step: &Value) -> Result<String> {
    let site = step["site"].as_str().context("a site")?;
    let (file, line) = site.rsplit_once(':').context("FILE:LINE")?;
    let text = fs::read_to_string(folder().join("../..").join(file))?;
    let line = text.lines().nth(line.parse::<usize>()? - 1);
    Ok(line.context("a line")?.to_owned())
}

/// Asks once for everything, since an answer takes a while.
const FACTS: &str = "({
    steps: JSON.parse(document.getElementById('execution').textContent).steps,
    drawn: document.querySelectorAll('#lanes tbody tr').length,
    chosen: document.querySelectorAll('#lanes tr.chosen:last-child').length,
    source: document.querySelector('#source .here').lastChild.textContent,
    verdict: document.getElementById('verdict').textContent,
    replay: document.getElementById('replay').textContent,
})";

fn shows_a_failure(page: &Page) -> Result<()> {
    let facts = page.ask(FACTS)?;
    let (rows, drawn) = (fold(&facts["steps"])?, &facts["drawn"]);
    ensure!(
        *drawn == rows.len(),
        "{drawn} rows for {} steps",
        rows.len()
    );
    ensure!(facts["chosen"] == 1, "the last step is chosen at first");
    let expected = source_of(rows.last().context("a step")?)?;
    ensure!(
        facts["source"] == expected,
        "{} is shown, expected {expected:?}",
        facts["source"]
    );
    let text = |name: &str| facts[name].as_str().unwrap_or_default();
    // What does not do the same each time cannot be run again.
    let is_expected =
        text("replay").contains(" --replay ") != text("verdict").contains("bad model");
    ensure!(is_expected, "{}, {:?}", text("verdict"), text("replay"));
    Ok(())
}

#[test]
fn every_failure_has_a_page_that_shows_all_of_it() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit("index.html")?;
    let mut seen = 0;
    for entry in fs::read_dir(folder())? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.ends_with(".html") && name != "index.html" {
            page.go(&name)?;
            shows_a_failure(&page).context(name)?;
            seen += 1;
        }
    }
    page.has_no_complaints()?;
    ensure!(seen >= 60, "only {seen} pages were left");
    println!("{seen} pages");
    Ok(())
}

#[test]
fn the_keyboard_steps_through_an_execution() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit(DEADLOCK)?;
    let rows = fold(&page.ask("execution.steps")?)?;
    let last = rows.len() as u64 - 1;
    page.press(&["Home"])?;
    for (number, row) in rows.iter().enumerate() {
        ensure!(chosen(&page)? == number as u64);
        let shown = page.text("document.querySelector('#source .here').lastChild.textContent")?;
        ensure!(shown == source_of(row)?, "step {number}: {shown:?}");
        let later = page.count("document.querySelectorAll('#lanes tr.later').length")?;
        ensure!(later == last - number as u64, "what is to come is faint");
        page.press(&["ArrowDown"])?;
    }
    ensure!(
        chosen(&page)? == last,
        "there is nothing after the last step"
    );
    page.press(&["ArrowUp"])?;
    ensure!(chosen(&page)? == last - 1);
    page.press(&["Home", "ArrowUp", "ArrowRight"])?;
    let at = chosen(&page)? as usize;
    ensure!(at > 0 && rows[at]["process"] == rows[0]["process"]);
    page.press(&["ArrowLeft"])?;
    ensure!(chosen(&page)? == 0);
    page.press(&["End"])?;
    ensure!(chosen(&page)? == last);
    page.click("#lanes tbody tr:nth-child(3) .step")?;
    ensure!(chosen(&page)? == 2);
    page.has_no_complaints()
}

#[test]
fn a_deadlock_shows_who_sleeps_and_what_is_ordered() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit(DEADLOCK)?;
    let asleep =
        "document.querySelector('#lanes tbody tr:last-child').querySelectorAll('.asleep').length";
    ensure!(page.count(asleep)? == 1, "process 2 sleeps at the end");
    ensure!(page.count("document.querySelectorAll('#arrows .orders').length")? >= 1);
    ensure!(page.count("document.querySelectorAll('#arrows .reads').length")? >= 5);
    ensure!(page.count("document.querySelectorAll('#arrows .races').length")? == 0);
    let memory = page.text("document.getElementById('memory').textContent")?;
    ensure!(memory.contains("word 0= 0"), "the lock is free: {memory}");
    let standing = page.text("document.getElementById('standing').textContent")?;
    ensure!(
        standing.contains("process 2 sleeps on word 0"),
        "{standing}"
    );
    page.photograph("deadlock.png")?;
    page.darken()?;
    page.photograph("deadlock-dark.png")?;
    page.has_no_complaints()
}

#[test]
fn a_race_names_both_accesses() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit(RACE)?;
    ensure!(page.count("document.querySelectorAll('#arrows .races').length")? == 1);
    let other = page.text("document.querySelector('tr.race .step').textContent")?;
    let this = page.text("document.querySelector('tr.chosen .step').textContent")?;
    ensure!(
        other.contains("cell") && this.contains("cell"),
        "{other}, {this}"
    );
    let ordered = page.ask("document.querySelector('tr.race').classList.contains('before')")?;
    ensure!(ordered == false, "what races is not ordered");
    page.photograph("race.png")?;
    page.has_no_complaints()
}

#[test]
fn the_board_tells_what_the_run_has_found() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit("index.html")?;
    let run: Value = serde_json::from_str(&fs::read_to_string(folder().join("run.json"))?)?;
    let models = run["found"]["models"].as_array().context("models")?;
    let good = models.iter().filter(|model| model["is_good"] == true);
    let expected = format!("{} of {}", good.count(), models.len());
    let shown = page.text("document.querySelector('.score b').textContent")?;
    ensure!(shown == expected, "{shown}, expected {expected}");
    // One badge for each model that has to hold, one for each bug, one for each mended form.
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
            .is_some_and(|name| name.ends_with(", mended"))
    });
    let killed = named.filter(|model| model["crash_points"] != 0).count() as u64;
    let shown = page.count(
        "[...document.querySelectorAll('#properties .count')].filter((count) => count.textContent.includes('crash points')).length",
    )?;
    ensure!(
        shown == killed && killed >= 10,
        "{shown} rows name crash points, {killed} have some"
    );
    let museum = page.count("document.querySelectorAll('#museum tbody tr').length")?;
    let has = |name: &str| models.iter().any(|model| model["name"] == name);
    let names = models.iter().filter_map(|model| model["name"].as_str());
    let exhibits = names.filter(|name| has(&format!("{name}, mended"))).count() as u64;
    ensure!(museum == exhibits, "{museum} rows for {exhibits} exhibits");
    ensure!(exhibits >= 25, "only {exhibits} exhibits were run");
    let links = page
        .ask("[...document.querySelectorAll('main a')].map((link) => link.getAttribute('href'))")?;
    let links: BTreeSet<&str> = links
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(links.len() >= 60);
    for link in links {
        ensure!(folder().join(link).is_file(), "{link} leads nowhere");
    }
    page.photograph("board.png")?;
    page.has_no_complaints()
}

#[test]
fn from_the_board_a_click_leads_to_the_execution() -> Result<()> {
    let window = Window::open()?;
    let page = window.visit("index.html")?;
    page.click(&format!("a[href='{DEADLOCK}']"))?;
    page.wait_for(
        "document.getElementById('model')?.textContent === 'broken/lock_that_forgets_other_waiters'",
    )?;
    page.has_no_complaints()
}

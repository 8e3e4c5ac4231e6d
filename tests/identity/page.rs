//! The table of outcomes in `docs/identity.md`.

use super::cell::Row;
use super::owner::NOT_POSSIBLE;
use super::subject::Subject;
use super::subjects;
use super::ways::Way;
use interlatch_testing::harness::Test;
use std::fs;
use std::path::PathBuf;

pub fn tests() -> Vec<Test> {
    let name = "page_has_a_row_for_each_subject";
    vec![Test::new(name, page_has_a_row_for_each_subject)]
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/identity.md")
}

fn read() -> String {
    fs::read_to_string(path()).expect("the page exists")
}

fn begins_row(line: &str, subject: &Subject) -> bool {
    line.starts_with(&format!("| {} |", subject.name))
}

fn cells(line: &str) -> Vec<String> {
    let inside = line.trim().trim_start_matches('|').trim_end_matches('|');
    inside
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// Compares the outcomes with the row of the page, or writes the row if `INTERLATCH_UPDATE` is set.
pub fn check(subject: &Subject, row: &Row) {
    for copy in &row.copies {
        assert!(!copy.starts_with("failed"), "{}: {copy}", subject.name);
    }
    let mut expected = vec![subject.name.to_owned()];
    expected.extend(row.copies.iter().cloned());
    expected.extend([row.look.clone(), row.after_death.clone()]);
    if std::env::var_os("INTERLATCH_UPDATE").is_some() {
        return write(subject, &expected);
    }
    let page = read();
    let line = page.lines().find(|line| begins_row(line, subject));
    let found = cells(line.unwrap_or_default());
    let agrees = |(found, expected): (&String, &String)| {
        found == expected || expected.starts_with(NOT_POSSIBLE)
    };
    assert!(
        found.len() == expected.len() && found.iter().zip(&expected).all(agrees),
        "docs/identity.md is stale: it says {found:?}, expected {expected:?}; \
         run this test with INTERLATCH_UPDATE=1"
    );
}

/// Replaces the row, or adds it, and sorts the rows like the subjects.
fn write(subject: &Subject, cells: &[String]) {
    let page = read();
    let is_row = |line: &&str| {
        subjects::ALL
            .iter()
            .any(|subject| begins_row(line, subject))
    };
    let mut lines: Vec<&str> = page.lines().filter(|line| !is_row(line)).collect();
    let new = format!("| {} |", cells.join(" | "));
    for other in subjects::ALL {
        match other.name == subject.name {
            true => lines.push(&new),
            false => lines.extend(page.lines().find(|line| begins_row(line, other))),
        }
    }
    fs::write(path(), lines.join("\n") + "\n").expect("the page can be written");
}

fn page_has_a_row_for_each_subject() {
    let page = read();
    let rows: Vec<_> = page
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
        .skip(1)
        .collect();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|line| cells(line)[0].clone())
        .collect();
    let subjects: Vec<_> = subjects::ALL.iter().map(|subject| subject.name).collect();
    assert_eq!(rows, subjects);
    let header = page
        .lines()
        .find(|line| line.starts_with("| type |"))
        .expect("a table");
    let ways: Vec<_> = Way::ALL.iter().map(|way| way.name().to_owned()).collect();
    let columns = cells(header).into_iter().skip(1).take(ways.len());
    assert_eq!(columns.collect::<Vec<_>>(), ways);
}

//! Checks that the files, models and concepts exist that the documentation pages name.

use std::fs;
use std::path::Path;

/// Returns the words in backticks on a page, without its code blocks.
fn names(page: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page));
    let text = text.unwrap_or_else(|error| panic!("{page}: {error}"));
    let prose: String = text.split("```").step_by(2).collect();
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Returns the source of all models and of the scenarios that the models run.
fn models() -> String {
    let folders = [
        "models",
        "models/broken",
        "crates/contract/src",
        "crates/contract/src/buffer",
    ];
    let files = folders.iter().flat_map(|folder| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        fs::read_dir(folder).expect("a folder of the project")
    });
    let source = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    source.collect()
}

/// Returns the documentation pages: the pages in the root directory, and the pages of the guide.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).expect("a folder of the project");
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        let names = names.filter(|name| name.ends_with(".md"));
        names
            .map(|name| format!("{folder}{name}"))
            .collect::<Vec<_>>()
    };
    [in_folder(""), in_folder("docs/")].concat()
}

/// The changelog is skipped, because it names files that no longer exist.
const HISTORY: &str = "CHANGELOG.md";

/// Files of a user's package. The guide to models tells the user to create these files.
const USER_FILES: [&str; 1] = ["tests/models.rs"];

#[test]
fn files_named_in_pages_exist() {
    let pages = pages();
    assert!(pages.len() > 10, "found only {pages:?}");
    for page in pages.iter().filter(|page| *page != HISTORY) {
        let folders = [
            "src/",
            "tests/",
            "models/",
            "examples/",
            "ci/",
            ".ci/",
            ".github/",
            ".cargo/",
            "docs/",
            "crates/",
        ];
        let names = names(page).into_iter();
        let paths = names.filter(|name| folders.iter().any(|folder| name.starts_with(folder)));
        let paths =
            paths.filter(|name| !name.contains(['*', '<', ' ', '{']) && !name.contains("NAME"));
        let missing: Vec<String> = paths
            .filter(|path| !USER_FILES.contains(&path.as_str()))
            .filter(|path| !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists())
            .collect();
        assert!(
            missing.is_empty(),
            "{page} names files that do not exist: {missing:?}"
        );
    }
}

#[test]
fn links_between_pages_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in pages() {
        let text = fs::read_to_string(root.join(&page)).expect("a page");
        let folder = root.join(&page);
        let folder = folder.parent().expect("a page lies in a folder");
        let prose: String = text.split("```").step_by(2).collect();
        let targets = prose.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets.filter(|(target, _)| !target.contains("://")) {
            let (file, _) = target.split_once('#').unwrap_or((target, ""));
            assert!(folder.join(file).exists(), "{page} links to {target}");
        }
    }
}

#[test]
fn readme_fits_into_200_lines_and_has_both_commands() {
    let readme = include_str!("../README.md");
    assert!(readme.lines().count() <= 200);
    for command in [
        "cargo test",
        "RUSTFLAGS=\"--cfg loom\" cargo test --release --test models",
    ] {
        assert!(readme.lines().any(|line| line == command), "{command}");
    }
}

#[test]
fn models_named_in_concepts_exist() {
    let source = models();
    let kinds = [
        "mutex/",
        "condvar/",
        "semaphore/",
        "semaphore_pair/",
        "bounded<",
        "monitor<",
        "message_queue/",
        "rendezvous/",
        "loan/",
        "segment_list/",
        "addressed/",
        "byte_pipe<",
        "directory/",
        "duplex/",
        "pipe<",
        "pipe_",
        "robust_",
        "raw_robust_mutex/",
        "broken/",
    ];
    let names = names("docs/concepts.md").into_iter();
    let models =
        names.filter(|name| name.contains('/') && kinds.iter().any(|kind| name.starts_with(kind)));
    let models: Vec<String> = models.collect();
    assert!(
        models.len() > kinds.len(),
        "the page names no models: {models:?}"
    );
    for model in models {
        let (_, scenario) = model.split_once('/').expect("as filtered");
        assert!(source.contains(scenario), "there is no model {model}");
    }
}

/// The concepts of the course notes, in the order of the notes.
const CONCEPTS: [&str; 27] = [
    "producer and consumer, bounded",
    "producer and consumer, unbounded",
    "shared memory",
    "race condition",
    "lock",
    "condition variable",
    "semaphore pair",
    "message passing",
    "direct naming",
    "indirect naming",
    "synchronous and asynchronous",
    "buffering",
    "fixed and variable size",
    "pipe",
    "end of stream, broken pipe",
    "two-way",
    "named pipe",
    "chat",
    "shell pipeline",
    "message queue",
    "replies by type",
    "sockets",
    "signals",
    "process groups",
    "blocking and non-blocking",
    "threads and processes",
    "cooperating and independent",
];

#[test]
fn every_concept_has_a_type_a_model_a_test_and_an_example() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/concepts.md");
    let page = fs::read_to_string(page).expect("the page exists");
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(2);
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let concepts: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(concepts, CONCEPTS);
    for row in rows {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(row[3].contains("tests/"), "{row:?}");
    }
}

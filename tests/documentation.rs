//! What the pages name has to exist.

use std::fs;
use std::path::Path;

/// The words in backticks, outside of blocks.
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

/// All source of the models and of the scenarios that they run.
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

#[test]
fn the_files_that_pages_name_exist() {
    for page in ["README.md", "docs/concepts.md", "docs/speed.md"] {
        let folders = [
            "src/",
            "tests/",
            "models/",
            "examples/",
            "ci/",
            "docs/",
            "crates/",
        ];
        let names = names(page).into_iter();
        let paths = names.filter(|name| folders.iter().any(|folder| name.starts_with(folder)));
        let missing: Vec<String> = paths
            .filter(|path| !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists())
            .collect();
        assert!(
            missing.is_empty(),
            "{page} names what does not exist: {missing:?}"
        );
    }
}

#[test]
fn the_models_that_the_concepts_name_exist() {
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

/// What the course notes teach, in their order.
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
fn each_concept_has_a_type_a_model_a_test_and_an_example() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/concepts.md");
    let page = fs::read_to_string(page).expect("the page is there");
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

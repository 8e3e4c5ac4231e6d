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
    let folders = ["models", "models/broken", "src/contract"];
    let files = folders.iter().flat_map(|folder| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        fs::read_dir(folder).expect("a folder of the project")
    });
    let source = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    source.collect()
}

#[test]
fn the_files_that_pages_name_exist() {
    for page in ["README.md", "docs/concepts.md"] {
        let folders = [
            "src/",
            "tests/",
            "models/",
            "examples/",
            "ci/",
            "docs/",
            "benches/",
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
        "pair/",
        "bounded<",
        "monitor<",
        "queue/",
        "rendezvous/",
        "loan/",
        "chain/",
        "address/",
        "broken/",
    ];
    let names = names("docs/concepts.md").into_iter();
    let models = names.filter(|name| kinds.iter().any(|kind| name.starts_with(kind)));
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

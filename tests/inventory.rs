//! Every public type has its contract, models, tests and docs, or a reason why not.
//!
//! `docs/inventory.md` is the table. This test compares it with the source: a public type without a
//! row fails, and so does a row whose evidence does not exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Item, UseTree, Visibility};

/// The modules whose types users see. `platform` is the layer below: its types are part of each
/// primitive and have models of their own in `models/litmus`.
const MODULES: [&str; 5] = ["channel", "inspect", "named", "region", "sync"];

const COLUMNS: [&str; 10] = [
    "type",
    "contract",
    "models",
    "models with deaths",
    "broken sibling",
    "crash sweep",
    "inspector",
    "docs",
    "benchmark",
    "example",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of every Rust file in a folder and its subfolders.
fn source(folder: &str) -> String {
    let mut pending = vec![root().join(folder)];
    let mut text = String::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the project");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).expect("a source file");
        }
    }
    text
}

/// The file of a module: `name.rs`, or `name/mod.rs`.
fn file_of_module(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.rs"));
    match file.exists() {
        true => file,
        false => folder.join(name).join("mod.rs"),
    }
}

/// Adds the public types that a module defines or re-exports.
fn collect_types(file: &Path, types: &mut BTreeSet<String>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    for item in parsed.items {
        let (visibility, attributes) = match &item {
            Item::Use(item) => (&item.vis, &item.attrs),
            Item::Mod(item) => (&item.vis, &item.attrs),
            Item::Struct(item) => (&item.vis, &item.attrs),
            Item::Enum(item) => (&item.vis, &item.attrs),
            Item::Trait(item) => (&item.vis, &item.attrs),
            Item::Type(item) => (&item.vis, &item.attrs),
            _ => continue,
        };
        if !matches!(visibility, Visibility::Public(_)) || is_hidden(attributes) {
            continue;
        }
        match item {
            Item::Use(item) => collect_names(&item.tree, types),
            Item::Mod(module) if module.content.is_none() => {
                let folder = file.parent().expect("a file in a folder");
                let inside = match file.file_stem().and_then(|stem| stem.to_str()) {
                    Some("mod" | "lib") | None => folder.to_path_buf(),
                    Some(stem) => folder.join(stem),
                };
                collect_types(&file_of_module(&inside, &module.ident.to_string()), types);
            }
            Item::Struct(item) => _ = types.insert(item.ident.to_string()),
            Item::Enum(item) => _ = types.insert(item.ident.to_string()),
            Item::Trait(item) => _ = types.insert(item.ident.to_string()),
            Item::Type(item) => _ = types.insert(item.ident.to_string()),
            _ => {}
        }
    }
}

fn is_hidden(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|word| word == "hidden")
    })
}

/// Adds the names of a `use` that are types: they begin with a capital letter and have a small one.
fn collect_names(tree: &UseTree, types: &mut BTreeSet<String>) {
    let name = match tree {
        UseTree::Path(path) => return collect_names(&path.tree, types),
        UseTree::Group(group) => {
            return group
                .items
                .iter()
                .for_each(|item| collect_names(item, types));
        }
        UseTree::Name(name) => name.ident.to_string(),
        UseTree::Rename(rename) => rename.rename.to_string(),
        UseTree::Glob(_) => panic!("a glob re-export hides which types are public"),
    };
    if name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase) {
        types.insert(name);
    }
}

fn public_types() -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    for module in MODULES {
        collect_types(&file_of_module(&root().join("src"), module), &mut types);
    }
    types
}

/// The rows of the tables whose first column is `type`, without their heads.
fn rows(page: &str, columns: usize) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inside = line.trim().trim_start_matches('|').trim_end_matches('|');
        inside
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<String>> = lines.map(cells).collect();
    rows.into_iter()
        .filter(|row| row.len() == columns)
        .collect()
}

/// The words in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether a scenario of this name lists participants that die.
fn has_victims(contracts: &str, scenario: &str) -> bool {
    let Some((_, after)) = contracts.split_once(&format!("pub fn {scenario}")) else {
        return false;
    };
    let body = after.split("\npub fn ").next().unwrap_or(after);
    body.contains(".victims(")
}

struct Sources {
    contracts: String,
    models: String,
    broken: String,
    sweeps: String,
    inspector: String,
    benches: String,
    docs: String,
}

impl Sources {
    fn read() -> Self {
        let sweeps = fs::read_dir(root().join("tests/crashes")).expect("a folder");
        let sweeps = sweeps.map(|entry| entry.expect("an entry").path());
        let sweeps = sweeps.filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("sweep"))
        });
        let sweeps = sweeps.map(|path| fs::read_to_string(path).expect("a source file"));
        Self {
            contracts: source("crates/contract/src"),
            models: source("models"),
            broken: source("models/broken") + &source("models/museum"),
            sweeps: sweeps.collect(),
            inspector: source("src/inspect"),
            benches: source("crates/benches"),
            docs: read("docs/types.md"),
        }
    }

    /// What is wrong with one cell, if anything.
    fn refute(&self, column: &str, type_name: &str, evidence: &str) -> Option<String> {
        let exists = match column {
            "contract" => root().join(evidence).is_file(),
            "models" => self.models.contains(&format!("\"{evidence}\"")),
            "models with deaths" => has_victims(&self.contracts, evidence),
            "broken sibling" => self.broken.contains(&format!("\"{evidence}\"")),
            "crash sweep" => self.sweeps.contains(&format!("\"{evidence}\"")),
            "inspector" => self.inspector.contains(evidence),
            "docs" => self.docs.contains(&format!("| `{evidence}")),
            "benchmark" => self.benches.contains(evidence) && self.benches.contains(type_name),
            "example" => root().join(evidence).is_file() && read(evidence).contains(type_name),
            other => panic!("unknown column {other}"),
        };
        (!exists).then(|| format!("{type_name}, {column}: `{evidence}` does not exist"))
    }
}

#[test]
fn every_public_type_is_in_the_inventory() {
    let page = read("docs/inventory.md");
    let listed: Vec<String> = [COLUMNS.len(), 2]
        .into_iter()
        .flat_map(|columns| rows(&page, columns))
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a type has two rows");
    let public = public_types();
    let missing: Vec<&String> = public.difference(&unique).collect();
    let stale: Vec<&String> = unique.difference(&public).collect();
    assert!(
        missing.is_empty(),
        "add rows to docs/inventory.md for {missing:?}"
    );
    assert!(
        stale.is_empty(),
        "docs/inventory.md lists what is not public: {stale:?}"
    );
}

#[test]
fn the_evidence_of_each_primitive_exists() {
    let page = read("docs/inventory.md");
    let head = page
        .lines()
        .find(|line| line.starts_with("| type | contract"));
    let expected = format!("| {} |", COLUMNS.join(" | "));
    assert_eq!(
        head,
        Some(expected.as_str()),
        "the columns of docs/inventory.md"
    );
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for row in rows(&page, COLUMNS.len()) {
        let type_name = row[0].trim_matches('`').to_owned();
        for (column, cell) in COLUMNS.iter().zip(&row).skip(1) {
            let evidence = quoted(cell);
            if let Some(reason) = cell.strip_prefix("none: ") {
                let is_reason = reason.split_whitespace().count() >= 3;
                if !is_reason {
                    wrong.push(format!("{type_name}, {column}: {reason:?} is no reason"));
                }
            } else if evidence.is_empty() {
                wrong.push(format!("{type_name}, {column}: no evidence and no reason"));
            } else {
                let refuted = evidence
                    .iter()
                    .filter_map(|evidence| sources.refute(column, &type_name, evidence));
                wrong.extend(refuted);
            }
        }
    }
    assert!(wrong.is_empty(), "docs/inventory.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_part_belongs_to_a_listed_primitive() {
    let page = read("docs/inventory.md");
    let primitives: Vec<String> = rows(&page, COLUMNS.len())
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    for row in rows(&page, 2) {
        let owners = quoted(&row[1]);
        assert!(!owners.is_empty(), "{}: part of what?", row[0]);
        for owner in owners {
            let is_listed = primitives.iter().any(|primitive| primitive == owner);
            assert!(is_listed, "{} is part of {owner}, which has no row", row[0]);
        }
    }
}

//! Every public type has a contract, models, tests and docs, or a reason why one of them is
//! missing.
//!
//! The table in `docs/inventory.md` lists the evidence for each type. This test compares the table
//! with the source. The test fails if a public type has no row, or if a row names evidence that
//! does not exist.

#[path = "inventory/operations.rs"]
mod operations;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Item, UseTree, Visibility};

/// The modules whose types users see. `platform` is the layer below these modules: its types are
/// part of each primitive and have their own models in `models/litmus`.
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

/// Returns the Rust files in a folder and its subfolders.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut pending = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the project");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Returns the contents of all Rust files in a folder.
fn source(folder: &str) -> String {
    let texts = files(folder).into_iter().map(fs::read_to_string);
    texts.map(|text| text.expect("a source file")).collect()
}

/// Returns the file of a module: `name.rs`, or `name/mod.rs`.
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

/// Adds the type names of a `use`: a type name begins with a capital letter and has a lowercase
/// letter.
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

/// Returns the rows of the tables whose first column is `type`, without the header rows.
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

/// Returns the words of a text that are in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Returns whether a text contains a name as a whole word, not only as a part of a longer name.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .any(|word| word == name)
}

/// Returns whether the scenario that a contract defines under this name has participants that die.
fn has_victims(contract: &str, scenario: &str) -> bool {
    let definitions = ["(", "<"].map(|end| format!("pub fn {scenario}{end}"));
    let mut found = definitions.iter().filter_map(|it| contract.split_once(it));
    found.any(|(_, after)| {
        let body = after.split("\n}").next().unwrap_or(after);
        body.contains(".victims(")
    })
}

/// Returns the source without white space and without the names of scenarios. In the result, a name
/// that follows an opening parenthesis is the name of a model.
fn calls(source: &str) -> String {
    let dense: String = source.split_whitespace().collect();
    dense.replace("Scenario::new(", "")
}

/// Returns the lines of the examples in doc comments.
fn doc_examples(source: &str) -> String {
    let lines = source.lines().map(str::trim_start);
    let docs = lines.filter_map(|line| line.strip_prefix("///").or(line.strip_prefix("//!")));
    let docs: Vec<&str> = docs.collect();
    let docs = docs.join("\n");
    let blocks: Vec<&str> = docs.split("```").skip(1).step_by(2).collect();
    blocks.join("\n")
}

/// The source files in which the test looks for evidence.
struct Sources {
    /// The calls of each file in `models/`, without the files in its subfolders.
    models: Vec<String>,
    /// The files with known bugs, each preceded by its path.
    broken: Vec<String>,
    sweeps: String,
    inspector: String,
    docs: String,
}

impl Sources {
    fn read() -> Self {
        let models = files("models");
        let is_broken = |path: &&PathBuf| {
            let folders = ["models/broken", "models/museum"];
            folders
                .iter()
                .any(|folder| path.starts_with(root().join(folder)))
        };
        let text = |path: &PathBuf| fs::read_to_string(path).expect("a source file");
        let in_models = models
            .iter()
            .filter(|path| path.parent() == Some(&root().join("models")));
        Self {
            models: in_models.map(|path| calls(&text(path))).collect(),
            broken: (models.iter().filter(is_broken))
                .map(|path| format!("{}\n{}", path.display(), text(path)))
                .collect(),
            sweeps: source("tests/crashes/sweep"),
            inspector: read("src/inspect/state.rs"),
            docs: read("docs/types.md"),
        }
    }

    /// Returns whether the evidence in a cell of the row exists.
    fn confirm(&self, column: &str, row: &[String], evidence: &str) -> bool {
        let type_name = row[0].trim_matches('`');
        let contracts = quoted(&row[1]);
        let is_file =
            |folder: &str| evidence.starts_with(folder) && root().join(evidence).is_file();
        match column {
            "contract" => is_file("crates/contract/src/") && read(evidence).contains("pub fn all"),
            // A model may have several sizes: `ring<1>`, `ring<2>`.
            "models" => self.models.iter().any(|calls| {
                calls.contains(&format!("(\"{evidence}\""))
                    || calls.contains(&format!("(\"{evidence}<"))
            }),
            "models with deaths" => contracts
                .iter()
                .any(|contract| has_victims(&read(contract), evidence)),
            // The file must name the type or its contract: a bug of another type is no evidence.
            "broken sibling" => self.broken.iter().any(|source| {
                let modules = contracts.iter().map(|contract| module_of(contract));
                calls(source).contains(&format!("(\"{evidence}\","))
                    && modules
                        .chain([type_name])
                        .any(|name| has_word(source, name))
            }),
            // The evidence is one operation, or all operations of an object: `ring: `.
            "crash sweep" => {
                let names = [format!("\"{evidence}\""), format!("\"{evidence}: \"")];
                names.iter().any(|name| self.sweeps.contains(name))
                    && has_word(&(read("tests/crashes/sweep.rs") + &self.sweeps), type_name)
            }
            "inspector" => {
                evidence.ends_with("::read_state")
                    && self.inspector.contains(&format!("{evidence}("))
            }
            "docs" => {
                evidence == type_name
                    && self.docs.lines().any(|line| {
                        let first = line.trim_start_matches("| ").split(" | ").next();
                        line.starts_with("| `")
                            && first.is_some_and(|cell| has_word(cell, type_name))
                    })
            }
            "benchmark" => {
                is_file("crates/benches/benches/") && has_word(&read(evidence), type_name)
            }
            "example" => {
                is_file("examples/") && has_word(&read(evidence), type_name)
                    || is_file("src/") && has_word(&doc_examples(&read(evidence)), type_name)
            }
            other => panic!("unknown column {other}"),
        }
    }
}

/// Returns the module that a contract's file defines.
fn module_of(contract: &str) -> &str {
    let path = contract.trim_end_matches(".rs").trim_end_matches("/mod");
    path.rsplit('/').next().unwrap_or(path)
}

/// The root exports the names that most programs need. All other names are imported from modules.
#[test]
fn the_root_exports_25_names() {
    let parsed = syn::parse_file(&read("src/lib.rs")).expect("the root parses");
    let mut names = BTreeSet::new();
    for item in parsed.items {
        match item {
            Item::Use(item) if matches!(item.vis, Visibility::Public(_)) => {
                collect_names(&item.tree, &mut names);
            }
            _ => {}
        }
    }
    assert_eq!(names.len(), 25, "{names:?}");
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
                    .filter(|evidence| !sources.confirm(column, &row, evidence))
                    .map(|evidence| {
                        format!(
                            "{type_name}, {column}: `{evidence}` does not exist or is not about it"
                        )
                    });
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

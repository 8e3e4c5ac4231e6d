//! Every public operation of a primitive is called by a scenario, or has a reason why not.
//!
//! The operations are read from the source: the methods of the public types, and the methods of the
//! public traits. `docs/inventory.md` says which contract belongs to which type. An operation is
//! covered if a contract of its type calls a method of that name. Models and tests run every
//! scenario, so a covered operation runs in every interleaving, as threads and as processes.

use super::{COLUMNS, files, public_types, quoted, read, root, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use syn::{FnArg, GenericArgument, ImplItem, Item, PathArguments, Signature, TraitItem, Type};

/// The folders with the types that block or pass items.
const FOLDERS: [&str; 4] = [
    "src/sync",
    "src/channel",
    "src/named",
    "src/region/directory",
];

/// Operations that no scenario calls, each with the reason.
const EXCUSES: &[(&str, &str, &str)] = &[
    ("CountsEndpoints", "join", CALLED_BY_HANDLES),
    ("Endpoint", "is_owned", CALLED_BY_HANDLES),
    ("Slots", "slots", CALLED_BY_OWNER),
    ("Duplex", "recv_timeout", HALVES),
    ("Duplex", "send_timeout", HALVES),
    ("Mailbox", "id", READS_A_CONSTANT),
    (
        "Mailbox",
        "outbox",
        "creates a handle of a region's buffer, which the model lacks",
    ),
    ("MessageType", "priority", READS_A_CONSTANT),
    ("ObjectName", "text", READS_A_CONSTANT),
    ("ObjectType", "type_name", READS_A_CONSTANT),
    ("PipeSemaphore", "ends", READS_A_CONSTANT),
    ("ProcessId", "number", READS_A_CONSTANT),
    ("SemaphoreLock", "semaphore", READS_A_CONSTANT),
    (
        "UnboundedBuffer",
        "usage",
        "reads two numbers under the lock, as `SegmentList::count` does",
    ),
];

const CALLED_BY_HANDLES: &str = "handles call this method when they are created or used";
const CALLED_BY_OWNER: &str = "the object that owns the storage calls this method";
const HALVES: &str = "calls the method of this name of a `PipeBuffer`, which scenarios call";
const READS_A_CONSTANT: &str = "reads a value that never changes";

/// A method of a public type or trait.
type Operation = (String, String);

/// Returns the contracts of each type. A part of a primitive has the primitive's contracts.
fn contracts() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/inventory.md");
    let mut contracts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows(&page, COLUMNS.len()) {
        let files = quoted(&row[1]).into_iter().filter(|it| it.ends_with(".rs"));
        let name = row[0].trim_matches('`').to_owned();
        contracts.insert(name, files.map(str::to_owned).collect());
    }
    for row in rows(&page, 2) {
        let owners = quoted(&row[1]);
        let of_owners = owners.iter().filter_map(|owner| contracts.get(*owner));
        let files = of_owners.flatten().cloned().collect();
        contracts.insert(row[0].trim_matches('`').to_owned(), files);
    }
    contracts
}

/// Returns the operations of the public types that have a contract.
fn operations() -> BTreeSet<Operation> {
    let (public, contracts) = (public_types(), contracts());
    let is_checked = |name: &String| {
        public.contains(name) && contracts.get(name).is_some_and(|files| !files.is_empty())
    };
    let mut operations = BTreeSet::new();
    for path in FOLDERS.iter().flat_map(|folder| files(folder)) {
        let is_data = |stem: &std::ffi::OsStr| stem == "state" || stem == "error";
        if path.file_stem().is_some_and(is_data) {
            continue;
        }
        for (owner, signature) in methods(&path) {
            if is_checked(&owner) {
                operations.insert((owner, signature.ident.to_string()));
            }
        }
    }
    operations
}

/// Returns the public methods that a file defines, each with the type that it belongs to.
fn methods(path: &PathBuf) -> Vec<(String, Signature)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut methods = Vec::new();
    for item in parsed.items {
        match item {
            Item::Impl(block) if block.trait_.is_none() => {
                let Some(owner) = owner_of(&block.self_ty) else {
                    continue;
                };
                let signatures = block.items.into_iter().filter_map(public_method);
                methods.extend(signatures.map(|signature| (owner.clone(), signature)));
            }
            Item::Trait(definition) if !super::is_hidden(&definition.attrs) => {
                let owner = definition.ident.to_string();
                let signatures = definition.items.into_iter().filter_map(|item| match item {
                    TraitItem::Fn(function) => Some(function.sig),
                    _ => None,
                });
                methods.extend(signatures.map(|signature| (owner.clone(), signature)));
            }
            _ => {}
        }
    }
    methods.retain(|(_, signature)| has_receiver(signature));
    methods
}

fn public_method(item: ImplItem) -> Option<Signature> {
    let ImplItem::Fn(function) = item else {
        return None;
    };
    let is_public = matches!(function.vis, syn::Visibility::Public(_));
    (is_public && !super::is_hidden(&function.attrs)).then_some(function.sig)
}

fn has_receiver(signature: &Signature) -> bool {
    matches!(signature.inputs.first(), Some(FnArg::Receiver(_)))
}

/// Returns the name of the type of an `impl` block.
///
/// A block for the handles of one channel, such as `Sender<'_, RingBuffer<T>>`, belongs to that
/// channel.
fn owner_of(of: &Type) -> Option<String> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last()?;
    let name = last.ident.to_string();
    if name != "Sender" && name != "Receiver" {
        return Some(name);
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Some(name);
    };
    let channel = arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(of) => owner_of(of),
        _ => None,
    });
    // A single letter is a type parameter: the block is for the handles of every channel.
    channel.filter(|channel| channel.len() > 1).or(Some(name))
}

/// Returns the source of the contract in this file, and of the other files of its folder if it is
/// the file of a folder, without comments.
fn contract_source(contract: &str) -> String {
    let paths = match contract.strip_suffix("/mod.rs") {
        Some(folder) => files(folder),
        None => vec![root().join(contract)],
    };
    let texts = paths
        .into_iter()
        .map(|path| std::fs::read_to_string(path).expect("a contract"));
    let text: String = texts.collect();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// Returns whether the source calls a method of this name, or names it as a function.
fn calls(source: &str, name: &str) -> bool {
    [".", "::"].iter().any(|before| {
        let call = format!("{before}{name}");
        let mut found = source.match_indices(&call);
        found.any(|(at, matched)| {
            let after = source[at + matched.len()..].chars().next();
            let ends = !after.is_some_and(|next| next.is_alphanumeric() || next == '_');
            // A field is not a call.
            ends && (*before == "::" || matches!(after, Some('(' | ':')))
        })
    })
}

#[test]
fn every_operation_is_called_by_a_scenario() {
    let contracts = contracts();
    let files: BTreeSet<&String> = contracts.values().flatten().collect();
    let sources: BTreeMap<&String, String> =
        (files.into_iter().map(|file| (file, contract_source(file)))).collect();
    let operations = operations();
    let is_covered = |(owner, name): &Operation| {
        let mut files = contracts[owner].iter();
        files.any(|file| calls(&sources[file], name))
    };
    let is_excused = |(owner, name): &Operation| {
        let mut excuses = EXCUSES.iter();
        excuses.any(|(excused, method, _)| owner == excused && name == method)
    };
    let uncovered: Vec<String> = (operations.iter())
        .filter(|operation| !is_covered(operation) && !is_excused(operation))
        .map(|(owner, name)| format!("{owner}::{name}"))
        .collect();
    assert!(
        uncovered.is_empty(),
        "{} of {} operations are called by no scenario of their contract:\n{}",
        uncovered.len(),
        operations.len(),
        uncovered.join("\n")
    );
    let is_stale = |(owner, name, _): &&(&str, &str, &str)| {
        let operation = ((*owner).to_owned(), (*name).to_owned());
        !operations.contains(&operation) || is_covered(&operation)
    };
    let stale: Vec<_> = EXCUSES.iter().filter(is_stale).collect();
    assert!(stale.is_empty(), "these excuses are not needed: {stale:?}");
    let has_reason = |excuse: &&(&str, &str, &str)| excuse.2.split_whitespace().count() >= 3;
    assert!(EXCUSES.iter().all(|excuse| has_reason(&excuse)));
}

#[test]
fn a_field_or_a_longer_name_is_no_call() {
    assert!(calls("lock.try_lock()", "try_lock"));
    assert!(calls("value.receive::<u64>()", "receive"));
    assert!(calls("map(Buffer::len)", "len"));
    assert!(!calls("lock.try_lock_for(1)", "try_lock"));
    assert!(!calls("shared.sent.set(1)", "sent"));
}

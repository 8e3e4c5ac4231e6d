//! The layouts of all types in shared memory belong to the version of the region format.
//!
//! The test computes a digest over the declarations, sizes and alignments of these types. The
//! declarations are `repr(C)`, so the order and the types of the fields determine their offsets.
//! The digest is recorded beside the version.

use interlatch::channel::message_queue::QueueLimits;
use interlatch::channel::{GrowthLimit, MessageQueue, Segment, SegmentList, Slot, TurnSlot};
use interlatch::named::{Envelope, ProcessId};
use interlatch::region::directory::{Directory, Mark};
use interlatch::region::{FORMAT_VERSION, ShmObject, ShmType};
use interlatch::sync::{PairSlot, RawMutex, RawRobustMutex, RobustSemaphorePair, SemaphorePair};
use interlatch::{
    BoundedBuffer, BytePipe, Condvar, MonitorBuffer, Mutex, Rendezvous, RingBuffer,
    RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, RobustSemaphore, Semaphore,
};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Attribute, Fields, Item};

/// The types that have an identity but no entry in `layouts`, because the test cannot name them.
/// Their declarations are part of the digest.
const PRIVATE: [&str; 1] = ["Identity"];

/// The file with the version and the digests.
const FORMAT: &str = "src/region/format.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the parsed source files of the library, without the model platform.
fn sources() -> Vec<syn::File> {
    let mut pending = vec![root().join("src")];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.ends_with("platform/model") {
            continue;
        }
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the project");
            let mut paths: Vec<PathBuf> = entries
                .map(|entry| entry.expect("an entry").path())
                .collect();
            pending.append(&mut paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            files.push(syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}")));
        }
    }
    files
}

/// Returns the arguments of `#[repr(..)]`, for example `C , align (128)`.
fn repr(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("repr"))?;
    let list = attribute.meta.require_list().expect("repr has arguments");
    Some(list.tokens.to_string())
}

/// Describes the fields of a struct in their order, without comments and visibility.
fn describe(fields: &Fields) -> String {
    let field = |field: &syn::Field| {
        let name = field
            .ident
            .as_ref()
            .map_or(String::new(), ToString::to_string);
        format!("{name}: {}", field.ty.to_token_stream())
    };
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

/// Returns the declaration of each struct with a guaranteed layout, by name.
fn declarations(sources: &[syn::File]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for item in sources.iter().flat_map(|file| &file.items) {
        let Item::Struct(item) = item else { continue };
        let Some(repr) = repr(&item.attrs) else {
            continue;
        };
        let (name, generics) = (item.ident.to_string(), item.generics.to_token_stream());
        let text = format!(
            "repr({repr}) {name}{generics} {{ {} }}",
            describe(&item.fields)
        );
        let other = found.insert(name.clone(), text);
        assert!(
            other.is_none(),
            "two structs have the name {name}; rename one of them"
        );
    }
    found
}

/// Returns the declarations of the header, of the types with an identity, and of all structs inside
/// them. Other structs with a guaranteed layout lie in the memory of one process.
fn shared(
    sources: &[syn::File],
    declarations: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut pending: Vec<String> = identified(sources).into_iter().collect();
    pending.push("Header".to_owned());
    let mut found = BTreeMap::new();
    while let Some(name) = pending.pop() {
        if let Some(text) = declarations.get(&name)
            && !found.contains_key(&name)
        {
            pending.extend(words(text).map(str::to_owned));
            found.insert(name, text.clone());
        }
    }
    found
}

/// Returns the names in a declaration.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
}

/// Returns the constants that occur in the declarations, such as the length of an array.
fn constants(sources: &[syn::File], declarations: &BTreeMap<String, String>) -> BTreeSet<String> {
    let words: BTreeSet<&str> = declarations.values().flat_map(|text| words(text)).collect();
    let mut found = BTreeSet::new();
    for item in sources.iter().flat_map(|file| &file.items) {
        if let Item::Const(item) = item
            && words.contains(item.ident.to_string().as_str())
        {
            found.insert(format!("{} = {}", item.ident, item.expr.to_token_stream()));
        }
    }
    found
}

/// Returns the names of the types with an identity, apart from those of the language.
fn identified(sources: &[syn::File]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for item in sources.iter().flat_map(|file| &file.items) {
        match item {
            Item::Impl(item) => {
                let name = item
                    .trait_
                    .as_ref()
                    .and_then(|(_, path, _)| path.segments.last());
                if let (Some(name), syn::Type::Path(implementor)) = (name, &*item.self_ty)
                    && name.ident == "ShmType"
                {
                    let name = implementor.path.segments.last().expect("a name");
                    found.insert(name.ident.to_string());
                }
            }
            Item::Struct(item) => {
                let is_derive = |attribute: &&Attribute| attribute.path().is_ident("derive");
                let derives = item.attrs.iter().filter(is_derive);
                let text: String = derives
                    .map(|derive| derive.to_token_stream().to_string())
                    .collect();
                if text.contains("ShmType") || text.contains("ShmSafe") {
                    found.insert(item.ident.to_string());
                }
            }
            _ => {}
        }
    }
    found.remove("PhantomData");
    found
}

/// Returns the name, size and alignment of an object.
fn layout<T: ShmObject + ?Sized>(config: T::Config) -> (String, usize, usize) {
    let layout = T::layout(config).expect("the configuration is valid");
    (T::TYPE.to_string(), layout.size(), layout.align())
}

/// Returns the name, size and alignment of an item.
fn item<T: ShmType>() -> (String, usize, usize) {
    (T::TYPE.to_string(), size_of::<T>(), align_of::<T>())
}

/// Returns the layouts of the types with an identity. Each type with parameters has two sizes of
/// items, so that a field that depends on the item counts.
fn layouts() -> Vec<(String, usize, usize)> {
    let growth = GrowthLimit {
        items: 3,
        segments: 3,
    };
    vec![
        item::<ProcessId>(),
        item::<Envelope<u64>>(),
        item::<Envelope<u8>>(),
        layout::<Mark>(()),
        layout::<Directory>(()),
        layout::<Directory<3>>(()),
        layout::<RawMutex>(()),
        layout::<Mutex<u8>>(()),
        layout::<Mutex<[u64; 3]>>(()),
        layout::<Condvar>(()),
        layout::<Semaphore>(()),
        layout::<SemaphorePair>(()),
        layout::<RawRobustMutex>(()),
        layout::<RobustMutex<u8>>(()),
        layout::<RobustMutex<[u64; 3]>>(()),
        layout::<RobustSemaphore<3>>(()),
        layout::<RobustSemaphorePair<[PairSlot; 3]>>(()),
        layout::<BoundedBuffer<u8, [Slot<u8>; 3]>>(()),
        layout::<BoundedBuffer<u64, [Slot<u64>]>>(3),
        layout::<MonitorBuffer<u8, [Slot<u8>; 3]>>(()),
        layout::<MonitorBuffer<u64, [Slot<u64>]>>(3),
        layout::<RobustBoundedBuffer<u8, [TurnSlot<u8>; 3]>>(()),
        layout::<RobustBoundedBuffer<u64, [TurnSlot<u64>]>>(3),
        layout::<RobustMonitorBuffer<u8, [Slot<u8>; 3]>>(()),
        layout::<RobustMonitorBuffer<u64, [Slot<u64>]>>(3),
        layout::<RingBuffer<u8, [Slot<u8>; 4]>>(()),
        layout::<RingBuffer<u64>>(4),
        layout::<Rendezvous<u8>>(()),
        layout::<Rendezvous<u64, 3>>(()),
        layout::<BytePipe<[Slot<u8>]>>(3),
        layout::<MessageQueue>(QueueLimits::from_cells(8)),
        layout::<SegmentList<u64>>(growth),
        layout::<Segment<u8, [Slot<u8>; 3]>>(()),
        layout::<Segment<u64, [Slot<u64>]>>(3),
    ]
}

/// The FNV-1a hash of a text, which is the same in every build.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the version and the digest of each line in the table of digests.
fn recorded() -> Vec<(u8, u64)> {
    let text = fs::read_to_string(root().join(FORMAT)).expect("a source file");
    let line = |line: &str| {
        let (version, digest) = line.trim().strip_prefix('(')?.split_once(", 0x")?;
        let digest = digest.split(')').next()?.replace('_', "");
        Some((
            version.parse().ok()?,
            u64::from_str_radix(&digest, 16).ok()?,
        ))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn changed_layout_needs_a_new_version() {
    let sources = sources();
    let declarations = shared(&sources, &declarations(&sources));
    let mut lines: Vec<String> = declarations.values().cloned().collect();
    lines.extend(constants(&sources, &declarations));
    let layouts = layouts().into_iter();
    lines.extend(layouts.map(|(name, size, align)| format!("{name}: {size} bytes, align {align}")));
    let text = lines.join("\n");
    let digest = hash(&text);
    let recorded = recorded();
    assert_eq!(
        recorded.last(),
        Some(&(FORMAT_VERSION, digest)),
        "a layout in shared memory has changed: raise FORMAT_VERSION in {FORMAT} and add the line \
         ({}, {digest:#018x}) to the table of digests. If only names of fields have changed, replace \
         the digest of the current version. The layouts are:\n{text}",
        FORMAT_VERSION + 1,
    );
    let versions: BTreeSet<u8> = recorded.iter().map(|line| line.0).collect();
    let digests: BTreeSet<u64> = recorded.iter().map(|line| line.1).collect();
    let counts = [versions.len(), digests.len()];
    assert_eq!(
        counts,
        [recorded.len(); 2],
        "each line has a new version and a new digest"
    );
}

#[test]
fn digest_covers_every_type_with_an_identity() {
    let sources = sources();
    let declared = declarations(&sources);
    let layouts = layouts();
    let listed: BTreeSet<&str> = layouts
        .iter()
        .map(|(name, ..)| name.split('<').next().expect("a name"))
        .collect();
    for name in identified(&sources) {
        let is_guaranteed = |text: &String| {
            ["repr(C", "repr(transparent"]
                .iter()
                .any(|repr| text.starts_with(repr))
        };
        assert!(
            declared.get(&name).is_some_and(is_guaranteed),
            "{name} has no repr(C)"
        );
        assert!(
            listed.contains(name.as_str()) || PRIVATE.contains(&name.as_str()),
            "{name} has no entry in `layouts` of this test"
        );
    }
}

//! Robust objects exist only in regions and behind `'static` references, and every object is
//! created in place.

#![forbid(unsafe_code)]

use interlatch::channel::message_queue::MessageCell;
use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::{PairSlot, RobustSemaphorePair};
use interlatch::{
    BoundedBuffer, Buffer, Channel, MessageQueue, MonitorBuffer, Mutex, Region, Rendezvous,
    RingBuffer, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, RobustSemaphore, ShmSafe,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use syn::{Fields, ImplItem, Item, ReturnType, Type, Visibility};

const COUNT: usize = 400_000;

/// An item of 3 MiB.
type Item3 = [u8; 3 << 20];

/// The stack size of the test threads, far smaller than one item.
const STACK: usize = 256 << 10;

/// Runs `work` on a thread with a small stack.
fn with_small_stack(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work).expect("a thread");
        thread.join().expect("the thread does not panic");
    });
}

#[repr(C)]
#[derive(ShmSafe)]
struct Record {
    #[shm(initial = RobustMutex::new(7))]
    version: RobustMutex<u64>,
    pages: [RobustMutex<[u64; COUNT]>; 2],
}

#[test]
fn many_locks_are_created_in_place() {
    with_small_stack(|| {
        let region = Region::memfd("many", 64 << 20).expect("a region");
        let locks = region
            .create::<[RobustMutex<u64>; COUNT]>("locks", ())
            .expect("the region has room");
        assert_eq!(*locks[COUNT - 1].lock().expect("a free lock"), 0);
        let slice = region
            .create::<[RobustMutex<u64>]>("slice", COUNT)
            .expect("the region has room");
        assert_eq!(*slice[COUNT - 1].lock().expect("a free lock"), 0);
    });
}

#[test]
fn large_values_are_created_in_place() {
    with_small_stack(|| {
        let region = Region::memfd("large", 64 << 20).expect("a region");
        let lock = region
            .create::<RobustMutex<[u64; COUNT]>>("robust", ())
            .expect("the region has room");
        assert!(
            lock.lock()
                .expect("a free lock")
                .iter()
                .all(|word| *word == 0)
        );
        let lock = region
            .create::<Mutex<[u64; COUNT]>>("mutex", ())
            .expect("the region has room");
        assert_eq!(lock.lock()[COUNT - 1], 0);
        let record = region
            .create::<Record>("record", ())
            .expect("the region has room");
        assert_eq!(*record.version.lock().expect("a free lock"), 7);
        assert_eq!(record.pages[1].lock().expect("a free lock")[COUNT - 1], 0);
        let leaked = Record::new_leaked();
        assert_eq!(*leaked.version.lock().expect("a free lock"), 7);
    });
}

#[test]
fn buffers_of_large_items_are_created_in_place() {
    with_small_stack(|| {
        let region = Region::memfd("buffers", 256 << 20).expect("a region");
        macro_rules! create {
            ($($name:literal: $array:ty, $slice:ty;)*) => {
                $(
                let array: &$array = region.create(concat!($name, " array"), ()).expect("created");
                drop(array.sender().expect("the channel is open"));
                let slice: &$slice = region.create(concat!($name, " slice"), 2).expect("created");
                drop(slice.sender().expect("the channel is open"));
                )*
            };
        }
        create! {
            "robust bounded": RobustBoundedBuffer<Item3, [TurnSlot<Item3>; 2]>,
                RobustBoundedBuffer<Item3, [TurnSlot<Item3>]>;
            "robust monitor": RobustMonitorBuffer<Item3, [Slot<Item3>; 2]>,
                RobustMonitorBuffer<Item3, [Slot<Item3>]>;
            "ring": RingBuffer<Item3, [Slot<Item3>; 2]>, RingBuffer<Item3>;
            "bounded": BoundedBuffer<Item3, [Slot<Item3>; 2]>, BoundedBuffer<Item3, [Slot<Item3>]>;
            "monitor": MonitorBuffer<Item3, [Slot<Item3>; 2]>, MonitorBuffer<Item3, [Slot<Item3>]>;
        }
        let rendezvous: &Rendezvous<Item3> = region
            .create("rendezvous", ())
            .expect("the region has room");
        drop(rendezvous.sender().expect("the channel is open"));
    });
}

#[test]
fn buffers_on_the_heap_are_created_in_place() {
    with_small_stack(|| {
        let bounded = BoundedBuffer::<Item3>::with_capacity(2).expect("memory");
        drop(bounded.sender().expect("the channel is open"));
        let monitor = MonitorBuffer::<Item3>::with_capacity(2).expect("memory");
        drop(monitor.sender().expect("the channel is open"));
        let ring = RingBuffer::<Item3, _>::with_capacity(2).expect("memory");
        drop(ring.leak().sender().expect("the channel is open"));
    });
}

/// Returns an item of this number, without a copy on the stack.
fn item(number: u8) -> Box<Item3> {
    vec![number; size_of::<Item3>()]
        .try_into()
        .expect("the size of an item")
}

/// Sends an item and receives it, without a copy on the stack.
fn pass_by_reference<B: Buffer<Item = Item3> + Sync + ?Sized>(buffer: &B) {
    let sender = thread::Builder::new().stack_size(STACK);
    thread::scope(|scope| {
        let receiver = buffer.receiver().expect("the channel is open");
        let send = || {
            let sender = buffer.sender().expect("the channel is open");
            sender.send_ref(&item(7)).expect("a receiver");
        };
        let sender = sender.spawn_scoped(scope, send).expect("a thread");
        let mut received = item(0);
        receiver.recv_into(&mut received).expect("an item");
        assert!(received.iter().all(|byte| *byte == 7));
        sender.join().expect("the thread does not panic");
    });
}

#[test]
fn large_items_pass_by_reference() {
    with_small_stack(|| {
        let region = Region::memfd("passing", 64 << 20).expect("a region");
        let slots = 1;
        pass_by_reference::<RobustBoundedBuffer<Item3, [TurnSlot<Item3>]>>(
            region.create("robust bounded", slots).expect("created"),
        );
        pass_by_reference::<RobustMonitorBuffer<Item3, [Slot<Item3>]>>(
            region.create("robust monitor", slots).expect("created"),
        );
        pass_by_reference::<RingBuffer<Item3>>(region.create("ring", slots).expect("created"));
        pass_by_reference::<Rendezvous<Item3>>(region.create("meeting", ()).expect("created"));
        pass_by_reference(&BoundedBuffer::with_capacity(slots).expect("memory"));
        pass_by_reference(&MonitorBuffer::with_capacity(slots).expect("memory"));
    });
}

/// Receives two items in one batch, and drops the buffer with a third one.
fn receive_batch<B: Buffer<Item = Item3>>(buffer: B) {
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let sender = sender.expect("the channel is open");
    let receiver = receiver.expect("the channel is open");
    let mut received = Vec::new();
    for number in 1..=3 {
        sender.send_ref(&item(number)).expect("a free slot");
    }
    assert_eq!(receiver.recv_many(&mut received, 2), Ok(2));
    let numbers: Vec<u8> = received.iter().map(|item| item[0]).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn batches_of_large_items_are_received_in_place() {
    with_small_stack(|| {
        receive_batch(BoundedBuffer::with_capacity(3).expect("memory"));
        receive_batch(MonitorBuffer::with_capacity(3).expect("memory"));
    });
}

/// The number of slots of an object whose locks need more memory than the stack.
const SLOTS: usize = 20_000;

#[test]
fn objects_with_many_parts_are_created_in_place() {
    with_small_stack(|| {
        let region = Region::memfd("parts", 64 << 20).expect("a region");
        let permits: &RobustSemaphore<SLOTS> = region.create("permits", ()).expect("created");
        drop(permits.acquire().expect("a free permit"));
        let pair: &RobustSemaphorePair<[PairSlot; SLOTS]> =
            region.create("pair", ()).expect("created");
        drop(pair.write().expect("a free slot"));
        let buffer: &RobustMonitorBuffer<u64, [Slot<u64>], SLOTS> =
            region.create("handles", 4).expect("created");
        drop(buffer.sender().expect("the channel is open"));
        let queue: &MessageQueue<[MessageCell; SLOTS]> =
            region.create("queue", ()).expect("created");
        assert!(queue.is_empty());
    });
}

/// Types that contain a robust word, found in the source.
struct Robust(BTreeSet<String>);

impl Robust {
    /// Adds every struct, enum and public alias that contains one of the types.
    fn find(files: &[syn::File]) -> Self {
        let mut robust = Self(BTreeSet::from(["RobustWord".to_owned()]));
        loop {
            let before = robust.0.len();
            for item in files.iter().flat_map(|file| &file.items) {
                let (name, types): (_, Vec<&Type>) = match item {
                    Item::Struct(item) => (&item.ident, types_of(&item.fields)),
                    Item::Enum(item) => {
                        let variants = item.variants.iter();
                        (
                            &item.ident,
                            variants.flat_map(|it| types_of(&it.fields)).collect(),
                        )
                    }
                    Item::Type(item) if matches!(item.vis, Visibility::Public(_)) => {
                        (&item.ident, vec![&*item.ty])
                    }
                    _ => continue,
                };
                if types.into_iter().any(|ty| robust.is_in(ty, None)) {
                    robust.0.insert(name.to_string());
                }
            }
            if robust.0.len() == before {
                return robust;
            }
        }
    }

    /// Returns whether a value of the type contains a robust word. `this` is what `Self` means.
    fn is_in(&self, ty: &Type, this: Option<&str>) -> bool {
        match ty {
            Type::Path(path) => path.path.segments.iter().any(|segment| {
                let name = segment.ident.to_string();
                // `Attached` points into a region that it owns.
                if ["PhantomData", "Static", "Attached"].contains(&name.as_str()) {
                    return false;
                }
                let name = if name == "Self" {
                    this.unwrap_or("")
                } else {
                    &name
                };
                self.0.contains(name) || generic_types(segment).any(|ty| self.is_in(ty, this))
            }),
            Type::Array(array) => self.is_in(&array.elem, this),
            Type::Slice(slice) => self.is_in(&slice.elem, this),
            Type::Tuple(tuple) => tuple.elems.iter().any(|ty| self.is_in(ty, this)),
            Type::Paren(inner) => self.is_in(&inner.elem, this),
            _ => false,
        }
    }

    /// Returns the safe functions of other crates that return a robust object by value.
    fn leaks(&self, file: &syn::File) -> Vec<String> {
        let mut leaks = Vec::new();
        for item in &file.items {
            match item {
                Item::Fn(function) if matches!(function.vis, Visibility::Public(_)) => {
                    self.check(&function.sig, "", &mut leaks);
                }
                Item::Impl(block) => {
                    let this = self_name(&block.self_ty);
                    for item in &block.items {
                        let function = match item {
                            ImplItem::Fn(function) => function.clone(),
                            // A constructor: see `platform::constructor`.
                            ImplItem::Macro(item) => syn::parse2(item.mac.tokens.clone())
                                .expect("a macro in an `impl` contains a function"),
                            _ => continue,
                        };
                        let is_public =
                            block.trait_.is_some() || matches!(function.vis, Visibility::Public(_));
                        if is_public {
                            self.check(&function.sig, &this, &mut leaks);
                        }
                    }
                }
                _ => {}
            }
        }
        leaks
    }

    fn check(&self, function: &syn::Signature, this: &str, leaks: &mut Vec<String>) {
        if let ReturnType::Type(_, ty) = &function.output
            && function.unsafety.is_none()
            && self.is_in(ty, Some(this))
        {
            leaks.push(format!("{this}::{}", function.ident));
        }
    }
}

fn types_of(fields: &Fields) -> Vec<&Type> {
    fields.iter().map(|field| &field.ty).collect()
}

fn generic_types(segment: &syn::PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        syn::PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    let arguments = arguments.into_iter().flatten();
    arguments.filter_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn self_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|it| it.ident.to_string()),
        _ => None,
    }
    .unwrap_or_default()
}

/// Parses the Rust files of a folder and its subfolders.
fn parse_folder(folder: &Path, files: &mut Vec<syn::File>) {
    let entries = fs::read_dir(folder).expect("a folder of the project");
    let paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    for path in paths {
        if path.is_dir() {
            parse_folder(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            files.push(syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}")));
        }
    }
}

fn published_source() -> Vec<syn::File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in [
        "src",
        "crates/check/src",
        "crates/ipc/src",
        "crates/cli/src",
    ] {
        parse_folder(&root.join(folder), &mut files);
    }
    files
}

#[test]
fn no_safe_function_returns_a_robust_object_by_value() {
    let files = published_source();
    let robust = Robust::find(&files);
    for name in [
        "RawRobustMutex",
        "RobustMutex",
        "RobustSemaphore",
        "RobustSemaphorePair",
        "PairSlot",
        "TurnSlot",
        "RobustBoundedBuffer",
        "RobustMonitorBuffer",
        "Rendezvous",
        "RingBuffer",
        "MessageQueue",
        "BytePipe",
        "SegmentList",
        "Directory",
    ] {
        assert!(
            robust.0.contains(name),
            "{name} is not among {:?}",
            robust.0
        );
    }
    for name in [
        "Static",
        "Mutex",
        "BoundedBuffer",
        "RobustMutexGuard",
        "Region",
        "Loan",
    ] {
        assert!(!robust.0.contains(name), "{name} contains a robust word");
    }
    let leaks: Vec<String> = files.iter().flat_map(|file| robust.leaks(file)).collect();
    assert!(
        leaks.is_empty(),
        "these functions need `unsafe` or `Static`: {leaks:?}"
    );
}

#[test]
fn a_function_that_returns_a_robust_object_is_found() {
    let source = "
        pub struct Outer<T> { inner: [Option<RobustWord>; 2], item: T }
        impl<T> Outer<T> {
            constructor! { pub fn new() -> Self { todo!() } }
            pub fn try_new() -> Result<Box<Outer<T>>, ()> { todo!() }
            pub fn get(&self) -> &Self { self }
            pub fn in_static() -> Static<Self> { todo!() }
            pub unsafe fn by_value() -> Self { todo!() }
            pub(crate) fn inside() -> Self { todo!() }
        }
        impl Default for Outer<u8> { fn default() -> Self { todo!() } }
        pub fn free() -> (u8, Outer<u8>) { todo!() }
    ";
    let files = [syn::parse_file(source).expect("source")];
    let leaks = Robust::find(&files).leaks(&files[0]);
    assert_eq!(
        leaks,
        ["Outer::new", "Outer::try_new", "Outer::default", "::free"]
    );
}

//! The report of a region: the fields of `--json`.

use crate::processes::{Attachments, process_of};
use crate::segments::Segment;
use crate::state::ObjectReport;
use crate::target::Target;
use interlatch::inspect::{RegionState, RegionView};
use interlatch::region::PidNamespace;
use serde::Serialize;
use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::time::SystemTime;

/// The report of a region.
#[derive(Debug, Serialize)]
pub struct RegionReport {
    /// The name in the form that `inspect` accepts.
    pub name: String,
    /// `posix`, `file`, `sysv`, `memfd`, or `removed` for a file without a name.
    pub kind: &'static str,
    /// `ok`, `other namespace`, `earlier boot`, `truncated`, `incomplete` or `damaged`.
    pub state: &'static str,
    /// The number of bytes available for objects.
    pub size: usize,
    /// The user ID of the owner, according to the kernel; `null` if the kernel does not return it.
    /// Attaching needs a trusted owner.
    pub owner: Option<u32>,
    /// The permission bits in octal digits, according to the kernel, for example `0600`.
    pub mode: Option<String>,
    /// The process that created the region, according to its header.
    pub creator: u32,
    /// Whether a process with the creator's process ID exists. The process may be a different one
    /// that has the same ID. The value is `null` if the region belongs to another PID namespace.
    pub creator_alive: Option<bool>,
    /// The time of creation in seconds since 1970, according to the header.
    pub created: u64,
    /// The age in seconds; `null` if the time of creation is in the future.
    pub age: Option<u64>,
    /// The PID namespace of the thread IDs, according to the header.
    pub namespace: String,
    /// The processes that have the region attached, among the processes that could be inspected.
    pub attached: Vec<u32>,
    /// The kernel's count of mappings of a System V segment; `null` for other kinds.
    pub mappings: Option<u64>,
    /// The number of processes that could not be inspected and may be missing from `attached`.
    pub inaccessible_processes: usize,
    /// The objects in the region.
    pub objects: Vec<Entry>,
}

/// An entry of the region's directory.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// The name of the object.
    pub name: String,
    /// The name of the type, possibly truncated.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The offset from the beginning of the region in bytes.
    pub offset: u64,
    /// The size in bytes.
    pub size: u64,
    /// The configuration; for most buffers, the capacity.
    pub config: u64,
    /// The state of the object; only in `inspect` and `watch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ObjectReport>,
}

/// A region, together with the known facts about its memory.
#[derive(Debug)]
pub struct Subject {
    pub target: Target,
    pub view: RegionView,
    /// The file's metadata, if the region is a file.
    pub file: Option<Metadata>,
    pub segment: Option<Segment>,
}

impl Subject {
    pub fn new(target: Target, view: RegionView, segment: Option<Segment>) -> Self {
        let file = view.descriptor().and_then(|descriptor| {
            let file = File::from(descriptor.try_clone_to_owned().ok()?);
            file.metadata().ok()
        });
        Self {
            target,
            view,
            file,
            segment,
        }
    }

    /// Returns the path of the file, if it has a name.
    fn path(&self) -> Option<PathBuf> {
        let text = self.target.to_string();
        match text.split_once(':')? {
            ("posix", name) => Some(PathBuf::from("/dev/shm").join(name)),
            ("file", path) => Some(PathBuf::from(path)),
            _ => None,
        }
    }

    pub fn attached(&self, attachments: &Attachments) -> Vec<u32> {
        match (&self.file, self.segment) {
            (Some(file), _) => attachments.pids_of_file(file, self.path().as_deref()),
            (None, Some(segment)) => attachments.pids_of_segment(segment.id),
            (None, None) => Vec::new(),
        }
    }

    pub fn is_of_this_namespace(&self) -> bool {
        PidNamespace::current().is_ok_and(|current| current == self.view.namespace())
    }

    /// Creates the report, optionally with the state of each object.
    pub fn report(&self, attachments: &Attachments, with_objects: bool) -> RegionReport {
        let (creator, created) = self.view.creator();
        let is_here = self.is_of_this_namespace();
        let since = created.duration_since(SystemTime::UNIX_EPOCH);
        RegionReport {
            name: self.target.to_string(),
            kind: self.target.kind(),
            state: state_name(self.view.state()),
            size: self.view.size(),
            owner: self.view.owner().ok(),
            mode: self.view.mode().ok().map(|mode| format!("{mode:04o}")),
            creator,
            creator_alive: is_here.then(|| process_of(creator).is_some()),
            created: since.map_or(0, |since| since.as_secs()),
            age: SystemTime::now()
                .duration_since(created)
                .ok()
                .map(|age| age.as_secs()),
            namespace: self.view.namespace().to_string(),
            attached: self.attached(attachments),
            mappings: self.segment.map(|segment| segment.attached),
            inaccessible_processes: attachments.inaccessible,
            objects: self.entries(with_objects),
        }
    }

    fn entries(&self, with_state: bool) -> Vec<Entry> {
        let is_here = self.is_of_this_namespace();
        let entry = |object: interlatch::region::directory::Object| Entry {
            name: object.name.text(),
            type_name: object.object_type.type_name(),
            offset: object.offset,
            size: object.object_type.size(),
            config: object.config,
            state: with_state.then(|| ObjectReport::new(self.view.inspect(&object), is_here)),
        };
        self.view.objects().map(entry).collect()
    }
}

fn state_name(state: RegionState) -> &'static str {
    match state {
        RegionState::Usable => "ok",
        RegionState::OtherNamespace => "other namespace",
        RegionState::EarlierBoot => "earlier boot",
        RegionState::Truncated { .. } => "truncated",
        RegionState::Unbuilt { .. } => "incomplete",
        _ => "damaged",
    }
}

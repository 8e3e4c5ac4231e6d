//! What is said of a region: the fields of `--json`.

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

/// A region.
#[derive(Debug, Serialize)]
pub struct RegionReport {
    /// As `inspect` takes it.
    pub name: String,
    /// `posix`, `file`, `sysv`, `memfd`, or `removed` for a file that has no name any more.
    pub kind: &'static str,
    /// `ok`, `other namespace`, `earlier boot`, `cut short`, `half built` or `damaged`.
    pub state: &'static str,
    /// Bytes that objects can take.
    pub size: usize,
    /// The process that has made it, as its header says.
    pub creator: u32,
    /// Whether there is a process of that id, which may be another one by now; `null` for another pid
    /// namespace.
    pub creator_lives: Option<bool>,
    /// When: seconds since 1970, as its header says.
    pub created: u64,
    /// How many seconds ago; `null` if that is in the future.
    pub age: Option<u64>,
    /// The pid namespace of its thread ids, as its header says.
    pub namespace: String,
    /// The processes that have it attached, as far as they could be looked at.
    pub attached: Vec<u32>,
    /// How many mappings of a System V segment the kernel counts; `null` for other kinds.
    pub mappings: Option<u64>,
    /// How many processes could not be looked at: `attached` may lack them.
    pub unseen_processes: usize,
    /// What is in it.
    pub objects: Vec<Entry>,
}

/// An object, as its entry says.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The name of its type, maybe cut.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Bytes from the beginning of the region.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// For most buffers, the capacity.
    pub plan: u64,
    /// What it is now; only of `inspect` and `watch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ObjectReport>,
}

/// A region with what is known of its memory.
#[derive(Debug)]
pub struct Subject {
    pub target: Target,
    pub view: RegionView,
    /// The file, if it is one.
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

    /// Where the file is, if it has a name.
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
            (Some(file), _) => attachments.of_file(file, self.path().as_deref()),
            (None, Some(segment)) => attachments.of_segment(segment.id),
            (None, None) => Vec::new(),
        }
    }

    pub fn is_of_this_namespace(&self) -> bool {
        PidNamespace::current().is_ok_and(|current| current == self.view.namespace())
    }

    /// What is said of it; of its objects too if that is asked for.
    pub fn report(&self, attachments: &Attachments, with_objects: bool) -> RegionReport {
        let (creator, created) = self.view.creator();
        let is_here = self.is_of_this_namespace();
        let since = created.duration_since(SystemTime::UNIX_EPOCH);
        RegionReport {
            name: self.target.to_string(),
            kind: self.target.kind(),
            state: word_for(self.view.state()),
            size: self.view.size(),
            creator,
            creator_lives: is_here.then(|| process_of(creator).is_some()),
            created: since.map_or(0, |since| since.as_secs()),
            age: SystemTime::now()
                .duration_since(created)
                .ok()
                .map(|age| age.as_secs()),
            namespace: self.view.namespace().to_string(),
            attached: self.attached(attachments),
            mappings: self.segment.map(|segment| segment.attached),
            unseen_processes: attachments.unseen,
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
            plan: object.config,
            state: with_state.then(|| ObjectReport::new(self.view.inspect(&object), is_here)),
        };
        self.view.objects().map(entry).collect()
    }
}

fn word_for(state: RegionState) -> &'static str {
    match state {
        RegionState::Usable => "ok",
        RegionState::OtherNamespace => "other namespace",
        RegionState::EarlierBoot => "earlier boot",
        RegionState::Truncated { .. } => "cut short",
        RegionState::Unbuilt { .. } => "half built",
        _ => "damaged",
    }
}

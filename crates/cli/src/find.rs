//! Looking for regions.

use crate::failure::Failure;
use crate::maps::Behind;
use crate::places::Places;
use crate::processes::Attachments;
use crate::report::Subject;
use crate::segments;
use crate::target::Target;
use interlatch::inspect::RegionState;
use interlatch::{RegionError, RegionName};
use serde::Serialize;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    pub subjects: Vec<Subject>,
    pub unreadable: Vec<Unreadable>,
    /// The files among them.
    seen: HashSet<(u64, u64)>,
}

/// What may be a region, and this process may not read.
#[derive(Debug, Serialize)]
pub struct Unreadable {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Found {
    /// Everything with a name, and in these directories.
    pub fn named(directories: &[PathBuf]) -> Result<Self, Failure> {
        let mut found = Self::default();
        // Before anything is attached, so that nobody is counted who only looks.
        found.add_segments()?;
        found.add_directory(Path::new("/dev/shm"), &|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| RegionName::posix(name).ok())
                .unwrap_or(RegionName::file(path))
        });
        for directory in directories {
            if let Err(error) = fs::read_dir(directory) {
                let reason = format!("{}: {error}", directory.display());
                return Err(Failure::Other(crate::text::clean(&reason)));
            }
            found.add_directory(directory, &|path| RegionName::file(path));
        }
        Ok(found)
    }

    /// What processes have mapped besides.
    pub fn add_mapped(&mut self, attachments: &Attachments) {
        let mut places = Places::default();
        for (process, mapping) in attachments.mappings() {
            let (device, inode) = (mapping.device, mapping.inode);
            if self.seen.contains(&(device, inode)) {
                continue;
            }
            let path = match mapping.behind() {
                Behind::Segment(_) => continue,
                Behind::File => Some(mapping.path.clone()),
                Behind::MadeUnnamed(directory) => places.name_of(&directory, device, inode),
                Behind::Unnamed => None,
            };
            let target = match path {
                Some(path) => Some(Target::Named(RegionName::file(path))),
                None => places
                    .descriptor_of(process, &mapping.path, (device, inode))
                    .map(|number| Target::Descriptor { process, number }),
            };
            if let Some(target) = target {
                self.add(target, None);
            }
        }
    }

    fn add_directory(&mut self, directory: &Path, name: &dyn Fn(&Path) -> RegionName) {
        let Ok(entries) = fs::read_dir(directory) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            self.add(Target::Named(name(&path)), None);
        }
    }

    fn add_segments(&mut self) -> Result<(), Failure> {
        for segment in segments::all()? {
            let target = match RegionName::sysv(segment.key) {
                Ok(name) => Target::Named(name),
                Err(_) => Target::Segment(segment.id),
            };
            self.add(target, Some(segment));
        }
        Ok(())
    }

    /// Adds what is there, if it is a region.
    fn add(&mut self, target: Target, segment: Option<segments::Segment>) {
        let subject = match target.attach() {
            Ok(view) => Subject::new(target, view, segment),
            Err(RegionError::Denied(_)) => {
                let reason = "this process may not read it".into();
                let name = target.to_string();
                return self.unreadable.push(Unreadable { name, reason });
            }
            Err(_) => return,
        };
        if subject.view.state() == (RegionState::Unbuilt { is_begun: false }) {
            return;
        }
        let file = subject.file.as_ref();
        if file.is_none_or(|file| self.seen.insert((file.dev(), file.ino()))) {
            self.subjects.push(subject);
        }
    }
}

/// One region, with what the kernel counts of a segment.
pub fn one(target: &Target) -> Result<Subject, Failure> {
    let segments = segments::all()?;
    let segment = segments.into_iter().find(|segment| match target {
        Target::Named(name) => RegionName::sysv(segment.key).is_ok_and(|own| own == *name),
        Target::Segment(id) => segment.id == *id,
        Target::Descriptor { .. } => false,
    });
    let view = target
        .attach()
        .map_err(|error| Failure::of(target, &error))?;
    Ok(Subject::new(target.clone(), view, segment))
}

/// What the processes have mapped.
pub fn attachments() -> Result<Attachments, Failure> {
    Attachments::scan().map_err(|error| Failure::Other(format!("/proc: {error}")))
}

//! Finding the regions of the machine.

use crate::error::CliError;
use crate::locator::FileLocator;
use crate::maps::Backing;
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

/// The regions that a search of the machine has found.
#[derive(Debug, Default)]
pub struct Discovery {
    pub subjects: Vec<Subject>,
    pub unreadable: Vec<Unreadable>,
    /// The device and inode of each file among the found regions.
    seen: HashSet<(u64, u64)>,
}

/// An object that may be a region but cannot be read.
#[derive(Debug, Serialize)]
pub struct Unreadable {
    /// The name in the form that `inspect` accepts.
    pub name: String,
    /// The reason why the object cannot be read.
    pub reason: String,
}

impl Discovery {
    /// Finds the regions in /dev/shm, in the given directories and among the System V segments.
    pub fn named(directories: &[PathBuf]) -> Result<Self, CliError> {
        let mut found = Self::default();
        // The System V segments come first, because a region that this process attached earlier
        // would change the kernel's count of mappings.
        found.add_segments()?;
        found.add_directory(Path::new("/dev/shm"), &|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| RegionName::posix(name).ok())
                .unwrap_or(RegionName::file(path))
        });
        for directory in directories {
            if let Err(error) = fs::read_dir(directory) {
                let reason = format!("{}: {error}", directory.display());
                return Err(CliError::Other(crate::format::escape(&reason)));
            }
            found.add_directory(directory, &|path| RegionName::file(path));
        }
        Ok(found)
    }

    /// Adds regions that processes have mapped and that were not found by name.
    pub fn add_mapped(&mut self, attachments: &Attachments) {
        let mut locator = FileLocator::default();
        for (process, mapping) in attachments.mappings() {
            let (device, inode) = (mapping.device, mapping.inode);
            if self.seen.contains(&(device, inode)) {
                continue;
            }
            let path = match mapping.backing() {
                Backing::Segment(_) => continue,
                Backing::File => Some(mapping.path.clone()),
                Backing::Tmpfile(directory) => locator.find_path(&directory, device, inode),
                Backing::Unnamed => None,
            };
            let target = match path {
                Some(path) => Some(Target::Named(RegionName::file(path))),
                None => locator
                    .find_descriptor(process, &mapping.path, (device, inode))
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

    fn add_segments(&mut self) -> Result<(), CliError> {
        for segment in segments::all()? {
            let target = match RegionName::sysv(segment.key) {
                Ok(name) => Target::Named(name),
                Err(_) => Target::Segment(segment.id),
            };
            self.add(target, Some(segment));
        }
        Ok(())
    }

    /// Adds a target to the found regions if the target is a region.
    fn add(&mut self, target: Target, segment: Option<segments::Segment>) {
        let subject = match target.attach() {
            Ok(view) => Subject::new(target, view, segment),
            Err(RegionError::Denied(_)) => {
                let reason = "permission denied".into();
                let name = target.to_string();
                return self.unreadable.push(Unreadable { name, reason });
            }
            Err(error @ RegionError::OtherVersion { .. }) => {
                let (reason, name) = (error.to_string(), target.to_string());
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

/// Returns the region that the target names. For a System V segment, the result includes the
/// kernel's count of mappings.
pub fn find_region(target: &Target) -> Result<Subject, CliError> {
    let segments = segments::all()?;
    let segment = segments.into_iter().find(|segment| match target {
        Target::Named(name) => RegionName::sysv(segment.key).is_ok_and(|own| own == *name),
        Target::Segment(id) => segment.id == *id,
        Target::Descriptor { .. } => false,
    });
    let view = target
        .attach()
        .map_err(|error| CliError::from_region(target, &error))?;
    Ok(Subject::new(target.clone(), view, segment))
}

/// Returns which processes have which memory mapped.
pub fn scan_attachments() -> Result<Attachments, CliError> {
    Attachments::scan().map_err(|error| CliError::Other(format!("/proc: {error}")))
}

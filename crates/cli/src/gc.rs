//! `interlatch gc`.

use crate::arguments::Collect;
use crate::discovery::{self, Discovery};
use crate::error::CliError;
use crate::format::{escape, format_pids};
use crate::output;
use crate::processes::Attachments;
use crate::report::Subject;
use crate::target::Target;
use serde::Serialize;

/// The result of a run: the document of `gc --json`.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    /// Whether the command was a dry run, which removes nothing.
    dry_run: bool,
    /// The names of the removed regions.
    removed: Vec<String>,
    /// The regions that were kept, with the reasons.
    kept: Vec<Skipped>,
    /// The regions that could not be removed, with the reasons.
    failed: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    name: String,
    reason: String,
}

/// The reason to keep a region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("attached by {}", format_pids(.0))]
    Attached(Vec<u32>),
    #[error("attached {0} times")]
    Mapped(u64),
    #[error("open in a process that could not be inspected")]
    Open,
    #[error("belongs to another PID namespace, whose processes may be invisible here")]
    OtherNamespace,
    #[error("{0} processes could not be inspected and may have it attached")]
    Inaccessible(usize),
}

/// What is known about the use of a region.
#[derive(Clone, Debug, Default)]
struct Usage {
    attached: Vec<u32>,
    /// The kernel's count of mappings of a System V segment.
    mappings: Option<u64>,
    /// Whether a process has the file open, according to the kernel.
    is_open: Option<bool>,
    is_of_this_namespace: bool,
    inaccessible: usize,
}

impl Usage {
    fn new(subject: &Subject, attachments: &Attachments) -> Self {
        Self {
            attached: subject.attached(attachments),
            mappings: subject.segment.map(|segment| segment.attached),
            is_open: subject.view.is_used_elsewhere(),
            is_of_this_namespace: subject.is_of_this_namespace(),
            inaccessible: attachments.inaccessible,
        }
    }

    /// Returns the reason to keep the region, if there is one.
    fn reason_to_keep(&self, force: bool) -> Option<Reason> {
        match self.mappings {
            _ if !self.attached.is_empty() => Some(Reason::Attached(self.attached.clone())),
            Some(mappings @ 1..) => Some(Reason::Mapped(mappings)),
            _ if force => None,
            // The kernel's count includes the mappings of all PID namespaces.
            Some(0) => None,
            None if self.is_open == Some(false) => None,
            None if self.is_open == Some(true) => Some(Reason::Open),
            None if !self.is_of_this_namespace => Some(Reason::OtherNamespace),
            None if self.inaccessible > 0 => Some(Reason::Inaccessible(self.inaccessible)),
            None => None,
        }
    }
}

pub fn run(arguments: &Collect, json: bool) -> Result<(), CliError> {
    let attachments = discovery::scan_attachments()?;
    let selected = select(arguments)?;
    let mut outcome = Outcome {
        dry_run: arguments.dry_run,
        ..Outcome::default()
    };
    for subject in selected {
        outcome.collect(subject, &attachments, arguments);
    }
    output::print(&match json {
        true => output::document(&outcome)?,
        false => outcome.text(),
    })?;
    match outcome.failed.len() {
        0 => Ok(()),
        failed => Err(CliError::Other(format!(
            "{failed} regions could not be removed"
        ))),
    }
}

/// Returns the regions that the arguments select.
fn select(arguments: &Collect) -> Result<Vec<Subject>, CliError> {
    let has_prefix = |subject: &Subject| {
        let prefix = arguments.prefix.as_deref();
        prefix.is_none_or(|prefix| subject.target.short_name().starts_with(prefix))
    };
    let targets = &arguments.targets[..];
    if let Some(unnamed) = targets.iter().find(|target| !target.has_name()) {
        return Err(CliError::unnamed(unnamed));
    }
    let all = match targets {
        [] => Discovery::named(&arguments.directories)?.subjects,
        targets => targets
            .iter()
            .map(discovery::find_region)
            .collect::<Result<_, _>>()?,
    };
    Ok(all.into_iter().filter(has_prefix).collect())
}

impl Outcome {
    /// Removes a region unless there is a reason to keep it.
    fn collect(&mut self, subject: Subject, attachments: &Attachments, arguments: &Collect) {
        let name = subject.target.to_string();
        let mut reason = Usage::new(&subject, attachments).reason_to_keep(arguments.force);
        let target = subject.target.clone();
        // Dropping `subject` detaches this process, so that it does not count as a user of the
        // region.
        drop(subject);
        let Target::Named(region) = &target else {
            return;
        };
        if reason.is_none() && !arguments.dry_run {
            match recheck(&target, arguments.force) {
                Ok(newer) => reason = newer,
                Err(error) => return self.fail(name, &error),
            }
        }
        if let Some(reason) = reason {
            let reason = reason.to_string();
            self.kept.push(Skipped { name, reason });
            return;
        }
        let removed = match arguments.dry_run {
            true => Ok(()),
            false => region.remove(),
        };
        match removed.map_err(|error| CliError::from_region(&target, &error)) {
            Ok(()) => self.removed.push(name),
            Err(error) => self.fail(name, &error),
        }
    }

    /// Records that removing a region failed, unless another process has already removed the
    /// region.
    fn fail(&mut self, name: String, error: &CliError) {
        if !matches!(error, CliError::NotFound(_)) {
            let reason = error.to_string();
            self.failed.push(Skipped { name, reason });
        }
    }

    fn text(&self) -> String {
        let removed = if self.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let mut text = String::new();
        for name in &self.removed {
            text += &format!("{removed} {}\n", escape(name));
        }
        for Skipped { name, reason } in &self.kept {
            text += &format!("kept {}: {reason}\n", escape(name));
        }
        for Skipped { reason, .. } in &self.failed {
            text += &format!("not removed: {}\n", escape(reason));
        }
        text
    }
}

/// Decides again, from the current state of the processes, whether to keep a region.
fn recheck(target: &Target, force: bool) -> Result<Option<Reason>, CliError> {
    let attachments = discovery::scan_attachments()?;
    let subject = discovery::find_region(target)?;
    Ok(Usage::new(&subject, &attachments).reason_to_keep(force))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unused() -> Usage {
        Usage {
            is_of_this_namespace: true,
            ..Usage::default()
        }
    }

    #[test]
    fn attached_region_is_always_kept() {
        let usage = Usage {
            attached: vec![7],
            ..unused()
        };
        assert_eq!(usage.reason_to_keep(true), Some(Reason::Attached(vec![7])));
        let usage = Usage {
            mappings: Some(2),
            ..unused()
        };
        assert_eq!(usage.reason_to_keep(true), Some(Reason::Mapped(2)));
    }

    #[test]
    fn possibly_attached_region_needs_force() {
        for usage in [
            Usage {
                inaccessible: 1,
                ..unused()
            },
            Usage {
                is_of_this_namespace: false,
                ..unused()
            },
        ] {
            assert!(usage.reason_to_keep(false).is_some(), "{usage:?}");
            assert_eq!(usage.reason_to_keep(true), None);
        }
    }

    #[test]
    fn open_file_is_kept() {
        let open = |is_open| Usage {
            is_open: Some(is_open),
            inaccessible: 1,
            is_of_this_namespace: false,
            ..unused()
        };
        assert_eq!(open(true).reason_to_keep(false), Some(Reason::Open));
        assert_eq!(open(false).reason_to_keep(false), None);
    }

    #[test]
    fn unattached_region_is_removed() {
        assert_eq!(unused().reason_to_keep(false), None);
        let counted = Usage {
            mappings: Some(0),
            inaccessible: 5,
            ..unused()
        };
        assert_eq!(
            counted.reason_to_keep(false),
            None,
            "the kernel has seen all"
        );
    }
}

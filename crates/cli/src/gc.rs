//! `interlatch gc`.

use crate::arguments::Collect;
use crate::failure::Failure;
use crate::find::{self, Found};
use crate::output;
use crate::processes::Attachments;
use crate::report::Subject;
use crate::target::Target;
use crate::text::{clean, pids};
use serde::Serialize;

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Collected {
    /// Whether nothing was removed in truth.
    dry_run: bool,
    /// The names of those that were removed.
    removed: Vec<String>,
    /// Those that were not, and why.
    kept: Vec<Kept>,
    /// Those that could not be removed, and why.
    failed: Vec<Kept>,
}

#[derive(Debug, Serialize)]
struct Kept {
    name: String,
    reason: String,
}

/// Why a region is not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("attached by {}", pids(.0))]
    Attached(Vec<u32>),
    #[error("attached {0} times")]
    Mapped(u64),
    #[error("open in a process that could not be looked at")]
    Open,
    #[error("of another pid namespace, whose processes may not be seen here")]
    OtherNamespace,
    #[error("processes that could not be looked at, {0} of them, may have it attached")]
    Unseen(usize),
}

/// What the decision is made of.
#[derive(Clone, Debug, Default)]
struct Facts {
    attached: Vec<u32>,
    /// Of a System V segment, as the kernel counts.
    mappings: Option<u64>,
    /// Whether anybody has the file open, as the kernel counts.
    is_open: Option<bool>,
    is_of_this_namespace: bool,
    unseen: usize,
}

impl Facts {
    fn of(subject: &Subject, attachments: &Attachments) -> Self {
        Self {
            attached: subject.attached(attachments),
            mappings: subject.segment.map(|segment| segment.attached),
            is_open: subject.view.is_used_elsewhere(),
            is_of_this_namespace: subject.is_of_this_namespace(),
            unseen: attachments.unseen,
        }
    }

    /// Why it has to stay.
    fn reason_to_stay(&self, force: bool) -> Option<Reason> {
        match self.mappings {
            _ if !self.attached.is_empty() => Some(Reason::Attached(self.attached.clone())),
            Some(mappings @ 1..) => Some(Reason::Mapped(mappings)),
            _ if force => None,
            // The kernel has counted, in all namespaces.
            Some(0) => None,
            None if self.is_open == Some(false) => None,
            None if self.is_open == Some(true) => Some(Reason::Open),
            None if !self.is_of_this_namespace => Some(Reason::OtherNamespace),
            None if self.unseen > 0 => Some(Reason::Unseen(self.unseen)),
            None => None,
        }
    }
}

pub fn run(arguments: &Collect, json: bool) -> Result<(), Failure> {
    let attachments = find::attachments()?;
    let chosen = choose(arguments)?;
    let mut collected = Collected {
        dry_run: arguments.dry_run,
        ..Collected::default()
    };
    for subject in chosen {
        collected.consider(subject, &attachments, arguments);
    }
    output::print(&match json {
        true => output::document(&collected)?,
        false => collected.text(),
    })?;
    match collected.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::Other(format!(
            "{failed} regions could not be removed"
        ))),
    }
}

/// The regions that the arguments speak of.
fn choose(arguments: &Collect) -> Result<Vec<Subject>, Failure> {
    let has_prefix = |subject: &Subject| {
        let prefix = arguments.prefix.as_deref();
        prefix.is_none_or(|prefix| subject.target.short_name().starts_with(prefix))
    };
    let targets = &arguments.targets[..];
    if let Some(unnamed) = targets.iter().find(|target| !target.has_name()) {
        return Err(Failure::unnamed(unnamed));
    }
    let all = match targets {
        [] => Found::named(&arguments.directories)?.subjects,
        targets => targets.iter().map(find::one).collect::<Result<_, _>>()?,
    };
    Ok(all.into_iter().filter(has_prefix).collect())
}

impl Collected {
    /// Removes it, unless it has to stay.
    fn consider(&mut self, subject: Subject, attachments: &Attachments, arguments: &Collect) {
        let name = subject.target.to_string();
        let mut reason = Facts::of(&subject, attachments).reason_to_stay(arguments.force);
        let target = subject.target.clone();
        // Not to be among those who have it attached.
        drop(subject);
        let Target::Named(region) = &target else {
            return;
        };
        if reason.is_none() && !arguments.dry_run {
            match look_again(&target, arguments.force) {
                Ok(newer) => reason = newer,
                Err(error) => return self.fail(name, &error),
            }
        }
        if let Some(reason) = reason {
            let reason = reason.to_string();
            self.kept.push(Kept { name, reason });
            return;
        }
        let removed = match arguments.dry_run {
            true => Ok(()),
            false => region.remove(),
        };
        match removed.map_err(|error| Failure::of(&target, &error)) {
            Ok(()) => self.removed.push(name),
            Err(error) => self.fail(name, &error),
        }
    }

    /// It was not removed; somebody else may have.
    fn fail(&mut self, name: String, error: &Failure) {
        if !matches!(error, Failure::Gone(_)) {
            let reason = error.to_string();
            self.failed.push(Kept { name, reason });
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
            text += &format!("{removed} {}\n", clean(name));
        }
        for Kept { name, reason } in &self.kept {
            text += &format!("kept {}: {reason}\n", clean(name));
        }
        for Kept { reason, .. } in &self.failed {
            text += &format!("not removed: {}\n", clean(reason));
        }
        text
    }
}

/// The same decision, on what is so now.
fn look_again(target: &Target, force: bool) -> Result<Option<Reason>, Failure> {
    let attachments = find::attachments()?;
    let subject = find::one(target)?;
    Ok(Facts::of(&subject, &attachments).reason_to_stay(force))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Facts {
        Facts {
            is_of_this_namespace: true,
            ..Facts::default()
        }
    }

    #[test]
    fn what_somebody_has_attached_stays_whatever_is_said() {
        let facts = Facts {
            attached: vec![7],
            ..alone()
        };
        assert_eq!(facts.reason_to_stay(true), Some(Reason::Attached(vec![7])));
        let facts = Facts {
            mappings: Some(2),
            ..alone()
        };
        assert_eq!(facts.reason_to_stay(true), Some(Reason::Mapped(2)));
    }

    #[test]
    fn what_somebody_may_have_attached_goes_only_by_force() {
        for facts in [
            Facts {
                unseen: 1,
                ..alone()
            },
            Facts {
                is_of_this_namespace: false,
                ..alone()
            },
        ] {
            assert!(facts.reason_to_stay(false).is_some(), "{facts:?}");
            assert_eq!(facts.reason_to_stay(true), None);
        }
    }

    #[test]
    fn what_is_open_somewhere_stays() {
        let open = |is_open| Facts {
            is_open: Some(is_open),
            unseen: 1,
            is_of_this_namespace: false,
            ..alone()
        };
        assert_eq!(open(true).reason_to_stay(false), Some(Reason::Open));
        assert_eq!(open(false).reason_to_stay(false), None);
    }

    #[test]
    fn what_nobody_has_attached_goes() {
        assert_eq!(alone().reason_to_stay(false), None);
        let counted = Facts {
            mappings: Some(0),
            unseen: 5,
            ..alone()
        };
        assert_eq!(
            counted.reason_to_stay(false),
            None,
            "the kernel has seen all"
        );
    }
}

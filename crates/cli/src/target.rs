//! The region that a command line names.

use interlatch::inspect::RegionView;
use interlatch::{RegionError, RegionName};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A region, identified by its name. A region without a name is identified by a process's
/// descriptor or by a segment ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Named(RegionName),
    /// A descriptor of a process.
    Descriptor {
        process: u32,
        number: u32,
    },
    /// A System V segment without a key.
    Segment(i32),
}

impl Target {
    pub fn attach(&self) -> Result<RegionView, RegionError> {
        match self {
            Self::Named(name) => RegionView::attach(name),
            Self::Descriptor { process, number } => {
                RegionView::attach_path(format!("/proc/{process}/fd/{number}"))
            }
            Self::Segment(id) => RegionView::attach_segment(*id),
        }
    }

    /// Returns whether the region has a name that can be removed.
    pub fn has_name(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Returns the part of the region's name that must start with the `--prefix` argument.
    pub fn short_name(&self) -> String {
        let text = self.to_string();
        match text.split_once(':') {
            Some(("file", path)) => {
                let path = PathBuf::from(path);
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
            Some((_, name)) => name.to_owned(),
            None => text,
        }
    }

    /// Returns the kind of memory.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Named(name) => match name.to_string().split_once(':') {
                Some(("posix", _)) => "posix",
                Some(("sysv", _)) => "sysv",
                _ => "file",
            },
            Self::Descriptor { process, number } => {
                let link = std::fs::read_link(format!("/proc/{process}/fd/{number}"));
                let is_memfd = link.is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:"));
                if is_memfd { "memfd" } else { "removed" }
            }
            Self::Segment(_) => "sysv",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Descriptor { process, number } => write!(f, "fd:{process}/{number}"),
            Self::Segment(id) => write!(f, "shmid:{id}"),
        }
    }
}

/// The error returned when parsing a target fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("expected fd:PID/NUMBER")]
    Descriptor,
    #[error("expected shmid:ID")]
    Segment,
    #[error("{0}")]
    Name(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(numbers) = text.strip_prefix("fd:") {
            let (process, number) = numbers.split_once('/').ok_or(TargetError::Descriptor)?;
            return descriptor(process, number).ok_or(TargetError::Descriptor);
        }
        if let Some(id) = text.strip_prefix("shmid:") {
            let id = id.parse().map_err(|_| TargetError::Segment)?;
            return Ok(Self::Segment(id));
        }
        if let ["", "proc", process, "fd", number] = text.split('/').collect::<Vec<_>>()[..]
            && let Some(target) = descriptor(process, number)
        {
            return Ok(target);
        }
        let name = text.parse().map(Self::Named);
        name.map_err(|error: RegionError| TargetError::Name(error.to_string()))
    }
}

fn descriptor(process: &str, number: &str) -> Option<Target> {
    Some(Target::Descriptor {
        process: process.parse().ok()?,
        number: number.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_targets_parse_again() {
        for text in [
            "posix:q",
            "file:/a/b",
            "sysv:0x000004d2",
            "fd:1/2",
            "shmid:7",
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.to_string(), text);
        }
        assert_eq!("/proc/1/fd/2".parse(), "fd:1/2".parse::<Target>());
        assert!("fd:1".parse::<Target>().is_err());
        assert!("fd:x/y".parse::<Target>().is_err());
        assert!("shmid:x".parse::<Target>().is_err());
        assert!("".parse::<Target>().is_err());
    }

    #[test]
    fn short_name_omits_the_kind_and_directory() {
        let short = |text: &str| text.parse::<Target>().expect(text).short_name();
        assert_eq!(short("posix:queue"), "queue");
        assert_eq!(short("/tmp/queue"), "queue");
        assert_eq!(short("sysv:1234"), "0x000004d2");
    }
}

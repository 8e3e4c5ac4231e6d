//! The System V segments of the machine: `/proc/sysvipc/shm`.

use crate::error::CliError;

/// A System V segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The key; 0 for a private segment, and for a removed segment that is still attached.
    pub key: i32,
    pub id: i32,
    /// The kernel's count of mappings.
    pub attached: u64,
}

/// Returns all segments, or an empty list if the kernel lacks System V memory.
pub fn all() -> Result<Vec<Segment>, CliError> {
    match std::fs::read_to_string("/proc/sysvipc/shm") {
        Ok(table) => Ok(table.lines().filter_map(parse).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CliError::Other(format!("/proc/sysvipc/shm: {error}"))),
    }
}

/// Parses `key shmid perms size cpid lpid nattch ...`; returns `None` for the header line.
fn parse(line: &str) -> Option<Segment> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [key, id, _, _, _, _, attached, ..] = columns[..] else {
        return None;
    };
    Some(Segment {
        key: key.parse().ok()?,
        id: id.parse().ok()?,
        attached: attached.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_table_is_parsed() {
        let line = " -559038737          3   600    69632  4711  4711      2 100000 0 100000 0 1 0 1 4096 0";
        let segment = parse(line).expect("a segment");
        assert_eq!(
            segment,
            Segment {
                key: -559_038_737,
                id: 3,
                attached: 2
            }
        );
        assert_eq!(
            parse("       key      shmid perms  size  cpid  lpid nattch   uid"),
            None
        );
    }
}

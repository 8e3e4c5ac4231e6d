//! The System V segments of the machine: `/proc/sysvipc/shm`.

use crate::failure::Failure;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// 0 for one that nobody can find by a key, as one that was removed while it is attached.
    pub key: i32,
    pub id: i32,
    /// How many mappings of it there are, counted by the kernel.
    pub attached: u64,
}

/// All of them; none where the kernel has no System V memory.
pub fn all() -> Result<Vec<Segment>, Failure> {
    match std::fs::read_to_string("/proc/sysvipc/shm") {
        Ok(table) => Ok(table.lines().filter_map(parse).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::Other(format!("/proc/sysvipc/shm: {error}"))),
    }
}

/// `key shmid perms size cpid lpid nattch ...`; the first line is of words.
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
    fn the_table_of_the_kernel_is_read() {
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

//! The memory limits of the cgroups that contain this process.
//!
//! The kernel charges the memory of a region to the cgroup of the process that reserves it. If a
//! cgroup exceeds its limit, the out-of-memory killer kills a process, and no system call returns
//! an error. Each ancestor of the process's cgroup has a limit of its own.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that a cgroup has available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The directory of the cgroup.
    pub(super) cgroup: PathBuf,
    /// The available memory in bytes.
    pub(super) available: u64,
}

/// Returns the cgroup of this process that has the least memory available, if it has less than
/// `needed` bytes.
///
/// `root` is the directory that contains `proc` and the mount points. `free_swap` is the free swap
/// space of the machine in bytes.
pub(super) fn too_small(root: &Path, needed: u64, free_swap: u64) -> Option<Room> {
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let demand = Demand { needed, free_swap };
    let rooms = cgroups.lines().filter_map(Membership::parse);
    let rooms = rooms.flat_map(|membership| membership.rooms(root, &mounts, demand));
    rooms.min_by_key(|room| room.available)
}

/// The memory that a process needs.
#[derive(Clone, Copy)]
struct Demand {
    needed: u64,
    /// The free swap space of the machine in bytes.
    free_swap: u64,
}

/// The version of the interface of a cgroup's memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A line of `/proc/self/cgroup`: the cgroup of this process in a hierarchy.
struct Membership<'a> {
    version: Version,
    path: &'a str,
}

impl<'a> Membership<'a> {
    /// Parses `NUMBER:CONTROLLERS:PATH`. Returns `None` for a hierarchy without memory limits.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match controllers {
            "" => Version::Two,
            _ if controllers.split(',').any(|name| name == "memory") => Version::One,
            _ => return None,
        };
        Some(Self { version, path })
    }

    /// Returns the room in this cgroup and in each visible ancestor, unless it suffices.
    fn rooms(&self, root: &Path, mounts: &str, demand: Demand) -> Vec<Room> {
        let Some(mount) = mounts.lines().find_map(|line| self.mount(line)) else {
            return Vec::new();
        };
        let top = root.join(mount.point.trim_start_matches('/'));
        let own = top.join(self.path_below(&mount.root));
        let directories = own
            .ancestors()
            .take_while(|directory| directory.starts_with(&top));
        let room = |directory: &Path| {
            let available = match self.version {
                Version::One => demand.available_v1(directory),
                Version::Two => demand.available_v2(directory),
            };
            let cgroup = directory.to_owned();
            available.map(|available| Room { cgroup, available })
        };
        directories.filter_map(room).collect()
    }

    /// Parses a line of `/proc/self/mountinfo`. Returns `None` unless the line describes a mount of
    /// this hierarchy.
    fn mount(&self, line: &str) -> Option<Mount> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let (name, options) = (file_system.next()?, file_system.nth(1)?);
        let is_this_hierarchy = match self.version {
            Version::One => name == "cgroup" && options.split(',').any(|name| name == "memory"),
            Version::Two => name == "cgroup2",
        };
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        is_this_hierarchy.then_some(Mount { root, point })
    }

    /// Returns the path of this cgroup relative to the mounted one. The path is empty if this
    /// cgroup is not below the mounted cgroup, as in some containers.
    fn path_below(&self, root: &str) -> &str {
        let root = root.trim_end_matches('/');
        let below = self.path.strip_prefix(root).unwrap_or_default();
        let is_below = below.starts_with('/') && !below.split('/').any(|part| part == "..");
        if is_below { &below[1..] } else { "" }
    }
}

/// A mounted hierarchy of cgroups.
struct Mount {
    /// The path of the cgroup at the mount point.
    root: String,
    point: String,
}

/// Replaces the octal escapes of `/proc/self/mountinfo`, such as `\040` for a space.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                unescaped.push(char::from(code));
                unescaped.push_str(&part[3..]);
            }
            None => {
                unescaped.push('\\');
                unescaped.push_str(part);
            }
        }
    }
    unescaped
}

impl Demand {
    /// Returns the available memory of a cgroup of version 1, or `None` if it suffices. The limit
    /// `memsw` covers memory and swap together.
    fn available_v1(self, directory: &Path) -> Option<u64> {
        let free = |kind: &str| {
            let limit = number(directory, &format!("{kind}.limit_in_bytes"))?;
            Some(limit.saturating_sub(number(directory, &format!("{kind}.usage_in_bytes"))?))
        };
        let (memory, with_swap) = (free("memory")?, free("memory.memsw").unwrap_or(u64::MAX));
        // Reading the statistics of a cgroup is slow.
        if memory.min(with_swap) >= self.needed {
            return None;
        }
        let available = memory.saturating_add(self.free_swap).min(with_swap);
        self.unless_enough(available.saturating_add(file_cache(directory, "total_")))
    }

    /// Returns the available memory of a cgroup of version 2, or `None` if it suffices or has no
    /// limit.
    fn available_v2(self, directory: &Path) -> Option<u64> {
        let number = |file: &str| number(directory, file);
        let free = number("memory.max")?.saturating_sub(number("memory.current")?);
        if free >= self.needed {
            return None;
        }
        let swap = match number("memory.swap.max").zip(number("memory.swap.current")) {
            Some((limit, usage)) => self.free_swap.min(limit.saturating_sub(usage)),
            None => self.free_swap,
        };
        let available = free.saturating_add(swap);
        self.unless_enough(available.saturating_add(file_cache(directory, "")))
    }

    fn unless_enough(self, available: u64) -> Option<u64> {
        (available < self.needed).then_some(available)
    }
}

/// Returns the page cache of files, which the kernel frees before it exceeds a limit. The memory of
/// regions is not part of it.
fn file_cache(directory: &Path, prefix: &str) -> u64 {
    let text = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let value = |name: &str| {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(prefix)?.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    let lists = ["inactive_file ", "active_file "].map(|name| value(name).unwrap_or(0));
    lists[0].saturating_add(lists[1])
}

/// Reads a number from a file of a cgroup. Returns `None` if the file is missing or contains `max`.
fn number(directory: &Path, file: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(file)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with the files of a machine.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(cgroup: &str, mounts: &str) -> Self {
            let machine = Self(tempfile::tempdir().expect("a directory"));
            machine.write("proc/self/cgroup", cgroup);
            machine.write("proc/self/mountinfo", mounts);
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is created");
            fs::write(path, text).expect("the file is written");
        }

        /// Returns the smallest room, with the directory relative to this machine.
        fn room(&self, free_swap: u64) -> Option<(String, u64)> {
            let room = too_small(self.0.path(), u64::MAX, free_swap)?;
            let cgroup = room
                .cgroup
                .strip_prefix(self.0.path())
                .expect("it is inside");
            Some((cgroup.display().to_string(), room.available))
        }
    }

    const V1: &str = "41 23 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      42 23 0:34 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";
    const V2: &str = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_1_counts_cache_and_swap() {
        let machine = Machine::new("5:cpu:/\n4:memory,hugetlb:/a/b\n0::/\n", V1);
        machine.write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1000\n");
        machine.write("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "400\n");
        machine.write(
            "sys/fs/cgroup/memory/a/b/memory.stat",
            "inactive_file 7\ntotal_inactive_file 20\ntotal_active_file 30\n",
        );
        let own = "sys/fs/cgroup/memory/a/b".to_owned();
        assert_eq!(machine.room(0), Some((own.clone(), 650)));
        assert_eq!(machine.room(5), Some((own.clone(), 655)));
        machine.write(
            "sys/fs/cgroup/memory/a/b/memory.memsw.limit_in_bytes",
            "1000",
        );
        machine.write(
            "sys/fs/cgroup/memory/a/b/memory.memsw.usage_in_bytes",
            "900",
        );
        assert_eq!(machine.room(5), Some((own, 150)), "swap has a limit");
    }

    #[test]
    fn version_2_counts_cache_and_swap() {
        let machine = Machine::new("0::/a/b\n", V2);
        machine.write("sys/fs/cgroup/a/b/memory.max", "1000\n");
        machine.write("sys/fs/cgroup/a/b/memory.current", "400\n");
        machine.write(
            "sys/fs/cgroup/a/b/memory.stat",
            "anon 3\nfile 99\ninactive_file 20\nactive_file 30\n",
        );
        let own = "sys/fs/cgroup/a/b".to_owned();
        assert_eq!(machine.room(5), Some((own.clone(), 655)));
        machine.write("sys/fs/cgroup/a/b/memory.swap.max", "3\n");
        machine.write("sys/fs/cgroup/a/b/memory.swap.current", "1\n");
        assert_eq!(machine.room(5), Some((own, 652)), "swap has a limit");
    }

    #[test]
    fn tightest_ancestor_counts() {
        let machine = Machine::new("0::/a/b/c\n", V2);
        for (cgroup, limit, usage) in [
            ("a", "500", "490"),
            ("a/b", "max", "400"),
            ("a/b/c", "300", "100"),
        ] {
            machine.write(&format!("sys/fs/cgroup/{cgroup}/memory.max"), limit);
            machine.write(&format!("sys/fs/cgroup/{cgroup}/memory.current"), usage);
        }
        assert_eq!(machine.room(0), Some(("sys/fs/cgroup/a".to_owned(), 10)));
    }

    #[test]
    fn enough_memory_is_not_reported() {
        let machine = Machine::new("4:memory:/\n0::/\n", &[V1, V2].concat());
        for (file, text) in [
            ("memory/memory.limit_in_bytes", "1000"),
            ("memory/memory.usage_in_bytes", "400"),
            ("memory/memory.stat", "total_active_file 100"),
            ("memory.max", "1000"),
            ("memory.current", "300"),
        ] {
            machine.write(&format!("sys/fs/cgroup/{file}"), text);
        }
        let available = |needed| Some(too_small(machine.0.path(), needed, 5)?.available);
        assert_eq!([600, 705].map(available), [None; 2]);
        assert_eq!([706, 1000].map(available), [Some(705); 2]);
    }

    #[test]
    fn usage_above_the_limit_leaves_no_room() {
        let machine = Machine::new("0::/\n", V2);
        machine.write("sys/fs/cgroup/memory.max", "500");
        machine.write("sys/fs/cgroup/memory.current", "501");
        assert_eq!(machine.room(0), Some(("sys/fs/cgroup".to_owned(), 0)));
    }

    #[test]
    fn container_sees_its_cgroup_at_the_mount_point() {
        let mounts =
            "42 23 0:34 /docker/12ab /sys/fs/cgroup\\040x/memory ro - cgroup cgroup rw,memory\n";
        for path in ["/docker/12ab", "/docker/other", "/../other"] {
            let machine = Machine::new(&format!("4:memory:{path}\n"), mounts);
            let directory = "sys/fs/cgroup x/memory";
            machine.write(&format!("{directory}/memory.limit_in_bytes"), "1000");
            machine.write(&format!("{directory}/memory.usage_in_bytes"), "100");
            let (cgroup, available) = machine.room(0).expect("a limit");
            assert_eq!((cgroup.as_str(), available), (directory, 900));
        }
    }

    #[test]
    fn memory_without_a_limit_has_no_room() {
        assert_eq!(Machine::new("0::/a\n", V2).room(0), None);
        assert_eq!(Machine::new("4:memory:/a\n", "").room(0), None);
        assert_eq!(Machine::new("", V1).room(0), None);
        assert_eq!(too_small(Path::new("/nonexistent"), u64::MAX, 0), None);
        let machine = Machine::new("0::/a\n", V2);
        machine.write("sys/fs/cgroup/a/memory.max", "max\n");
        machine.write("sys/fs/cgroup/a/memory.current", "400\n");
        assert_eq!(machine.room(0), None);
    }
}

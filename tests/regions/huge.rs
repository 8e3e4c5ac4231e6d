//! Regions whose memory is in huge pages.

use super::harness::Test;
use interlatch::{Region, RegionOptions, Semaphore};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "region_uses_huge_pages_on_request",
            region_uses_huge_pages_on_request,
        ),
        Test::new(
            "region_smaller_than_a_huge_page_works",
            region_smaller_than_a_huge_page_works,
        ),
    ]
}

const SIZE: usize = 8 << 20;

/// Returns how many bytes of a fully used region are in huge pages: first in the creator's mapping,
/// then in the mapping of a process that attaches.
fn huge_bytes(options: &RegionOptions) -> [usize; 2] {
    let region = options.memfd("huge").expect("the region can be created");
    let semaphores: &[Semaphore] = region
        .create("all", SIZE / size_of::<Semaphore>() - 1)
        .expect("the region has room");
    let copy = region.descriptor().expect("a memfd has a descriptor");
    let same = Region::from_descriptor(copy.try_clone_to_owned().expect("a descriptor"));
    let same = same.expect("the same region");
    let attached: &[Semaphore] = same.attach("all").expect("the object exists");
    let last = attached.len() - 1;
    for index in (0..last).step_by(4096 / size_of::<Semaphore>()) {
        semaphores[index].release(1).expect("the permits fit");
        assert!(attached[index].try_acquire().is_some());
    }
    [&region, &same].map(|region| region.huge_page_bytes().expect("/proc is readable"))
}

fn region_uses_huge_pages_on_request() {
    let setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    let setting = std::fs::read_to_string(setting).unwrap_or_default();
    if setting.is_empty() || setting.contains("[deny]") {
        println!("not tested: this kernel has no huge pages for shared memory: {setting:?}");
        return;
    }
    if setting.contains("[never]") {
        assert_eq!(
            huge_bytes(&RegionOptions::new(SIZE)),
            [0, 0],
            "huge pages were not requested"
        );
    }
    // The kernel may lack contiguous memory at times, so some regions may get no huge pages.
    let requested = RegionOptions::new(SIZE).huge_pages(true);
    let found: Vec<_> = (0..10).map(|_| huge_bytes(&requested)).collect();
    let huge = found
        .iter()
        .filter(|[creator, attacher]| *creator > 0 && *attacher > 0);
    println!("{} of 10 regions are in huge pages", huge.clone().count());
    assert!(huge.count() > 0, "{found:?}");
    assert!(found.iter().flatten().all(|bytes| *bytes <= SIZE + 4096));
}

fn region_smaller_than_a_huge_page_works() {
    for size in [1, 4096, (2 << 20) - 4096, 2 << 20] {
        let region = RegionOptions::new(size).huge_pages(true).memfd("small");
        let region = region.expect("the buffer has room");
        assert_eq!(region.size(), size);
        assert!(region.create::<Semaphore>("one", ()).is_ok() == (size > 1));
    }
}

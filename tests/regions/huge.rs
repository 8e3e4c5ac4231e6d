//! Regions in huge pages.

use super::harness::Test;
use interlatch::{Region, RegionOptions, Semaphore};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "a_region_lies_in_huge_pages_if_that_is_asked",
            a_region_lies_in_huge_pages,
        ),
        Test::new(
            "a_region_that_fills_no_huge_page_works_all_the_same",
            a_small_one_works,
        ),
    ]
}

const SIZE: usize = 8 << 20;

/// The bytes in huge pages once all of it was used: of the creator, and of who attaches.
fn huge_bytes(options: &RegionOptions) -> [usize; 2] {
    let region = options.memfd("huge").expect("room");
    let semaphores: &[Semaphore] = region
        .create("all", SIZE / size_of::<Semaphore>() - 1)
        .expect("room");
    let copy = region.descriptor().expect("a memfd has one");
    let same = Region::from_descriptor(copy.try_clone_to_owned().expect("one more"));
    let same = same.expect("the same region");
    let attached: &[Semaphore] = same.attach("all").expect("it is there");
    let last = attached.len() - 1;
    for index in (0..last).step_by(4096 / size_of::<Semaphore>()) {
        semaphores[index].release(1).expect("few");
        assert!(attached[index].try_acquire().is_some());
    }
    [&region, &same].map(|region| region.huge_page_bytes().expect("/proc says so"))
}

fn a_region_lies_in_huge_pages() {
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
            "nobody asked"
        );
    }
    // The kernel may have no 2 MiB in one piece just now.
    let asked = RegionOptions::new(SIZE).huge_pages(true);
    let found: Vec<_> = (0..10).map(|_| huge_bytes(&asked)).collect();
    let got = found.iter().filter(|[one, other]| *one > 0 && *other > 0);
    println!("{} of 10 regions lie in huge pages", got.clone().count());
    assert!(got.count() > 0, "{found:?}");
    assert!(found.iter().flatten().all(|bytes| *bytes <= SIZE + 4096));
}

fn a_small_one_works() {
    for size in [1, 4096, (2 << 20) - 4096, 2 << 20] {
        let region = RegionOptions::new(size).huge_pages(true).memfd("small");
        let region = region.expect("room");
        assert_eq!(region.size(), size);
        assert!(region.create::<Semaphore>("one", ()).is_ok() == (size > 1));
    }
}

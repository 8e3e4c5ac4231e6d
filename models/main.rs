//! Runner.
mod buffer;
mod condvar;
mod mutex;
mod semaphore;
mod semaphore_pair;
use interlatch::check::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut all = mutex::models();
    all.extend(condvar::models());
    all.extend(semaphore::models());
    all.extend(semaphore_pair::models());
    all.extend(buffer::models());
    std::panic::set_hook(Box::new(|info| {
        let m = info
            .payload()
            .downcast_ref::<String>()
            .cloned()
            .or(info.payload().downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_default();
        let f = describe_failure(&m);
        println!("FAILED {} {}", f.kind, f.message);
        for l in &f.trace {
            println!("   {l}");
        }
        std::process::exit(1);
    }));
    let name = &args[1];
    let bound = args.get(2).and_then(|b| b.parse().ok());
    for m in all.iter().filter(|m| m.name.contains(name.as_str())) {
        let e = explore(
            m,
            Limits {
                preemptions: bound,
                time: std::time::Duration::from_secs(
                    args.get(3).map_or(20, |t| t.parse().unwrap()),
                ),
            },
        );
        println!(
            "{} {} {} {:?} {:?}",
            m.name, e.verdict, e.executions, e.elapsed, e.remarks
        );
    }
}

//! Regions of other users. The tests run as root and start actors that change to another user.

use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::scratch::{Scratch, parse_name};
use interlatch::channel::{ChannelError, GrowthLimit, SendError};
use interlatch::inspect::RegionView;
use interlatch::{
    Channel, Region, RegionError, RegionName, RegionOptions, RobustMutex, UnboundedBuffer,
};
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};
use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

/// The user id of an actor that is not root.
const STRANGER: u32 = 65534;

const GROWTH: GrowthLimit = GrowthLimit {
    items: 1,
    segments: 8,
};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "region_of_another_user_is_refused",
            region_of_another_user_is_refused,
        ),
        Test::new(
            "system_v_creator_cannot_hide_behind_the_owner",
            system_v_creator_cannot_hide_behind_the_owner,
        ),
        Test::new(
            "memfd_of_another_user_is_refused",
            memfd_of_another_user_is_refused,
        ),
        Test::new(
            "region_of_root_is_accepted_by_other_users",
            region_of_root_is_accepted_by_other_users,
        ),
        Test::new(
            "unbounded_buffer_of_another_user_is_refused",
            unbounded_buffer_of_another_user_is_refused,
        ),
        Test::new(
            "segment_of_another_user_is_refused",
            segment_of_another_user_is_refused,
        ),
        Test::new(
            "region_writable_by_more_users_is_refused",
            region_writable_by_more_users_is_refused,
        ),
    ]
}

/// Returns whether this process cannot start actors of another user, and reports it.
fn is_not_checked() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        println!("NOT CHECKED: only root can start a process of another user");
    }
    !is_root
}

/// Starts an actor that changes to another user and then runs this role.
fn start(role: &str, name: &RegionName) -> Actor {
    let region = Region::memfd("strangers", 4096).expect("a page");
    let words = ["stranger".to_owned(), role.to_owned(), name.to_string()];
    Actor::start(&region, &words)
}

fn reply(actor: &mut Actor) -> String {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// Tells the actor to finish, and returns its last reply.
fn finish(mut actor: Actor) -> String {
    actor.tell("finish");
    let last = reply(&mut actor);
    assert_eq!(actor.end(Instant::now() + TIMEOUT), Ok(()));
    last
}

/// Runs a role in an actor, as another user.
pub fn run(arguments: &[String]) {
    let [role, name] = arguments else {
        panic!("expected a role and a name, got {arguments:?}")
    };
    setgroups(&[]).expect("root can leave its groups");
    setgid(Gid::from_raw(STRANGER)).expect("root can change its group");
    setuid(Uid::from_raw(STRANGER)).expect("root can change its user");
    let name = parse_name(name);
    match role.as_str() {
        "squat" => squat(&name),
        "give away" => give_away(&name),
        "memfd" => share_memfd(),
        "attach" => attach_to_root(&name),
        "queue" => squat_queue(&name),
        other => panic!("unknown role {other:?}"),
    }
}

/// Prints a reply, and waits for the test.
fn wait(reply: &str) {
    println!("{reply}");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .expect("the test sends a line");
}

/// Creates a region that every user may write, and reports what other users write into it.
fn squat(name: &RegionName) {
    let options = RegionOptions::new(4096).mode(0o666).remove_on_drop(true);
    let region = options.create(name).expect("the name is free");
    let secret: &RobustMutex<[u8; 32]> = region.create("secret", ()).expect("room");
    wait("ready");
    println!("{:?}", *secret.lock().expect("the lock is free"));
}

/// Creates System V memory and makes root its owner.
fn give_away(name: &RegionName) {
    let _region = RegionOptions::new(4096)
        .mode(0o600)
        .create(name)
        .expect("the name is free");
    let key = name.to_string();
    let key = key.strip_prefix("sysv:0x").expect("a System V key");
    let key = u32::from_str_radix(key, 16).expect("a number") as i32;
    // SAFETY: the arguments are numbers, and the kernel only reads and writes the structure.
    unsafe {
        let id = libc::shmget(key, 0, 0);
        let mut status: libc::shmid_ds = std::mem::zeroed();
        assert_eq!(libc::shmctl(id, libc::IPC_STAT, &raw mut status), 0);
        status.shm_perm.uid = 0;
        assert_eq!(libc::shmctl(id, libc::IPC_SET, &raw mut status), 0);
    }
    wait("ready");
    println!("done");
}

fn share_memfd() {
    let region = Region::memfd("strange", 4096).expect("a page");
    let descriptor = region.descriptor().expect("a memfd has one");
    wait(&descriptor.as_raw_fd().to_string());
    println!("done");
}

fn attach_to_root(name: &RegionName) {
    let strict = RegionOptions::attach(name);
    assert!(
        matches!(
            strict,
            Err(RegionError::WritableByOthers {
                owner: 0,
                mode: 0o666,
                allowed: 0o600,
                ..
            })
        ),
        "{strict:?}"
    );
    let options = RegionOptions::new(4096).mode(0o666);
    for region in [
        options.attach_existing(name),
        options.create_or_attach(name),
    ] {
        let region = region.expect("root is trusted");
        assert_eq!(region.owner().expect("the status is readable"), 0);
    }
    wait("ready");
    println!("done");
}

fn squat_queue(name: &RegionName) {
    let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("the name is free");
    wait("ready");
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("the queue exists");
    println!("done");
}

/// Checks that the error names the owner, the mode and the option.
fn assert_other_owner(result: Result<Region, RegionError>) {
    let error = result.expect_err("the region belongs to another user");
    assert!(
        matches!(
            error,
            RegionError::OtherOwner {
                owner: STRANGER,
                this_user: 0,
                ..
            }
        ),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("belongs to user 65534"), "{text}");
    assert!(text.contains("allow_owner(65534)"), "{text}");
}

/// Lets all users create files in the directory of a `Scratch`.
fn share_directory(scratch: &Scratch) {
    let shared = Permissions::from_mode(0o1777);
    fs::set_permissions(scratch.directory.path(), shared).expect("the directory is ours");
}

fn region_of_another_user_is_refused() {
    if is_not_checked() {
        return;
    }
    for kind in 0..3 {
        let scratch = Scratch::new();
        share_directory(&scratch);
        let name = &scratch.names[kind];
        let mut actor = start("squat", name);
        assert_eq!(reply(&mut actor), "ready");
        let options = RegionOptions::new(4096);
        assert_other_owner(RegionOptions::attach(name));
        assert_other_owner(options.create_or_attach(name));
        assert_other_owner(options.clone().mode(0o666).attach_existing(name));
        assert_other_owner(options.clone().allow_owner(1).attach_existing(name));
        // A view reads the region of any owner.
        let view = RegionView::attach(name).expect("root can read it");
        assert_eq!(view.owner().expect("a status"), STRANGER);
        assert_eq!(view.mode().expect("a status"), 0o666);
        assert_eq!(view.objects().count(), 1);
        drop(view);
        let owner = options.clone().allow_owner(STRANGER);
        let strict = owner.attach_existing(name);
        assert!(
            matches!(
                strict,
                Err(RegionError::WritableByOthers {
                    owner: STRANGER,
                    mode: 0o666,
                    ..
                })
            ),
            "{strict:?}"
        );
        let region = owner.mode(0o666).create_or_attach(name);
        let region = region.expect("the owner and the mode are accepted");
        assert_eq!(region.owner().expect("a status"), STRANGER);
        drop(region);
        assert_eq!(finish(actor), format!("{:?}", [0_u8; 32]));
        assert_eq!(scratch.remaining(), [0; 3], "{name}");
    }
}

fn system_v_creator_cannot_hide_behind_the_owner() {
    if is_not_checked() {
        return;
    }
    let scratch = Scratch::new();
    let name = &scratch.names[2];
    let mut actor = start("give away", name);
    assert_eq!(reply(&mut actor), "ready");
    let view = RegionView::attach(name).expect("root can read it");
    assert_eq!(view.owner().expect("a status"), 0, "root owns the segment");
    drop(view);
    assert_other_owner(RegionOptions::attach(name));
    assert_other_owner(RegionOptions::new(4096).create_or_attach(name));
    assert_eq!(finish(actor), "done");
}

fn memfd_of_another_user_is_refused() {
    if is_not_checked() {
        return;
    }
    let scratch = Scratch::new();
    let mut actor = start("memfd", &scratch.names[0]);
    let number = reply(&mut actor);
    let path = format!("/proc/{}/fd/{number}", actor.pid());
    let open = || {
        let file = File::options().read(true).write(true).open(&path);
        file.expect("root can open it").into()
    };
    assert_other_owner(Region::from_descriptor(open()));
    let region = RegionOptions::new(0)
        .allow_owner(STRANGER)
        .attach_descriptor(open());
    let region = region.expect("the owner is accepted");
    assert_eq!(region.owner().expect("a status"), STRANGER);
    assert_eq!(finish(actor), "done");
}

fn region_of_root_is_accepted_by_other_users() {
    if is_not_checked() {
        return;
    }
    let scratch = Scratch::new();
    for name in [&scratch.names[0], &scratch.names[2]] {
        let options = RegionOptions::new(4096).mode(0o666).remove_on_drop(true);
        let _region = options.create(name).expect("the name is free");
        let mut actor = start("attach", name);
        assert_eq!(reply(&mut actor), "ready", "{name}");
        assert_eq!(finish(actor), "done");
    }
}

fn unbounded_buffer_of_another_user_is_refused() {
    if is_not_checked() {
        return;
    }
    let scratch = Scratch::new();
    let name = &scratch.names[0];
    let mut actor = start("queue", name);
    assert_eq!(reply(&mut actor), "ready");
    for queue in [
        UnboundedBuffer::<u64>::attach(name),
        UnboundedBuffer::create_or_attach(name, GROWTH),
    ] {
        let error = queue.expect_err("the queue belongs to another user");
        assert!(
            matches!(
                error,
                RegionError::OtherOwner {
                    owner: STRANGER,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    assert_eq!(finish(actor), "done");
    assert_eq!(scratch.remaining(), [0; 3]);
}

fn segment_of_another_user_is_refused() {
    if is_not_checked() {
        return;
    }
    let scratch = Scratch::new();
    share_directory(&scratch);
    let name = &scratch.names[1];
    let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("the name is free");
    let sender = queue.sender().expect("the queue is open");
    sender.send(1).expect("the queue has room");
    let entries = fs::read_dir(scratch.directory.path()).expect("it exists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let first = paths.max_by_key(|path| path.as_os_str().len());
    // Every user can see the name of the first segment, and so knows the name of the second.
    let second = RegionName::file(first.expect("a segment").with_extension("2"));
    let mut actor = start("squat", &second);
    assert_eq!(reply(&mut actor), "ready");
    let sent = sender.send(2);
    let Err(SendError::Failed(2, ChannelError::Storage(error))) = sent else {
        panic!("{sent:?}");
    };
    let text = error.to_string();
    assert!(text.contains("belongs to user 65534"), "{text}");
    assert_eq!(finish(actor), format!("{:?}", [0_u8; 32]));
    sender.send(2).expect("the name of the segment is free");
    drop(sender);
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("the queue exists");
    assert_eq!(scratch.remaining(), [0; 3]);
}

fn region_writable_by_more_users_is_refused() {
    for kind in 0..3 {
        for mode in [0o666, 0o660, 0o606, 0o620, 0o602] {
            let scratch = Scratch::new();
            let name = &scratch.names[kind];
            let options = RegionOptions::new(4096).mode(mode).remove_on_drop(true);
            let _region = options.create(name).expect("the name is free");
            for allowed in [0o600, 0o644, 0o755] {
                let strict = RegionOptions::new(4096).mode(allowed);
                for region in [strict.attach_existing(name), strict.create_or_attach(name)] {
                    let error = region.expect_err("other users may write");
                    assert!(
                        matches!(error, RegionError::WritableByOthers { mode: found, .. }
                            if found == mode),
                        "{error:?}"
                    );
                    let text = error.to_string();
                    assert!(text.contains(&format!("mode(0o{mode:o})")), "{text}");
                }
            }
            assert!(RegionOptions::attach(name).is_err(), "{name} {mode:o}");
            options.attach_existing(name).expect("the mode is accepted");
            RegionOptions::new(0)
                .mode(0o666)
                .attach_existing(name)
                .expect("fewer users may write than accepted");
        }
        let scratch = Scratch::new();
        let name = &scratch.names[kind];
        let options = RegionOptions::new(4096).mode(0o644).remove_on_drop(true);
        let _region = options.create(name).expect("the name is free");
        RegionOptions::attach(name).expect("only the owner may write");
    }
}

//! The rows of the matrix.

use super::owner::Owner;
use super::subject::{Found, Scene, Subject, found};
use interlatch::channel::{
    AttachError, Borrowed, ChannelError, GrowthLimit, Loan, PipeBuffer, RecvTimeoutError,
    RingBorrow, RingLoan, Slot, TrySendError, TurnSlot,
};
use interlatch::named::{Mailbox, MailboxId, NamedChannel, ProcessId};
use interlatch::region::ShmObject;
use interlatch::sync::{
    AcquireError, LockError, LockGuard, PairSlot, RawCondvar, RawLock, RawMutex, RobustLockError,
    RobustSemaphorePair, SemaphoreCondvar, SemaphorePair, Timeout,
};
use interlatch::{
    BoundedBuffer, Buffer, BytePipe, Channel, Condvar, MonitorBuffer, Mutex, RegionOptions,
    Rendezvous, RingBuffer, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, RobustSemaphore,
    Semaphore, UnboundedBuffer,
};
use interlatch_ipc::{Pipeline, PipelineError, Signal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::Duration;

type Bounded = BoundedBuffer<u64, [Slot<u64>]>;
type Monitor = MonitorBuffer<u64, [Slot<u64>]>;
type RobustBounded = RobustBoundedBuffer<u64, [TurnSlot<u64>]>;
type RobustMonitor = RobustMonitorBuffer<u64, [Slot<u64>]>;
type Bytes = BytePipe<[Slot<u8>]>;
type Mail = NamedChannel<u64>;

fn nothing(_: &Scene<'_>) {}

/// The object that all subjects except named ones use.
fn create<T: ShmObject + ?Sized>(scene: &Scene<'_>, config: T::Config) {
    scene
        .region
        .create::<T>("object", config)
        .map(drop)
        .expect("the region has room");
}

fn object<'a, T: ShmObject + ?Sized>(scene: &Scene<'a>) -> &'a T {
    scene.region.attach("object").expect("the test created it")
}

pub static ALL: &[Subject] = &[
    Subject {
        name: "`Mutex`: guard",
        prepare: create_unit::<Mutex<u64>>,
        own: |scene, owner| {
            let mutex: &Mutex<u64> = object(scene);
            let use_copy = |mut copy| {
                let waits = || Condvar::new().wait_timeout(&mut copy, Duration::ZERO);
                let panics = catch_unwind(AssertUnwindSafe(waits)).is_err();
                drop(copy);
                found(
                    panics && mutex.try_lock().is_none(),
                    "wait panics, drop does nothing",
                )
            };
            if let Some(guard) = owner.copy(mutex.lock(), use_copy) {
                owner.keep(guard, |_| mutex.try_lock().is_none());
            }
        },
        look: |scene| found(object::<Mutex<u64>>(scene).try_lock().is_none(), "locked"),
        after_death: |scene| {
            found(
                object::<Mutex<u64>>(scene).try_lock().is_none(),
                "locked for ever",
            )
        },
        assist: None,
    },
    Subject {
        name: "`RawMutex`: guard",
        prepare: create_unit::<RawMutex>,
        own: |scene, owner| {
            let mutex: &RawMutex = object(scene);
            let use_copy = |copy: LockGuard<'_, RawMutex>| {
                let panics = all_waits_panic(&Condvar::new(), &copy);
                let changed = SemaphoreCondvar::new();
                let panics = panics && all_waits_panic(&changed, &copy);
                // No waiter is registered. Otherwise, this call would wait for that waiter.
                changed.notify_all();
                drop(copy);
                found(
                    panics && mutex.is_locked(),
                    "wait panics, drop does nothing",
                )
            };
            if let Some(guard) = owner.copy(RawLock::lock(mutex), use_copy) {
                owner.keep(guard, |_| mutex.is_locked());
            }
        },
        look: |scene| found(object::<RawMutex>(scene).try_lock().is_none(), "locked"),
        after_death: |scene| {
            found(
                object::<RawMutex>(scene).try_lock().is_none(),
                "locked for ever",
            )
        },
        assist: None,
    },
    Subject {
        name: "`Semaphore`: permit",
        prepare: |scene| {
            create::<Semaphore>(scene, ());
            object::<Semaphore>(scene).release(1).expect("one permit");
        },
        own: |scene, owner| {
            let semaphore: &Semaphore = object(scene);
            let use_copy = |copy| {
                drop(copy);
                found(semaphore.permits() == 0, "drop does nothing")
            };
            if let Some(permit) = owner.copy(semaphore.acquire(), use_copy) {
                owner.keep(permit, |_| semaphore.permits() == 0);
            }
        },
        look: |scene| {
            found(
                object::<Semaphore>(scene).try_acquire().is_none(),
                "no permit",
            )
        },
        after_death: |scene| {
            found(
                object::<Semaphore>(scene).try_acquire().is_none(),
                "permit lost",
            )
        },
        assist: None,
    },
    Subject {
        name: "`SemaphorePair`: turn",
        prepare: create_unit::<SemaphorePair>,
        own: |scene, owner| {
            let pair: &SemaphorePair = object(scene);
            let use_copy = |copy: interlatch::sync::Turn<'_>| {
                copy.cancel();
                found(has_no_turn(pair), "cancel does nothing")
            };
            if let Some(turn) = owner.copy(pair.write(), use_copy) {
                owner.keep(turn, |_| has_no_turn(pair));
            }
        },
        look: |scene| found(has_no_turn(object(scene)), "no turn"),
        after_death: |scene| found(has_no_turn(object(scene)), "turn lost"),
        assist: None,
    },
    Subject {
        name: "`BoundedBuffer`: handles",
        prepare: |scene| create::<Bounded>(scene, 4),
        own: own_handles::<Bounded>,
        look: |scene| sides_are_open::<Bounded>(scene, "open"),
        after_death: |scene| sides_are_open::<Bounded>(scene, "handles stay counted"),
        assist: None,
    },
    Subject {
        name: "`MonitorBuffer`: handles",
        prepare: |scene| create::<Monitor>(scene, 4),
        own: own_handles::<Monitor>,
        look: |scene| sides_are_open::<Monitor>(scene, "open"),
        after_death: |scene| sides_are_open::<Monitor>(scene, "handles stay counted"),
        assist: None,
    },
    Subject {
        name: "`RingBuffer`: handles",
        prepare: |scene| create::<RingBuffer<u64>>(scene, 4),
        own: own_handles::<RingBuffer<u64>>,
        look: ring_is_taken,
        after_death: ring_is_free,
        assist: None,
    },
    Subject {
        name: "`RingBuffer`: loan and borrow",
        prepare: |scene| create::<RingBuffer<u64>>(scene, 4),
        own: |scene, owner| {
            let ring: &RingBuffer<u64> = object(scene);
            let sender = Box::leak(Box::new(ring.sender().expect("a free end")));
            let receiver = Box::leak(Box::new(ring.receiver().expect("a free end")));
            assert_eq!(sender.try_send_slice(&[1, 2]), Ok(2));
            let things = (
                sender.try_loan(1).expect("a free slot"),
                receiver.try_borrow(2).expect("two items"),
            );
            let use_copy = |(loan, borrow): (RingLoan<'_, '_, u64>, RingBorrow<'_, '_, u64>)| {
                loan.send();
                borrow.receive();
                found(ring.len() == 2, "send and receive do nothing")
            };
            if let Some(things) = owner.copy(things, use_copy) {
                owner.keep(things, |_| ring.len() == 2);
            }
        },
        look: ring_is_taken,
        after_death: |scene| {
            let has_items = object::<RingBuffer<u64>>(scene).len() == 2;
            ring_is_free(scene).and_then(|text| found(has_items, &format!("{text}, same items")))
        },
        assist: None,
    },
    Subject {
        name: "`RobustMutex`: guard",
        prepare: create_unit::<RobustMutex<u64>>,
        own: |scene, owner| {
            let mutex: &RobustMutex<u64> = object(scene);
            // Waiting drops the copy also if it panics.
            let use_copy = |copy| {
                let waits = || Condvar::new().wait_robust(copy, Timeout::after(Duration::ZERO));
                let panics = catch_unwind(AssertUnwindSafe(waits)).is_err();
                found(
                    panics && mutex.is_locked(),
                    "wait panics, drop does nothing",
                )
            };
            if let Some(guard) = owner.copy(mutex.lock().expect("a free lock"), use_copy) {
                owner.keep(guard, |_| mutex.is_locked());
            }
        },
        look: |scene| robust_mutex_is_locked(object(scene)),
        after_death: |scene| robust_mutex_reports_death(object(scene), scene.timeout),
        assist: None,
    },
    Subject {
        name: "`RobustMutex`: lock of its own",
        prepare: create_unit::<[RobustMutex<u64>; 2]>,
        own: |scene, owner| {
            let [held, fresh]: &[RobustMutex<u64>; 2] = object(scene);
            // The child locks a lock of its own and ends, which must be reported. In another pid
            // namespace, the child must not get the lock.
            let use_copy = |copy| {
                std::mem::forget(copy);
                if held.try_lock().is_ok() {
                    return Err("locks the lock of its parent".to_owned());
                }
                match fresh.lock_timeout(Duration::ZERO) {
                    Ok(own) => {
                        std::mem::forget(own);
                        Ok("its own death is reported".to_owned())
                    }
                    Err(RobustLockError::RobustList(error)) => {
                        Ok(format!("cannot lock: {error:?}"))
                    }
                    Err(error) => Err(error.to_string()),
                }
            };
            if let Some(guard) = owner.copy(held.lock().expect("a free lock"), use_copy) {
                owner.keep(guard, |_| {
                    held.is_locked() && !matches!(fresh.try_lock(), Err(RobustLockError::TimedOut))
                });
            }
        },
        look: |scene| robust_mutex_is_locked(&object::<[RobustMutex<u64>; 2]>(scene)[0]),
        after_death: |scene| {
            let mutex = &object::<[RobustMutex<u64>; 2]>(scene)[0];
            robust_mutex_reports_death(mutex, scene.timeout)
        },
        assist: None,
    },
    Subject {
        name: "`RobustSemaphore`: permit",
        prepare: create_unit::<RobustSemaphore<1>>,
        own: |scene, owner| {
            let semaphore: &RobustSemaphore<1> = object(scene);
            let use_copy = |copy| {
                drop(copy);
                found(semaphore.held() == 1, "drop does nothing")
            };
            if let Some(permit) = owner.copy(semaphore.acquire().expect("a permit"), use_copy) {
                owner.keep(permit, |_| semaphore.held() == 1);
            }
        },
        look: |scene| {
            let acquired = object::<RobustSemaphore<1>>(scene).try_acquire();
            found(matches!(acquired, Err(AcquireError::TimedOut)), "no permit")
        },
        after_death: |scene| {
            let acquired = object::<RobustSemaphore<1>>(scene).acquire_timeout(scene.timeout);
            let is_reported = acquired.is_ok_and(|permit| permit.is_owner_died());
            found(is_reported, "permit is back, death is reported")
        },
        assist: None,
    },
    Subject {
        name: "`RobustSemaphorePair`: turn",
        prepare: create_unit::<RobustSemaphorePair<[PairSlot; 1]>>,
        own: |scene, owner| {
            let pair: &RobustSemaphorePair<[PairSlot; 1]> = object(scene);
            let use_copy = |copy: interlatch::sync::RobustTurn<'_, [PairSlot; 1]>| {
                let finished = copy.finish();
                found(
                    finished == Err(AcquireError::Inherited),
                    "finish fails: Inherited",
                )
            };
            if let Some(turn) = owner.copy(pair.write().expect("a turn"), use_copy) {
                owner.keep(turn, |_| {
                    pair.try_write().is_err() && pair.try_read().is_err()
                });
            }
        },
        look: |scene| {
            let pair: &RobustSemaphorePair<[PairSlot; 1]> = object(scene);
            found(
                pair.try_write().is_err() && pair.try_read().is_err(),
                "no turn",
            )
        },
        after_death: |scene| {
            let pair: &RobustSemaphorePair<[PairSlot; 1]> = object(scene);
            let turn = pair.write_timeout(scene.timeout);
            found(
                turn.is_ok_and(|turn| turn.is_owner_died()),
                "turn is back, death is reported",
            )
        },
        assist: None,
    },
    Subject {
        name: "`RobustBoundedBuffer`: handles",
        prepare: |scene| create::<RobustBounded>(scene, 4),
        own: own_handles::<RobustBounded>,
        look: |scene| sides_are_open::<RobustBounded>(scene, "open"),
        after_death: |scene| sides_are_closed::<RobustBounded>(scene),
        assist: None,
    },
    Subject {
        name: "`RobustBoundedBuffer`: loan and borrow",
        prepare: |scene| create::<RobustBounded>(scene, 2),
        own: |scene, owner| {
            let buffer: &RobustBounded = object(scene);
            let sender = Box::leak(Box::new(buffer.sender().expect("a free slot")));
            let receiver = Box::leak(Box::new(buffer.receiver().expect("a free slot")));
            sender.try_send(1).expect("a free slot");
            let things = (
                sender.try_loan().expect("a free slot"),
                receiver.try_borrow().expect("an item"),
            );
            type Things<'a> = (
                Loan<'a, u64, [TurnSlot<u64>]>,
                Borrowed<'a, u64, [TurnSlot<u64>]>,
            );
            let use_copy = |(loan, borrowed): Things<'_>| {
                let sent = loan.send();
                drop(borrowed);
                found(
                    sent == Err(ChannelError::Inherited),
                    "send fails: Inherited",
                )
            };
            let has_them = || sender.try_loan().is_err() && receiver.try_borrow().is_err();
            if let Some(things) = owner.copy(things, use_copy) {
                owner.keep(things, |_| has_them());
            }
        },
        look: |scene| {
            let buffer: &RobustBounded = object(scene);
            let loan = buffer.loan_with(Timeout::NonBlocking);
            let borrowed = buffer.borrow_with(Timeout::NonBlocking);
            found(loan.is_err() && borrowed.is_err(), "slots are taken")
        },
        after_death: |scene| {
            let borrowed =
                object::<RobustBounded>(scene).borrow_with(Timeout::after(scene.timeout));
            found(borrowed.is_ok_and(|item| *item == 1), "item is back")
        },
        assist: None,
    },
    Subject {
        name: "`RobustMonitorBuffer`: handles",
        prepare: |scene| create::<RobustMonitor>(scene, 4),
        own: own_handles::<RobustMonitor>,
        look: |scene| sides_are_open::<RobustMonitor>(scene, "open"),
        after_death: |scene| sides_are_closed::<RobustMonitor>(scene),
        assist: None,
    },
    Subject {
        name: "`Rendezvous`: handles",
        prepare: create_unit::<Rendezvous<u64>>,
        own: |scene, owner| {
            let rendezvous: &Rendezvous<u64> = object(scene);
            let handles = (
                rendezvous.sender().expect("a free slot"),
                rendezvous.receiver().expect("a free slot"),
            );
            if let Some(handles) = owner.copy(handles, |(sender, receiver)| {
                let sent = sender.try_send(9).err();
                let accepted = receiver.accept_with(Timeout::NonBlocking).err();
                let is_inherited = sent == Some(TrySendError::Failed(9, ChannelError::Inherited))
                    && accepted == Some(RecvTimeoutError::Failed(ChannelError::Inherited));
                drop((sender, receiver));
                found(is_inherited, "fail: Inherited")
            }) {
                owner.keep(handles, |(sender, _)| {
                    matches!(sender.try_send(1), Err(TrySendError::Full(1)))
                });
            }
        },
        look: |scene| sides_are_open::<Rendezvous<u64>>(scene, "open"),
        after_death: |scene| sides_are_closed::<Rendezvous<u64>>(scene),
        assist: None,
    },
    Subject {
        name: "`Rendezvous`: delivery",
        prepare: create_unit::<Rendezvous<u64>>,
        own: |scene, owner| {
            let receiver = object::<Rendezvous<u64>>(scene)
                .receiver()
                .expect("a free slot");
            let delivery = receiver.accept_with(Timeout::after(scene.timeout));
            let use_copy = |copy: interlatch::channel::Delivery<'_, u64>| {
                let acknowledged = copy.acknowledge();
                found(acknowledged.is_err(), "acknowledge fails: Inherited")
            };
            match owner.copy(delivery.expect("the test sends"), use_copy) {
                Some(delivery) => owner.keep((delivery, receiver), |_| true),
                None => std::mem::forget(receiver),
            }
        },
        look: |scene| {
            let rendezvous: &Rendezvous<u64> = object(scene);
            let accepted = rendezvous.accept_unregistered(Timeout::NonBlocking);
            found(accepted.is_err(), "no item")
        },
        after_death: |scene| {
            let rendezvous: &Rendezvous<u64> = object(scene);
            let delivery = rendezvous.accept_unregistered(Timeout::after(scene.timeout));
            let received = delivery.map(|delivery| delivery.acknowledge());
            found(matches!(received, Ok(Ok(7))), "item is delivered again")
        },
        assist: Some(|scene| {
            let sender = object::<Rendezvous<u64>>(scene)
                .sender()
                .expect("a free slot");
            sender
                .send_timeout(7, scene.timeout)
                .expect("the test receives the item");
        }),
    },
    Subject {
        name: "`BytePipe`: handles",
        prepare: |scene| create::<Bytes>(scene, 16),
        own: |scene, owner| {
            let pipe: &Bytes = object(scene);
            let handles = (
                pipe.sender().expect("a free slot"),
                pipe.receiver().expect("a free slot"),
            );
            if let Some(handles) = owner.copy(handles, |(sender, receiver)| {
                let fails =
                    sender.try_write(b"copy").is_err() && receiver.try_read(&mut [0; 4]).is_err();
                drop((sender, receiver));
                found(fails, "fail: Inherited")
            }) {
                owner.keep(handles, |(sender, receiver)| {
                    let mut bytes = [0; 4];
                    sender.try_write(b"own") == Ok(3)
                        && receiver.try_read(&mut bytes) == Ok(3)
                        && bytes == *b"own\0"
                });
            }
        },
        look: |scene| sides_are_open::<Bytes>(scene, "open"),
        after_death: |scene| sides_are_closed::<Bytes>(scene),
        assist: None,
    },
    Subject {
        name: "`UnboundedBuffer`: handles",
        prepare: |scene| {
            let limit = GrowthLimit {
                items: 4,
                segments: 2,
            };
            let created = UnboundedBuffer::<u64>::create(scene.name, limit);
            created.map(drop).expect("the name is new");
        },
        own: |scene, owner| {
            let queue = UnboundedBuffer::<u64>::attach(scene.name).expect("the test created it");
            // The queue is leaked: this process ends while the queue has handles.
            let queue = Box::leak(Box::new(queue));
            own_handles_of(queue, owner);
        },
        look: |scene| {
            let queue = UnboundedBuffer::<u64>::attach(scene.name).expect("the test created it");
            are_open(&queue, "open")
        },
        after_death: |scene| {
            let queue = UnboundedBuffer::<u64>::attach(scene.name).expect("the test created it");
            let closed = are_closed(&queue)?;
            drop(queue);
            UnboundedBuffer::<u64>::remove(scene.name).expect("it exists");
            Ok(closed)
        },
        assist: None,
    },
    Subject {
        name: "`Mailbox`: outbox and inbox",
        prepare: nothing,
        own: |scene, owner| {
            let mailbox = Mailbox::<Mail>::open(scene.region, MailboxId(1), 4).expect("room");
            let boxes = (
                mailbox.outbox(ProcessId::new(1)).expect("a free slot"),
                mailbox.inbox().expect("a free slot"),
            );
            if let Some(boxes) = owner.copy(boxes, |(outbox, inbox)| {
                let fails = outbox.send_with(9, Timeout::NonBlocking).is_err()
                    && inbox.recv_with(Timeout::NonBlocking).is_err();
                drop((outbox, inbox));
                found(fails, "fail: Inherited")
            }) {
                owner.keep(boxes, |(outbox, inbox)| {
                    outbox.send_with(1, Timeout::NonBlocking).is_ok()
                        && inbox.recv_with(Timeout::NonBlocking).is_ok()
                });
            }
        },
        look: |scene| {
            let mailbox = Mailbox::<Mail>::open(scene.region, MailboxId(1), 4).expect("room");
            found(mailbox.inbox().is_ok(), "open")
        },
        after_death: |scene| {
            let mailbox = Mailbox::<Mail>::open(scene.region, MailboxId(1), 4).expect("room");
            let inbox = mailbox.inbox();
            found(matches!(inbox, Err(AttachError::Closed(_))), "closed")
        },
        assist: None,
    },
    Subject {
        name: "`PipeBuffer`: handles",
        prepare: nothing,
        own: |_, owner| {
            let pipe = PipeBuffer::<u64>::with_capacity(4).expect("two descriptors");
            let pipe = Box::leak(Box::new(pipe));
            let handles = (
                pipe.sender().expect("the end is open"),
                pipe.receiver().expect("the end is open"),
            );
            if let Some(handles) = owner.copy(handles, |(sender, receiver)| {
                let works = sender.try_send(8) == Ok(()) && receiver.try_recv() == Ok(8);
                drop((sender, receiver));
                found(works, "work, close their own descriptors")
            }) {
                owner.keep(handles, |(sender, receiver)| {
                    sender.try_send(1) == Ok(()) && receiver.try_recv() == Ok(1)
                });
            }
        },
        look: |_| Ok("not shared".into()),
        after_death: |_| Ok("closed by the kernel".into()),
        assist: None,
    },
    Subject {
        name: "`RunningPipeline`",
        prepare: nothing,
        own: |_, owner| {
            // `cat` runs until its input ends, so it also ends if this process is killed.
            let pipeline = Pipeline::new()
                .command(Command::new("cat"))
                .input(Stdio::piped())
                .output(Stdio::null());
            let mut running = pipeline.spawn().expect("cat starts");
            let input = running.take_input();
            if let Some(mut running) = owner.copy(running, |mut copy| {
                let signalled = copy.signal_group(Signal::SIGKILL);
                let waited = copy.try_wait();
                drop(copy);
                found(
                    matches!(signalled, Err(PipelineError::Inherited))
                        && matches!(waited, Err(PipelineError::Inherited)),
                    "fail: Inherited, drop kills no process",
                )
            }) {
                let runs = matches!(running.try_wait(), Ok(None));
                owner.keep((running, input), |_| runs);
            }
            std::mem::forget(input);
        },
        look: |_| Ok("not shared".into()),
        after_death: |_| Ok("its input ends".into()),
        assist: None,
    },
    Subject {
        name: "`Region` that is removed on drop",
        prepare: nothing,
        own: |scene, owner| {
            let options = RegionOptions::new(4096).remove_on_drop(true);
            let region = options.create(scene.name).expect("the name is new");
            if let Some(region) = owner.copy(region, |copy| {
                drop(copy);
                let exists = RegionOptions::attach(scene.name);
                found(
                    !matches!(exists, Err(interlatch::RegionError::NotFound(_))),
                    "name stays",
                )
            }) {
                owner.keep(region, |_| RegionOptions::attach(scene.name).is_ok());
            }
        },
        look: |scene| found(RegionOptions::attach(scene.name).is_ok(), "attach"),
        after_death: |scene| {
            let exists = RegionOptions::attach(scene.name).is_ok();
            found(exists && scene.name.remove().is_ok(), "name stays")
        },
        assist: None,
    },
];

fn create_unit<T: ShmObject<Config = ()>>(scene: &Scene<'_>) {
    create::<T>(scene, ());
}

/// Returns whether each method that waits with a copy of the guard panics.
fn all_waits_panic(changed: &impl RawCondvar, guard: &LockGuard<'_, RawMutex>) -> bool {
    // SAFETY: in a forked child, the drop of a guard of the parent does nothing.
    let copy = || unsafe { std::ptr::read(guard) };
    let now = Timeout::after(Duration::ZERO);
    let waits = || changed.wait_with(&mut copy(), now);
    let unlocks = || changed.unlock_and_wait(copy(), now);
    catch_unwind(AssertUnwindSafe(waits)).is_err()
        && catch_unwind(AssertUnwindSafe(unlocks)).is_err()
}

fn has_no_turn(pair: &SemaphorePair) -> bool {
    pair.try_write().is_none() && pair.try_read().is_none()
}

fn own_handles<B: Buffer<Item = u64> + ShmObject + ?Sized>(scene: &Scene<'_>, owner: &Owner) {
    own_handles_of::<B>(object(scene), owner);
}

fn own_handles_of<B: Buffer<Item = u64> + ?Sized>(buffer: &B, owner: &Owner) {
    let handles = (
        buffer.sender().expect("a free slot"),
        buffer.receiver().expect("a free slot"),
    );
    if let Some(handles) = owner.copy(handles, |(sender, receiver)| {
        let inherited = ChannelError::Inherited;
        let fails = sender.try_send(9) == Err(TrySendError::Failed(9, inherited.clone()))
            && receiver.try_recv() == Err(interlatch::channel::TryRecvError::Failed(inherited));
        drop((sender, receiver));
        found(fails, "fail: Inherited")
    }) {
        owner.keep(handles, |(sender, receiver)| {
            sender.try_send(1) == Ok(()) && receiver.try_recv() == Ok(1)
        });
    }
}

fn sides_are_open<C: Channel + ShmObject + ?Sized>(scene: &Scene<'_>, text: &str) -> Found {
    are_open::<C>(object(scene), text)
}

fn sides_are_closed<C: Channel + ShmObject + ?Sized>(scene: &Scene<'_>) -> Found {
    are_closed::<C>(object(scene))
}

fn are_open<C: Channel + ?Sized>(channel: &C, text: &str) -> Found {
    found(channel.sender().is_ok() && channel.receiver().is_ok(), text)
}

fn are_closed<C: Channel + ?Sized>(channel: &C) -> Found {
    let closed = |error: Option<AttachError>| matches!(error, Some(AttachError::Closed(_)));
    let (sender, receiver) = (channel.sender().err(), channel.receiver().err());
    found(closed(sender) && closed(receiver), "closed")
}

fn ring_is_taken(scene: &Scene<'_>) -> Found {
    let ring: &RingBuffer<u64> = object(scene);
    let is_taken = |error| matches!(error, Some(AttachError::SlotsInUse { .. }));
    let (sender, receiver) = (ring.sender().err(), ring.receiver().err());
    found(is_taken(sender) && is_taken(receiver), "ends in use")
}

fn ring_is_free(scene: &Scene<'_>) -> Found {
    let ring: &RingBuffer<u64> = object(scene);
    let (sender, receiver) = (ring.sender(), ring.receiver());
    found(sender.is_ok() && receiver.is_ok(), "ends are free")
}

fn robust_mutex_is_locked(mutex: &RobustMutex<u64>) -> Found {
    let locked = mutex
        .try_lock()
        .map(drop)
        .map_err(RobustLockError::mark_consistent);
    let is_held = matches!(locked, Err(Err(LockError::TimedOut)));
    found(is_held, "locked")
}

fn robust_mutex_reports_death(mutex: &RobustMutex<u64>, timeout: Duration) -> Found {
    let locked = mutex.lock_timeout(timeout);
    found(
        matches!(locked, Err(RobustLockError::OwnerDied(_))),
        "death is reported",
    )
}

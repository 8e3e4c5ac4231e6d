//! Broken buffers on a robust mutex. After a death, the buffer is inconsistent.

use interlatch::channel::RecvTimeoutError;
use interlatch::channel::SendTimeoutError;
use interlatch::channel::{AttachError, CountsEndpoints, Direction, EndpointRef, Unregistered};
use interlatch::platform::{ShmSafe, ShmType, TypeInfo, UnsafeCell};
use interlatch::sync::RobustLockError;
use interlatch::sync::RobustMutexGuard;
use interlatch::sync::Timeout;
use interlatch::{Buffer, Channel, RobustMutex};
use interlatch_check::FailureKind::WrongResult;
use interlatch_check::Model;
use interlatch_contract::robust_buffer;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "robust_buffer_that_counts_before_it_fills",
            WrongResult,
            || robust_buffer::killed_send_completes_or_has_no_effect::<Flawed<COUNTS_FIRST>>(2),
        ),
        Model::broken("robust_buffer_that_reserves_by_a_flag", WrongResult, || {
            robust_buffer::killed_send_completes_or_has_no_effect::<Flawed<RESERVES_BY_A_FLAG>>(2)
        }),
        Model::broken(
            "robust_buffer_that_counts_an_item_of_a_batch_before_it_fills",
            WrongResult,
            robust_buffer::killed_batch_leaves_a_prefix::<Flawed<COUNTS_FIRST>>,
        ),
        Model::broken("robust_buffer_emptied_by_a_death", WrongResult, || {
            robust_buffer::killed_send_completes_or_has_no_effect::<Flawed<EMPTIED_BY_A_DEATH>>(3)
        }),
        Model::broken(
            "robust_buffer_that_receives_in_two_steps",
            WrongResult,
            || {
                robust_buffer::killed_receive_completes_or_has_no_effect::<
                    Flawed<RECEIVES_IN_TWO_STEPS>,
                >(2)
            },
        ),
    ]
}

/// A send marks the slot as full before it writes the item. After a death between these steps, a
/// wrong item arrives.
const COUNTS_FIRST: u8 = 0;
/// A send reserves the slot, unlocks, and fills the slot in a second locked step. A death between
/// these steps loses the slot.
///
/// The mark does not say which process owns the slot.
const RESERVES_BY_A_FLAG: u8 = 1;
/// A receive marks the slot as reserved before it copies the item. A death between these steps
/// loses the item and the slot.
const RECEIVES_IN_TWO_STEPS: u8 = 2;
/// After an owner death, the next process clears the buffer, so an item of another sender is lost.
const EMPTIED_BY_A_DEATH: u8 = 3;

const EMPTY: u64 = 0;
const RESERVED: u64 = 1;
const FULL: u64 = 2;

/// One slot that a robust mutex protects. The operations report a timeout instead of waiting.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RobustMutex<()>,
    state: UnsafeCell<u64>,
    item: UnsafeCell<u64>,
}

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                lock: RobustMutex::new(()).into_inner(),
                state: UnsafeCell::new(EMPTY),
                item: UnsafeCell::new(0),
            });
        }
    }
}

impl<const FLAW: u8> ShmType for Flawed<FLAW> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: only the holder of `lock` accesses the cells.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

impl<const FLAW: u8> Flawed<FLAW> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        let locked = match self.lock.lock() {
            Err(RobustLockError::OwnerDied(found)) => {
                let guard = found.mark_consistent();
                if FLAW == EMPTIED_BY_A_DEATH {
                    set(&self.state, EMPTY);
                }
                Ok(guard)
            }
            locked => locked,
        };
        locked.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn get(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8> Channel for Flawed<FLAW> {
    type SendEndpoint<'a> = EndpointRef<'a, Self>;
    type RecvEndpoint<'a> = EndpointRef<'a, Self>;

    fn attach_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        EndpointRef::new(self, Direction::Sending)
    }

    fn attach_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        EndpointRef::new(self, Direction::Receiving)
    }
}

impl<const FLAW: u8> Unregistered for Flawed<FLAW> {
    fn unregistered_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Receiving))
    }
}

impl<const FLAW: u8> Buffer for Flawed<FLAW> {
    type Item = u64;

    fn send_with(
        &self,
        _endpoint: &EndpointRef<'_, Self>,
        item: u64,
        _timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        let mut guard = self.lock();
        if get(&self.state) != EMPTY {
            return Err(SendTimeoutError::Timeout(item));
        }
        match FLAW {
            COUNTS_FIRST => set(&self.state, FULL),
            RESERVES_BY_A_FLAG => {
                set(&self.state, RESERVED);
                drop(guard);
                guard = self.lock();
            }
            _ => {}
        }
        set(&self.item, item);
        set(&self.state, FULL);
        drop(guard);
        Ok(())
    }

    fn recv_with(
        &self,
        _endpoint: &EndpointRef<'_, Self>,
        _timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        let _guard = self.lock();
        if get(&self.state) != FULL {
            return Err(RecvTimeoutError::Timeout);
        }
        if FLAW == RECEIVES_IN_TWO_STEPS {
            set(&self.state, RESERVED);
        }
        let item = get(&self.item);
        set(&self.state, EMPTY);
        Ok(item)
    }

    fn len(&self) -> usize {
        let _guard = self.lock();
        usize::from(get(&self.state) == FULL)
    }

    fn capacity(&self) -> usize {
        1
    }
}

impl<const FLAW: u8> CountsEndpoints for Flawed<FLAW> {
    fn join(&self, _end: Direction) -> Result<(), AttachError> {
        Ok(())
    }

    fn leave(&self, _end: Direction) {}
}

//! A vector of items that is sent in several steps.

use core::mem::forget;

/// A vector of items that is sent in several steps.
///
/// Dropping the batch removes the sent items from the vector and keeps the unsent items. The unsent
/// items move to the front of the vector in one copy.
pub(super) struct Batch<'a, T> {
    items: &'a mut Vec<T>,
    sent: usize,
}

impl<'a, T> Batch<'a, T> {
    pub(super) fn new(items: &'a mut Vec<T>) -> Self {
        Self { items, sent: 0 }
    }

    /// The items that have not been sent yet.
    pub(super) fn rest(&self) -> &[T] {
        &self.items[self.sent..]
    }

    /// Marks the first `count` unsent items as sent, without dropping them.
    ///
    /// # Safety
    /// The caller has copied these items to their new owner. At least `count` items are unsent.
    pub(super) unsafe fn forget_first(&mut self, count: usize) {
        self.sent += count;
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        self.items.drain(..self.sent).for_each(forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn sent_items_are_forgotten_and_the_rest_stays() {
        let item = Rc::new(());
        let mut items = vec![item.clone(); 5];
        let mut batch = Batch::new(&mut items);
        for (count, left) in [(2, 3), (0, 3), (1, 2)] {
            // SAFETY: the loop below decrements the reference counts of the forgotten items.
            unsafe { batch.forget_first(count) };
            assert_eq!(batch.rest().len(), left);
        }
        drop(batch);
        assert_eq!(items.len(), 2);
        drop(items);
        assert_eq!(Rc::strong_count(&item), 1 + 3, "three were forgotten");
        for _ in 0..3 {
            // SAFETY: three clones were forgotten, and each iteration decrements the count for one
            // of them.
            unsafe { Rc::decrement_strong_count(Rc::as_ptr(&item)) };
        }
    }
}

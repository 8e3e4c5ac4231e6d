//! Items that leave a vector part by part.

use core::mem::forget;

/// The items of a vector that go one part after the other. When this is dropped, those that have gone are out of
/// the vector, in one move, and the others are there still.
pub(super) struct Batch<'a, T> {
    items: &'a mut Vec<T>,
    gone: usize,
}

impl<'a, T> Batch<'a, T> {
    pub(super) fn of(items: &'a mut Vec<T>) -> Self {
        Self { items, gone: 0 }
    }

    /// Those that have not gone yet.
    pub(super) fn rest(&self) -> &[T] {
        &self.items[self.gone..]
    }

    /// The first so many of the rest have gone.
    ///
    /// # Safety
    /// They have been copied to where they are somebody else's from now on. There are that many.
    pub(super) unsafe fn forget_first(&mut self, count: usize) {
        self.gone += count;
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        self.items.drain(..self.gone).for_each(forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn what_has_gone_is_forgotten_and_the_rest_stays() {
        let item = Rc::new(());
        let mut items = vec![item.clone(); 5];
        let mut batch = Batch::of(&mut items);
        for (count, left) in [(2, 3), (0, 3), (1, 2)] {
            // SAFETY: counted below, where they are somebody's.
            unsafe { batch.forget_first(count) };
            assert_eq!(batch.rest().len(), left);
        }
        drop(batch);
        assert_eq!(items.len(), 2);
        drop(items);
        assert_eq!(Rc::strong_count(&item), 1 + 3, "three were forgotten");
        for _ in 0..3 {
            // SAFETY: each of the three was forgotten, and its count is given back here.
            unsafe { Rc::decrement_strong_count(Rc::as_ptr(&item)) };
        }
    }
}

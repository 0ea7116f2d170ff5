//! A shelf: things in numbered places that are used again. Pure.
//!
//! To find a place by its number costs an index, where to hash a million tokens would cost more than their timers.

/// See the module's page.
pub(super) struct Shelf<T> {
    /// With the number that came with what is, or was, there.
    places: Vec<(u64, Option<T>)>,
    free: Vec<u32>,
}

/// So many places are kept when nothing is left in any of them.
const SPARE: usize = 64;

impl<T> Shelf<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Puts it somewhere; `number` is another each time. The token is the place, and the low half of the number: once it
    /// is out of date it means nothing that comes to the same place later.
    pub(super) fn insert(&mut self, number: u64, thing: T) -> u64 {
        let entry = (number, Some(thing));
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = entry;
                place
            }
            None => {
                self.places.push(entry);
                (self.places.len() - 1) as u32
            }
        };
        (u64::from(place) << 32) | (number & u64::from(u32::MAX))
    }

    fn find(&mut self, token: u64) -> Option<&mut Option<T>> {
        let (number, thing) = self.places.get_mut((token >> 32) as usize)?;
        (*number as u32 == token as u32).then_some(thing)
    }

    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut T> {
        self.find(token)?.as_mut()
    }

    pub(super) fn remove(&mut self, token: u64) -> Option<T> {
        let thing = self.find(token)?.take()?;
        self.free.push((token >> 32) as u32);
        self.shed();
        Some(thing)
    }

    /// Takes out all that are so, in the order of their numbers.
    pub(super) fn take_all_that(&mut self, is_so: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for (place, (number, thing)) in self.places.iter_mut().enumerate() {
            if let Some(thing) = thing.take_if(|thing| is_so(thing)) {
                taken.push((*number, thing));
                self.free.push(place as u32);
            }
        }
        self.shed();
        taken.sort_unstable_by_key(|(number, _)| *number);
        taken.into_iter().map(|(_, thing)| thing).collect()
    }

    /// Gives back the memory of a crowd when the last of it has gone.
    fn shed(&mut self) {
        if self.len() == 0 && self.places.len() > SPARE {
            *self = Self::new();
        }
    }
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn random_operations_agree_with_a_map() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut shelf, mut model) = (Shelf::new(), BTreeMap::new());
            let (mut tokens, mut out_of_date) = (Vec::new(), Vec::new());
            for number in 0..1000 {
                // Now mostly in, now mostly out, so that it fills and empties.
                if rng.u32(0..10) < if number / 200 % 2 == 0 { 8 } else { 2 } || tokens.is_empty() {
                    tokens.push((shelf.insert(number, number), number));
                    model.insert(number, number);
                } else {
                    let (token, number) = tokens.swap_remove(rng.usize(0..tokens.len()));
                    assert_eq!(shelf.get_mut(token).copied(), Some(number));
                    assert_eq!(shelf.remove(token), model.remove(&number));
                    out_of_date.push(token);
                }
                assert_eq!(shelf.len(), model.len());
                if let Some(token) = rng.choice(&out_of_date) {
                    assert_eq!(shelf.get_mut(*token), None);
                    assert_eq!(shelf.remove(*token), None);
                }
            }
            let odd: Vec<u64> = model.keys().copied().filter(|n| n % 2 == 1).collect();
            assert_eq!(shelf.take_all_that(|n| n % 2 == 1), odd);
            assert_eq!(shelf.len(), model.len() - odd.len());
        }
    }

    #[test]
    fn the_memory_of_a_crowd_is_given_back_when_the_last_has_gone() {
        let mut shelf = Shelf::new();
        let tokens: Vec<u64> = (0..10_000).map(|n| shelf.insert(n, n)).collect();
        assert!(tokens.into_iter().all(|token| shelf.remove(token).is_some()));
        assert!(shelf.places.capacity() <= SPARE && shelf.free.capacity() <= SPARE);
    }
}

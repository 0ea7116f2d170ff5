//! A queue of events in chunks, with notifications between them.
//!
//! Pure. Whole chunks are moved by swapping, never copied; emptied ones are kept for reuse, so that a steady flow
//! allocates nothing. A notification keeps its place among the events, whatever is drawn, discarded or given back
//! around it.

use super::Note;
use std::collections::VecDeque;

/// Emptied chunks kept for reuse, per queue.
const SPARE: usize = 32;
/// Notifications that may wait in one place; beyond it the oldest is dropped and counted.
pub(super) const MOST_NOTES: usize = 1024;

pub(super) struct Queue<E> {
    /// No chunk in here is empty.
    chunks: VecDeque<Vec<E>>,
    spare: Vec<Vec<E>>,
    len: usize,
    /// Absolute places: a mark at `taken + n` stands before the event that is now the n-th.
    marks: VecDeque<(u64, Note)>,
    /// The absolute place of the head. Starts high, since events are given back, too.
    taken: u64,
    /// What each event weighs, for a port with a weighing function.
    weights: VecDeque<usize>,
    weighed: bool,
    weight: usize,
}

impl<E> Queue<E> {
    pub(super) fn new(weighed: bool) -> Self {
        Self {
            chunks: VecDeque::new(),
            spare: Vec::new(),
            len: 0,
            marks: VecDeque::new(),
            taken: 1 << 62,
            weights: VecDeque::new(),
            weighed,
            weight: 0,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }
    /// What all of it weighs: the number of events, unless they are weighed.
    #[inline]
    pub(super) fn weight(&self) -> usize {
        if self.weighed { self.weight } else { self.len }
    }
    /// Events before the first notification.
    #[inline]
    pub(super) fn head_len(&self) -> usize {
        self.marks.front().map_or(self.len, |(at, _)| (at - self.taken) as usize)
    }

    /// Puts one event at the end, in chunks of at most `slice`.
    #[inline]
    pub(super) fn push(&mut self, event: E, weight: usize, slice: usize) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < slice => last.push(event),
            _ => {
                let mut chunk = self.spare.pop().unwrap_or_default();
                chunk.push(event);
                self.chunks.push_back(chunk);
            }
        }
        self.len += 1;
        if self.weighed {
            self.weights.push_back(weight);
            self.weight += weight;
        }
    }

    /// Puts a chunk at the end and leaves an empty one in its place. Only for queues that are not weighed.
    pub(super) fn append(&mut self, chunk: &mut Vec<E>, slice: usize) {
        debug_assert!(!self.weighed);
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        match self.chunks.back_mut() {
            // Short runs are joined, so that a drawer gets more than one of them at a time.
            Some(last) if last.len() + chunk.len() <= slice => last.append(chunk),
            _ => {
                let empty = self.spare.pop().unwrap_or_default();
                self.chunks.push_back(std::mem::replace(chunk, empty));
            }
        }
    }

    /// Moves up to `most` events of the head's chunk into `out`, which is empty; returns how many.
    #[inline]
    pub(super) fn take(&mut self, most: usize, out: &mut Vec<E>) -> usize {
        debug_assert!(out.is_empty());
        let Some(first) = self.chunks.front_mut() else { return 0 };
        let most = most.min(match self.marks.front() {
            Some((at, _)) => (at - self.taken) as usize,
            None => usize::MAX,
        });
        let n = if first.len() <= most {
            std::mem::swap(first, out);
            let empty = self.chunks.pop_front().expect("bug: the chunk just seen");
            self.keep(empty);
            out.len()
        } else {
            out.extend(first.drain(..most));
            most
        };
        self.len -= n;
        self.taken += n as u64;
        if self.weighed {
            self.weight -= self.weights.drain(..n).sum::<usize>();
        }
        n
    }

    fn keep(&mut self, empty: Vec<E>) {
        if self.spare.len() < SPARE && empty.capacity() > 0 {
            self.spare.push(empty);
        }
    }

    /// Puts back at the head what was taken from there.
    pub(super) fn give_back(&mut self, events: Vec<E>, weights: &[usize]) {
        let n = events.len();
        if n == 0 {
            return;
        }
        self.len += n;
        self.taken -= n as u64;
        self.chunks.push_front(events);
        if self.weighed {
            for weight in weights.iter().rev() {
                self.weights.push_front(*weight);
                self.weight += weight;
            }
        }
    }

    /// Removes `n` events that begin with the `at`-th; they end up in `trash`. Notifications among them stay, before
    /// what followed. Only for queues that are not weighed.
    pub(super) fn cut(&mut self, at: usize, n: usize, trash: &mut Vec<E>) {
        debug_assert!(!self.weighed && at + n <= self.len);
        let (mut skip, mut left) = (at, n);
        let mut i = 0;
        while left > 0 {
            let chunk = &mut self.chunks[i];
            if skip >= chunk.len() {
                skip -= chunk.len();
                i += 1;
                continue;
            }
            let here = left.min(chunk.len() - skip);
            trash.extend(chunk.drain(skip..skip + here));
            left -= here;
            if chunk.is_empty() {
                let empty = self.chunks.remove(i).expect("bug: the chunk just seen");
                self.keep(empty);
            } else {
                i += 1;
            }
            skip = 0;
        }
        self.len -= n;
        let (from, to) = (self.taken + at as u64, self.taken + (at + n) as u64);
        for (place, _) in &mut self.marks {
            if *place > from {
                *place = if *place >= to { *place - n as u64 } else { from };
            }
        }
    }

    /// Puts a notification behind everything; false if an older one was dropped for it.
    pub(super) fn mark(&mut self, note: Note) -> bool {
        self.marks.push_back((self.taken + self.len as u64, note));
        let fits = self.marks.len() <= MOST_NOTES;
        if !fits {
            self.marks.pop_front();
        }
        fits
    }

    /// The notification at the head, if no event stands before it.
    pub(super) fn note(&mut self) -> Option<Note> {
        match self.marks.front() {
            Some((at, _)) if *at == self.taken => self.marks.pop_front().map(|(_, note)| note),
            _ => None,
        }
    }

    /// Removes everything.
    pub(super) fn clear(&mut self, trash: &mut Vec<E>) -> usize {
        let n = self.len;
        for mut chunk in self.chunks.drain(..) {
            trash.append(&mut chunk);
        }
        self.taken += n as u64;
        self.len = 0;
        self.marks.clear();
        self.weights.clear();
        self.weight = 0;
        n
    }
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;
    use crate::sync::Arc;

    fn note(n: u32) -> Note {
        Note::Custom(Arc::new(n))
    }
    fn number(note: Note) -> u32 {
        match note {
            Note::Custom(n) => *n.downcast_ref().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The naive model: a flat list of events and notes.
    #[derive(Debug, Clone, PartialEq)]
    enum Item {
        Event(u32),
        Note(u32),
    }

    #[test]
    fn random_operations_agree_with_a_flat_list() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut queue = Queue::new(false);
            let mut model: Vec<Item> = Vec::new();
            let (mut next, mut out) = (0, Vec::new());
            let events = |model: &[Item]| model.iter().filter(|i| matches!(i, Item::Event(_))).count();
            for _ in 0..200 {
                let slice = rng.usize(1..6);
                match rng.u32(0..7) {
                    0 => {
                        queue.push(next, 1, slice);
                        model.push(Item::Event(next));
                        next += 1;
                    }
                    1 => {
                        let mut chunk: Vec<u32> = (next..next + rng.u32(0..6)).collect();
                        next += chunk.len() as u32;
                        model.extend(chunk.iter().map(|n| Item::Event(*n)));
                        queue.append(&mut chunk, slice);
                        assert!(chunk.is_empty());
                    }
                    2 => {
                        queue.mark(note(next));
                        model.push(Item::Note(next));
                        next += 1;
                    }
                    3 => {
                        while let Some(n) = queue.note() {
                            assert_eq!(model.remove(0), Item::Note(number(n)));
                        }
                    }
                    4 => {
                        out.clear();
                        let most = rng.usize(1..5);
                        let n = queue.take(most, &mut out);
                        assert!(n <= most);
                        assert_eq!(n == 0, !matches!(model.first(), Some(Item::Event(_))));
                        for got in &out {
                            assert_eq!(model.remove(0), Item::Event(*got));
                        }
                        if rng.bool() {
                            model.splice(0..0, out.iter().map(|n| Item::Event(*n)));
                            queue.give_back(std::mem::take(&mut out), &[]);
                        }
                    }
                    5 if queue.len() > 0 => {
                        let at = rng.usize(0..queue.len());
                        let n = rng.usize(0..=queue.len() - at);
                        let mut trash = Vec::new();
                        queue.cut(at, n, &mut trash);
                        let mut i = 0;
                        let mut cut = Vec::new();
                        model.retain(|item| match item {
                            Item::Event(e) => {
                                let out = (at..at + n).contains(&i);
                                i += 1;
                                if out {
                                    cut.push(*e);
                                }
                                !out
                            }
                            Item::Note(_) => true,
                        });
                        assert_eq!(trash, cut);
                    }
                    _ => {}
                }
                assert_eq!(queue.len(), events(&model));
                let head = model.iter().take_while(|i| matches!(i, Item::Event(_))).count();
                assert_eq!(queue.head_len(), head);
            }
        }
    }

    #[test]
    fn weights_follow_their_events() {
        let mut queue = Queue::new(true);
        for (event, weight) in [('a', 3), ('b', 4), ('c', 5)] {
            queue.push(event, weight, 2);
        }
        assert_eq!(queue.weight(), 12);
        let mut out = Vec::new();
        assert_eq!(queue.take(2, &mut out), 2);
        assert_eq!(queue.weight(), 5);
        queue.give_back(out, &[3, 4]);
        assert_eq!(queue.weight(), 12);
    }

    #[test]
    fn chunks_are_swapped_and_reused() {
        let mut queue = Queue::new(false);
        let mut chunk: Vec<u32> = (0..4).collect();
        let stored = chunk.as_ptr();
        queue.append(&mut chunk, 4);
        let mut out = Vec::with_capacity(4);
        let given = out.as_ptr();
        queue.take(4, &mut out);
        assert_eq!(out.as_ptr(), stored); // moved, not copied
        queue.append(&mut vec![9], 4);
        out.clear();
        let mut next = vec![1, 2, 3, 4];
        queue.append(&mut next, 4);
        assert!(next.as_ptr() == given || next.capacity() == 0); // the emptied one comes back to the emitter
    }
}

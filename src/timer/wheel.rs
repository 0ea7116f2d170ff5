//! A hierarchical timing wheel: which values are due at which tick, as a plain value.
//!
//! Guarantees: nothing is given out before its tick; what is due is given out in the order of (tick, order of arrival),
//! however the work is cut into steps; a tick that has been passed counts as the one that the wheel has come to. A key
//! stands for one insert for ever: used after its value is gone, it finds nothing. Insert, cancel and `next_deadline`
//! take constant time; `advance` takes as much work as it is allowed to, and an idle wheel asks for none.
//!
//! Does not know a clock, a lock or a thread: time is a `u64` argument and what a tick means is the caller's affair.
//! After tokio's `runtime/time/wheel`, whose choice of the level this is. Where it differs: keys instead of pinned
//! entries, a deadline that is exact while the wheel is sparse, steps of bounded work, and wide upper levels.
//!
//! # Shape
//! Level 0 has 64 slots of one tick, every level above 4096 slots as wide as the whole level below: with ticks of 1 ms,
//! 64 ms, 262 s, 12 days, 139 years, and the rest of `u64`. An entry stands at the level of the highest digit in which
//! its tick differs from `elapsed`, so the slots of a level never wrap around, everything at a level is later than
//! everything below, and the first occupied slot of the lowest occupied level is the next one. When time comes to a slot
//! above level 0 its entries move down ("cascade"). A narrow level 0 below wide levels keeps cascades short: of a
//! million entries over ten seconds about 7000 move at a time, where 64 slots a level would move half a million at once.
//!
//! # Why the order holds
//! Slots are first in, first out. Entries of one tick stand in one slot at any moment: the level is a function of tick
//! and `elapsed` alone. They come to a lower slot only by the cascade of that one, which keeps their order, and before
//! it no entry can have been put lower. While a cascade is unfinished, what would go below its level joins its end.

use std::mem;

/// No entry.
const NONE: u32 = u32::MAX;
/// Six levels of 6, 12, 12, 12, 12 and 12 bits hold every `u64`.
const LEVELS: usize = 6;
const LOWEST: usize = 64;
const UPPER: usize = 4096;
/// Entries come in chunks, so that growing copies nothing while somebody waits for the wheel.
const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;
/// A slot with at most that many entries is looked through for its first tick.
const SPARSE: usize = 8;

/// Which entry, and which insert: a place is used again, a stamp never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    stamp: u64,
}

/// See the module's page.
pub(super) struct Wheel<T> {
    /// The tick the wheel has come to. All that is earlier was given out.
    elapsed: u64,
    levels: [Level; LEVELS],
    /// The slot that is being cascaded, of level `moving_from`; it began at `elapsed`.
    moving: List,
    moving_from: usize,
    slab: Slab<T>,
    stamp: u64,
}

impl<T> Wheel<T> {
    pub(super) fn new() -> Self {
        Self {
            elapsed: 0,
            levels: [const { Level::EMPTY }; LEVELS],
            moving: List::EMPTY,
            moving_from: 0,
            slab: Slab { chunks: Vec::new(), free: NONE, len: 0 },
            stamp: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len
    }

    /// Keeps `value` until `tick`; the next `advance` gives it out if that is now or has been.
    pub(super) fn insert(&mut self, tick: u64, value: T) -> Key {
        let stamp = self.stamp;
        self.stamp += 1;
        let tick = tick.max(self.elapsed);
        let index = self.slab.add(Entry { value: Some(value), stamp, tick, prev: NONE, next: NONE });
        self.place(index, tick);
        Key { index, stamp }
    }

    /// Takes a value back, unless it was given out or taken back before.
    pub(super) fn cancel(&mut self, key: Key) -> Option<T> {
        let entry = self.slab.get(key.index)?;
        if entry.stamp != key.stamp || entry.value.is_none() {
            return None;
        }
        self.unlink(key.index);
        self.slab.remove(key.index).0
    }

    /// Comes to the tick `now` and puts what is due into `out`, but handles at most `most` entries, moved ones
    /// included. Returns whether it stopped for that; what is left is got by calling again.
    #[must_use]
    pub(super) fn advance(&mut self, now: u64, most: usize, out: &mut Vec<T>) -> bool {
        let mut left = most;
        loop {
            while self.moving.head != NONE {
                if left == 0 {
                    return true;
                }
                left -= 1;
                let index = self.slab.pop(&mut self.moving);
                let tick = self.slab[index].tick;
                self.place_at(index, tick, level(self.elapsed, tick));
            }
            let Some((level, slot)) = self.first() else { break };
            let start = start(level, self.slab[self.levels[level].slots[slot].head].tick);
            if start > now {
                break;
            }
            self.elapsed = start;
            if level > 0 {
                self.moving = self.levels[level].take(slot);
                self.moving_from = level;
                continue;
            }
            let list = &mut self.levels[0].slots[slot];
            while list.head != NONE && left > 0 {
                left -= 1;
                let (value, next) = self.slab.remove(list.head);
                out.extend(value);
                list.head = next;
            }
            if list.head != NONE {
                self.slab[list.head].prev = NONE;
                return true;
            }
            self.levels[0].take(slot);
        }
        self.elapsed = self.elapsed.max(now);
        false
    }

    /// When `advance` has something to do: exactly the first tick while few entries are near it, else at latest that
    /// and at earliest when it has to cascade. `None` if the wheel is empty.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        if self.moving.head != NONE {
            return Some(self.elapsed);
        }
        let (level, slot) = self.first()?;
        let mut index = self.levels[level].slots[slot].head;
        let mut earliest = self.slab[index].tick;
        if level == 0 {
            return Some(earliest);
        }
        for _ in 0..SPARSE {
            let entry = &self.slab[index];
            earliest = earliest.min(entry.tick);
            index = entry.next;
            if index == NONE {
                return Some(earliest);
            }
        }
        Some(start(level, earliest))
    }

    /// Memory that an empty wheel no longer needs, for the caller to drop where nobody waits for it.
    pub(super) fn shed(&mut self) -> impl Sized + use<T> {
        self.slab.shed()
    }

    /// Everything that is left, in no order.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.slab.chunks.into_iter().flatten().filter_map(|entry| entry.value)
    }

    /// The lowest occupied level and its first occupied slot.
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|l| l.summary != 0)?;
        Some((level, self.levels[level].first()))
    }

    fn place(&mut self, index: u32, tick: u64) {
        let level = level(self.elapsed, tick);
        if self.moving.head != NONE && level < self.moving_from {
            self.slab.append(&mut self.moving, index);
        } else {
            self.place_at(index, tick, level);
        }
    }

    fn place_at(&mut self, index: u32, tick: u64, level: usize) {
        let list = self.levels[level].occupy(level, slot(level, tick));
        self.slab.append(list, index);
    }

    fn unlink(&mut self, index: u32) {
        let &Entry { tick, prev, next, .. } = &self.slab[index];
        if prev != NONE {
            self.slab[prev].next = next;
        }
        if next != NONE {
            self.slab[next].prev = prev;
        }
        if prev != NONE && next != NONE {
            return; // its slot does not name it
        }
        if self.moving.head == index || self.moving.tail == index {
            self.moving.forget(index, prev, next);
            return;
        }
        let level = level(self.elapsed, tick);
        let slot = slot(level, tick);
        self.levels[level].slots[slot].forget(index, prev, next);
        if self.levels[level].slots[slot].head == NONE {
            self.levels[level].take(slot);
        }
    }
}

/// The highest digit in which the two differ.
#[inline]
fn level(elapsed: u64, tick: u64) -> usize {
    // The lowest bit counts as one that differs: equal ticks are of level 0, as their neighbours are.
    let highest = 63 - ((elapsed ^ tick) | 1).leading_zeros() as usize;
    (highest + 6) / 12
}

/// Where the digit of a level begins.
#[inline]
fn shift(level: usize) -> usize {
    (level * 12).saturating_sub(6)
}

#[inline]
fn slot(level: usize, tick: u64) -> usize {
    (tick >> shift(level)) as usize & (slots(level) - 1)
}

fn slots(level: usize) -> usize {
    if level == 0 { LOWEST } else { UPPER }
}

/// The first tick of the slot that `tick` is in.
#[inline]
fn start(level: usize, tick: u64) -> u64 {
    tick >> shift(level) << shift(level)
}

/// One level: its slots and which of them are occupied. Takes no memory before its first entry.
struct Level {
    /// A bit for each word of `occupied` that is not 0.
    summary: u64,
    /// A bit for each slot that is not empty.
    occupied: Box<[u64]>,
    slots: Box<[List]>,
}

impl Level {
    const EMPTY: Self = Self { summary: 0, occupied: Box::new([]), slots: Box::new([]) };

    #[inline]
    fn first(&self) -> usize {
        let word = self.summary.trailing_zeros() as usize;
        word * 64 + self.occupied[word].trailing_zeros() as usize
    }

    #[inline]
    fn occupy(&mut self, level: usize, slot: usize) -> &mut List {
        if self.slots.is_empty() {
            self.build(level);
        }
        self.summary |= 1 << (slot / 64);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        &mut self.slots[slot]
    }

    #[cold]
    fn build(&mut self, level: usize) {
        self.occupied = vec![0; slots(level) / 64].into();
        self.slots = vec![List::EMPTY; slots(level)].into();
    }

    /// Empties a slot.
    fn take(&mut self, slot: usize) -> List {
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        if self.occupied[slot / 64] == 0 {
            self.summary &= !(1 << (slot / 64));
        }
        mem::replace(&mut self.slots[slot], List::EMPTY)
    }
}

/// The ends of a list that is linked by places in the slab; empty if `head` is `NONE`.
#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: Self = Self { head: NONE, tail: NONE };

    /// One end goes; `prev` and `next` were its neighbours.
    fn forget(&mut self, index: u32, prev: u32, next: u32) {
        if self.head == index {
            self.head = next;
        }
        if self.tail == index {
            self.tail = prev;
        }
    }
}

/// 48 bytes with a value of 24 that has a niche, which is what the timer's are.
struct Entry<T> {
    /// `None` in a free place.
    value: Option<T>,
    /// Of the insert that came last here.
    stamp: u64,
    tick: u64,
    prev: u32,
    /// In a free place, the next free one.
    next: u32,
}

/// Where the entries are.
struct Slab<T> {
    chunks: Vec<Vec<Entry<T>>>,
    free: u32,
    len: usize,
}

impl<T> Slab<T> {
    fn get(&self, index: u32) -> Option<&Entry<T>> {
        self.chunks.get((index >> CHUNK_BITS) as usize)?.get(index as usize % CHUNK)
    }

    fn add(&mut self, entry: Entry<T>) -> u32 {
        self.len += 1;
        if self.free != NONE {
            let index = self.free;
            self.free = mem::replace(&mut self[index], entry).next;
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("bug: a chunk was just made");
        let index = u32::try_from(before + chunk.len()).ok().filter(|index| *index != NONE);
        chunk.push(entry);
        index.expect("bug: the wheel was given more entries than there are places")
    }

    /// Frees a place; its value and what came after it.
    #[inline]
    fn remove(&mut self, index: u32) -> (Option<T>, u32) {
        let free = self.free;
        let entry = &mut self[index];
        let value = entry.value.take();
        let next = mem::replace(&mut entry.next, free);
        self.free = index;
        self.len -= 1;
        (value, next)
    }

    #[inline]
    fn append(&mut self, list: &mut List, index: u32) {
        let entry = &mut self[index];
        entry.prev = list.tail;
        entry.next = NONE;
        if list.tail == NONE {
            list.head = index;
        } else {
            self[list.tail].next = index;
        }
        list.tail = index;
    }

    /// Takes the first of a list that is not empty.
    #[inline]
    fn pop(&mut self, list: &mut List) -> u32 {
        let index = list.head;
        list.head = self[index].next;
        if list.head == NONE {
            list.tail = NONE;
        } else {
            self[list.head].prev = NONE;
        }
        index
    }

    fn shed(&mut self) -> Vec<Vec<Entry<T>>> {
        if self.len > 0 || self.chunks.len() < 2 {
            return Vec::new();
        }
        self.free = NONE;
        self.chunks[0].clear();
        self.chunks.split_off(1)
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = Entry<T>;
    #[inline]
    fn index(&self, index: u32) -> &Entry<T> {
        &self.chunks[(index >> CHUNK_BITS) as usize][index as usize % CHUNK]
    }
}
impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.chunks[(index >> CHUNK_BITS) as usize][index as usize % CHUNK]
    }
}

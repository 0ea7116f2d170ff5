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
//! Level 0 has 64 slots of one tick, every level above 4096 slots, each as wide as the whole level below: with ticks of
//! 1 ms, slots of 64 ms, 262 s, 12 days, 139 years and 571 000 years. An entry stands at the level of the highest digit
//! in which its tick differs from `elapsed`, so the slots of a level never wrap around, everything at a level is later
//! than everything below, and the first occupied slot of the lowest occupied level is the next one. When time comes to
//! a slot above level 0 its entries move down ("cascade"). A narrow level 0 below wide levels keeps cascades short: of a
//! million entries over ten seconds about 7000 move at a time, where 64 slots a level would move half a million at once.
//!
//! # Why the order holds
//! Slots are first in, first out. Entries of one tick stand in one slot at any moment: the level is a function of tick
//! and `elapsed` alone. They come to a lower slot only by the cascade of that one, which keeps their order, and before
//! it no entry can have been put lower. While a cascade is unfinished, what would go below its level joins its end.
//!
//! # Memory
//! What a million entries cost is cache misses, and in a list linked from entry to entry each waits for the one before.
//! So a slot is a list of nodes, a cache line of places each: the misses on their entries overlap. An entry is a link,
//! which a cascade touches, and a cell, which giving out touches. With values of 24 bytes that is 48 bytes and its share
//! of a node: 5 bytes in a crowd, 64 at worst.

use std::mem;
use std::ops::{Index, IndexMut};

/// No place.
const NONE: u32 = u32::MAX;
/// Six levels of 6, 12, 12, 12, 12 and 12 bits hold every `u64`.
const LEVELS: usize = 6;
const LOWEST: usize = 64;
const UPPER: usize = 4096;
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
    nodes: Nodes,
    /// Where entries stand, and what they are: an entry has the same place in both.
    links: Chunks<Link>,
    cells: Chunks<Cell<T>>,
    /// The first free place.
    free: u32,
    len: usize,
    stamp: u64,
}

/// Where an entry stands.
#[derive(Clone, Copy)]
struct Link {
    tick: u64,
    node: u32,
    position: u32,
}

/// What an entry is.
struct Cell<T> {
    /// `None` in a free place.
    value: Option<T>,
    /// In a free place, the next free one.
    stamp: u64,
}

impl<T> Wheel<T> {
    pub(super) fn new() -> Self {
        Self {
            elapsed: 0,
            levels: [const { Level::EMPTY }; LEVELS],
            moving: List::EMPTY,
            moving_from: 0,
            nodes: Nodes { nodes: Chunks::EMPTY, free: NONE },
            links: Chunks::EMPTY,
            cells: Chunks::EMPTY,
            free: NONE,
            len: 0,
            stamp: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Keeps `value` until `tick`; the next `advance` gives it out if that is now or has been.
    pub(super) fn insert(&mut self, tick: u64, value: T) -> Key {
        let stamp = self.stamp;
        self.stamp += 1;
        self.len += 1;
        let tick = tick.max(self.elapsed);
        let (link, cell) = (Link { tick, node: NONE, position: 0 }, Cell { value: Some(value), stamp });
        let index = self.free;
        let index = if index == NONE {
            self.links.push(link);
            self.cells.push(cell)
        } else {
            self.free = mem::replace(&mut self.cells[index], cell).stamp as u32;
            self.links[index] = link;
            index
        };
        let level = level(self.elapsed, tick);
        if self.moving.head != NONE && level < self.moving_from {
            self.links[index].stand(self.nodes.append(&mut self.moving, index));
        } else {
            self.place(index, tick, level);
        }
        Key { index, stamp }
    }

    /// Takes a value back, unless it was given out or taken back before.
    pub(super) fn cancel(&mut self, key: Key) -> Option<T> {
        let cell = self.cells.get(key.index)?;
        if cell.stamp != key.stamp || cell.value.is_none() {
            return None;
        }
        let Link { tick, node, position } = self.links[key.index];
        if self.nodes.forget(node, position) {
            self.unlink(node, tick);
        }
        self.remove(key.index)
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
                let taken = self.nodes.pop(&mut self.moving, left);
                left -= taken.len();
                for &index in taken.iter() {
                    let tick = self.links[index].tick;
                    self.place(index, tick, level(self.elapsed, tick));
                }
            }
            let Some((level, slot)) = self.first() else { break };
            let start = self.start(level, slot);
            if start > now {
                break;
            }
            self.elapsed = start;
            if level > 0 {
                self.moving = self.levels[level].take(slot);
                self.moving_from = level;
                continue;
            }
            while self.levels[0].slots[slot].head != NONE {
                if left == 0 {
                    return true;
                }
                let taken = self.nodes.pop(&mut self.levels[0].slots[slot], left);
                left -= taken.len();
                for &index in taken.iter() {
                    out.extend(self.remove(index));
                }
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
        let start = self.start(level, slot);
        if level == 0 {
            return Some(start);
        }
        let (mut earliest, mut seen) = (u64::MAX, 0);
        let mut node = self.levels[level].slots[slot].head;
        while node != NONE {
            for &index in self.nodes.nodes[node].occupied() {
                if seen == SPARSE {
                    return Some(start);
                }
                seen += 1;
                earliest = earliest.min(self.links[index].tick);
            }
            node = self.nodes.nodes[node].next;
        }
        Some(earliest)
    }

    /// Memory that an empty wheel no longer needs, for the caller to drop where nobody waits for it.
    pub(super) fn shed(&mut self) -> impl Sized + use<T> {
        let crowded = self.links.0.len() > 1 || self.nodes.nodes.0.len() > 1;
        (self.len == 0 && crowded).then(|| {
            self.free = NONE;
            self.nodes.free = NONE;
            (self.links.shed(), self.cells.shed(), self.nodes.nodes.shed())
        })
    }

    /// Everything that is left, in no order.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.cells.0.into_iter().flatten().filter_map(|cell| cell.value)
    }

    /// The lowest occupied level and its first occupied slot.
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|l| l.summary != 0)?;
        Some((level, self.levels[level].first()))
    }

    /// The first tick of a slot.
    fn start(&self, level: usize, slot: usize) -> u64 {
        let above = shift(level + 1);
        self.elapsed.checked_shr(above).map_or(0, |digits| digits << above) | (slot as u64) << shift(level)
    }

    #[inline]
    fn place(&mut self, index: u32, tick: u64, level: usize) {
        let list = self.levels[level].occupy(level, slot(level, tick));
        self.links[index].stand(self.nodes.append(list, index));
    }

    /// Frees a place.
    #[inline]
    fn remove(&mut self, index: u32) -> Option<T> {
        let cell = &mut self.cells[index];
        cell.stamp = self.free.into();
        self.free = index;
        self.len -= 1;
        cell.value.take()
    }

    /// Takes an empty node, which held entries of this tick's slot, out of its list.
    #[cold]
    fn unlink(&mut self, node: u32, tick: u64) {
        if self.moving.ends_in(node) {
            self.nodes.unlink(&mut self.moving, node);
        } else if self.nodes.nodes[node].is_inner() {
            self.nodes.unlink(&mut { List::EMPTY }, node); // its slot does not name it
        } else {
            let level = level(self.elapsed, tick);
            let slot = slot(level, tick);
            let list = &mut self.levels[level].slots[slot];
            self.nodes.unlink(list, node);
            if list.head == NONE {
                self.levels[level].take(slot);
            }
        }
    }
}

impl Link {
    #[inline]
    fn stand(&mut self, (node, position): (u32, u32)) {
        (self.node, self.position) = (node, position);
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
fn shift(level: usize) -> u32 {
    (level as u32 * 12).saturating_sub(6)
}

#[inline]
fn slot(level: usize, tick: u64) -> usize {
    (tick >> shift(level)) as usize & (slots(level) - 1)
}

#[inline]
fn slots(level: usize) -> usize {
    if level == 0 { LOWEST } else { UPPER }
}

/// One level: its slots and which of them are occupied. Takes no memory before its first entry.
struct Level {
    /// A bit for each word of `occupied` that is not 0.
    summary: u64,
    /// A bit for each slot that is not empty.
    occupied: Vec<u64>,
    slots: Vec<List>,
}

impl Level {
    const EMPTY: Self = Self { summary: 0, occupied: Vec::new(), slots: Vec::new() };

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
        self.occupied = vec![0; slots(level) / 64];
        self.slots = vec![List::EMPTY; slots(level)];
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

/// The ends of a list of nodes; empty if `head` is `NONE`.
#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: Self = Self { head: NONE, tail: NONE };

    fn ends_in(&self, node: u32) -> bool {
        self.head == node || self.tail == node
    }
}

/// How many entries a node names: what fills a cache line.
const ROOM: usize = 13;

/// Some entries of a slot, in their order. A node in a list is never without entries.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node {
    /// `NONE` where an entry was taken back. Beyond `used` nothing.
    entries: [u32; ROOM],
    prev: u32,
    /// In a free node, the next free one.
    next: u32,
    used: u16,
    live: u16,
}

impl Node {
    fn is_inner(&self) -> bool {
        self.prev != NONE && self.next != NONE
    }

    fn occupied(&self) -> impl Iterator<Item = &u32> {
        self.entries[..self.used as usize].iter().filter(|index| **index != NONE)
    }
}

/// All nodes, and what can be done to lists of them.
struct Nodes {
    nodes: Chunks<Node>,
    free: u32,
}

impl Nodes {
    /// Puts an entry at the end; where it stands then.
    #[inline]
    fn append(&mut self, list: &mut List, index: u32) -> (u32, u32) {
        if list.tail == NONE || self.nodes[list.tail].used as usize == ROOM {
            self.extend(list);
        }
        let node = &mut self.nodes[list.tail];
        let position = node.used;
        node.entries[position as usize] = index;
        node.used += 1;
        node.live += 1;
        (list.tail, position.into())
    }

    /// Puts an empty node at the end, for an entry that is about to come.
    #[cold]
    fn extend(&mut self, list: &mut List) {
        let fresh = Node { entries: [NONE; ROOM], prev: list.tail, next: NONE, used: 0, live: 0 };
        let at = self.free;
        let at = if at == NONE {
            self.nodes.push(fresh)
        } else {
            self.free = mem::replace(&mut self.nodes[at], fresh).next;
            at
        };
        if list.tail == NONE {
            list.head = at;
        } else {
            self.nodes[list.tail].next = at;
        }
        list.tail = at;
    }

    /// Takes an entry out of its node. Returns whether the node is empty now, and so has to be unlinked.
    #[inline]
    fn forget(&mut self, node: u32, position: u32) -> bool {
        let node = &mut self.nodes[node];
        node.entries[position as usize] = NONE;
        node.live -= 1;
        node.live == 0
    }

    /// Takes up to `most` entries from the first node of a list that is not empty.
    #[inline]
    fn pop(&mut self, list: &mut List, most: usize) -> Taken {
        let mut taken = Taken { entries: [NONE; ROOM], len: 0 };
        let node = &mut self.nodes[list.head];
        for entry in &mut node.entries[..node.used as usize] {
            if taken.len == most {
                break;
            }
            let index = mem::replace(entry, NONE);
            if index != NONE {
                taken.entries[taken.len] = index;
                taken.len += 1;
            }
        }
        node.live -= taken.len as u16;
        if node.live == 0 {
            self.unlink(list, list.head);
        }
        taken
    }

    /// Takes an empty node out of its list and frees it. For an inner node any list will do.
    fn unlink(&mut self, list: &mut List, node: u32) {
        let Node { prev, next, .. } = self.nodes[node];
        if prev != NONE {
            self.nodes[prev].next = next;
        }
        if next != NONE {
            self.nodes[next].prev = prev;
        }
        if list.head == node {
            list.head = next;
        }
        if list.tail == node {
            list.tail = prev;
        }
        self.nodes[node].next = mem::replace(&mut self.free, node);
    }
}

/// What was in a node.
struct Taken {
    entries: [u32; ROOM],
    len: usize,
}

impl std::ops::Deref for Taken {
    type Target = [u32];
    #[inline]
    fn deref(&self) -> &[u32] {
        &self.entries[..self.len]
    }
}

/// A vector in pieces, so that growing copies nothing while somebody waits for the wheel.
struct Chunks<U>(Vec<Vec<U>>);

const CHUNK: usize = 1024;

impl<U> Chunks<U> {
    const EMPTY: Self = Self(Vec::new());

    fn get(&self, index: u32) -> Option<&U> {
        self.0.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    fn push(&mut self, value: U) -> u32 {
        if self.0.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.0.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.0.len() - 1;
        let index = u32::try_from(chunk * CHUNK + self.0[chunk].len()).ok().filter(|index| *index != NONE);
        self.0[chunk].push(value);
        index.expect("bug: the wheel was given more entries than there are places")
    }

    /// Forgets everything. Keeps one chunk, so that a wheel that is empty now and then does not allocate each time.
    fn shed(&mut self) -> Vec<Vec<U>> {
        let Some(first) = self.0.first_mut() else { return Vec::new() };
        first.clear();
        self.0.split_off(1)
    }
}

impl<U> Index<u32> for Chunks<U> {
    type Output = U;
    #[inline]
    fn index(&self, index: u32) -> &U {
        &self.0[index as usize / CHUNK][index as usize % CHUNK]
    }
}
impl<U> IndexMut<u32> for Chunks<U> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut U {
        &mut self.0[index as usize / CHUNK][index as usize % CHUNK]
    }
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// SplitMix64: the same lists in every run, told by their seed when one fails.
    struct Random(u64);
    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        fn below(&mut self, n: u64) -> u64 {
            self.next() % n
        }
        /// As likely small as huge, so that every level is used.
        fn of_any_size(&mut self, bits: u64) -> u64 {
            let bits = self.below(bits + 1);
            if bits == 0 { 0 } else { self.next() >> (64 - bits) }
        }
    }

    /// What must hold at any moment, and what the wheel says against what there is.
    fn check(wheel: &Wheel<u64>, model: &BTreeMap<(u64, u64), Key>) {
        assert_eq!(wheel.len(), model.len());
        let mut linked = 0;
        for (l, level) in wheel.levels.iter().enumerate() {
            for (w, (word, slots)) in level.occupied.iter().zip(level.slots.chunks(64)).enumerate() {
                assert_eq!(level.summary >> w & 1 == 1, *word != 0, "summary of word {w} at level {l}");
                if *word == 0 {
                    continue; // were a slot of it occupied, the sum would tell
                }
                for (s, list) in slots.iter().enumerate() {
                    assert_eq!(word >> s & 1 == 1, list.head != NONE, "mark of slot {s} in word {w} at level {l}");
                    linked += length(wheel, list);
                }
            }
        }
        assert_eq!(linked + length(wheel, &wheel.moving), model.len());
        match (wheel.next_deadline(), model.first_key_value()) {
            (None, None) => {}
            (Some(at), Some((&(first, _), _))) => {
                assert!(at >= wheel.elapsed && at <= first, "{at} is not in {}..={first}", wheel.elapsed);
                if model.len() <= SPARSE && wheel.moving.head == NONE {
                    assert_eq!(at, first, "few entries, but the deadline is not exact");
                }
            }
            (told, first) => panic!("the deadline is {told:?}, the first entry {first:?}"),
        }
    }

    /// How many entries a list has, each of which must know where it stands.
    fn length(wheel: &Wheel<u64>, list: &List) -> usize {
        let (mut n, mut before, mut at) = (0, NONE, list.head);
        while at != NONE {
            let node = &wheel.nodes.nodes[at];
            assert_eq!(node.prev, before);
            assert!(node.live > 0 && node.occupied().count() == node.live as usize);
            for (position, index) in node.entries.iter().enumerate().filter(|(_, index)| **index != NONE) {
                let link = wheel.links[*index];
                assert_eq!((link.node, link.position as usize), (at, position));
            }
            (n, before, at) = (n + node.live as usize, at, node.next);
        }
        assert_eq!(before, list.tail);
        n
    }

    /// Random inserts, cancels and advances in random steps against a sorted map of (tick, order of arrival).
    fn against_a_model(seed: u64, operations: usize, bits: u64) {
        let mut random = Random(seed);
        let mut wheel = Wheel::new();
        let mut model = BTreeMap::new();
        let mut gone: Vec<Key> = Vec::new();
        let (mut now, mut arrived) = (0_u64, 0_u64);
        let mut out = Vec::new();
        for _ in 0..operations {
            match random.below(10) {
                0..=4 => {
                    let tick = match random.below(8) {
                        0 => now.saturating_sub(random.of_any_size(bits)),
                        1 => model.first_key_value().map_or(now, |(&(tick, _), _)| tick),
                        2 => model.last_key_value().map_or(now, |(&(tick, _), _)| tick),
                        _ => now.saturating_add(random.of_any_size(bits)),
                    };
                    let key = wheel.insert(tick, arrived);
                    model.insert((tick.max(wheel.elapsed), arrived), key);
                    arrived += 1;
                }
                5 => {
                    if let Some(key) = gone.get(random.below(gone.len().max(1) as u64) as usize) {
                        assert_eq!(wheel.cancel(*key), None, "seed {seed}: a stale key found something");
                    }
                }
                6 => {
                    let nth = random.below(model.len().max(1) as u64) as usize;
                    if let Some((&(tick, id), &key)) = model.iter().nth(nth) {
                        assert_eq!(wheel.cancel(key), Some(id), "seed {seed}");
                        model.remove(&(tick, id));
                        gone.push(key);
                    }
                }
                7 => drop(wheel.shed()),
                _ => {
                    now = match random.below(4) {
                        0 => now,
                        1 => wheel.next_deadline().unwrap_or(now).max(now),
                        _ => now.saturating_add(random.of_any_size(bits)),
                    };
                    let most = if random.below(2) == 0 { usize::MAX } else { random.below(6) as usize };
                    let more = wheel.advance(now, most, &mut out);
                    assert!(out.len() <= most);
                    for id in out.drain(..) {
                        let ((tick, first), key) = model.pop_first().expect("given out twice");
                        assert_eq!(id, first, "seed {seed}: out of order");
                        assert!(tick <= now, "seed {seed}: early");
                        gone.push(key);
                    }
                    if !more {
                        assert_eq!(wheel.elapsed, now);
                        assert!(model.first_key_value().is_none_or(|(&(tick, _), _)| tick > now), "seed {seed}: late");
                    }
                }
            }
            check(&wheel, &model);
        }
        let mut left: Vec<u64> = wheel.into_values().collect();
        left.sort_unstable();
        let mut kept: Vec<u64> = model.into_keys().map(|(_, id)| id).collect();
        kept.sort_unstable();
        assert_eq!(left, kept, "seed {seed}");
    }

    #[test]
    fn near_ticks_go_as_in_a_sorted_map() {
        for seed in 0..60 {
            against_a_model(seed, 300, 8);
        }
    }

    #[test]
    fn ticks_of_every_level_go_as_in_a_sorted_map() {
        for seed in 100..130 {
            against_a_model(seed, 300, 64);
        }
        for seed in 200..230 {
            against_a_model(seed, 300, 20);
        }
    }

    #[test]
    fn a_cascade_in_steps_keeps_the_order_of_one_tick_whatever_comes_between() {
        let mut wheel = Wheel::new();
        let mut out = Vec::new();
        for id in 0..10 {
            wheel.insert(70, id);
        }
        assert!(wheel.advance(70, 4, &mut out)); // four have moved down, six have not
        wheel.insert(70, 10);
        wheel.insert(3, 11); // passed: counts as the tick the wheel has come to, 64
        wheel.insert(70, 12);
        while wheel.advance(70, 4, &mut out) {}
        assert_eq!(out, [11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]);
    }

    #[test]
    fn a_cascade_in_steps_can_lose_any_of_its_entries_to_a_cancel() {
        for lost in 0..10 {
            let mut wheel = Wheel::new();
            let mut out = Vec::new();
            let keys: Vec<Key> = (0..10).map(|id| wheel.insert(5000 + id / 5, id)).collect();
            assert!(wheel.advance(5001, 4, &mut out));
            assert_eq!(wheel.cancel(keys[lost]), Some(lost as u64));
            assert_eq!(wheel.cancel(keys[lost]), None);
            while wheel.advance(5001, 4, &mut out) {}
            assert_eq!(out, (0..10).filter(|id| *id != lost as u64).collect::<Vec<_>>());
            assert_eq!(wheel.next_deadline(), None);
        }
    }

    #[test]
    fn a_node_that_waits_inside_a_cascade_can_be_emptied_before_its_next_level_was_ever_used() {
        let mut wheel = Wheel::new();
        let mut out = Vec::new();
        let base = 1 << 18;
        let keys: Vec<Key> =
            (0..4 * ROOM as u64).map(|id| wheel.insert(base + if id < ROOM as u64 { 0 } else { 70 }, id)).collect();
        assert!(wheel.advance(base + 70, 5, &mut out));
        assert!(wheel.levels[1].slots.is_empty());
        for key in &keys[ROOM..3 * ROOM] {
            assert!(wheel.cancel(*key).is_some());
        }
        while wheel.advance(base + 70, 5, &mut out) {}
        assert_eq!(out, (0..ROOM as u64).chain(3 * ROOM as u64..4 * ROOM as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_lone_entry_is_one_deadline_however_far() {
        for tick in [0, 1, 63, 64, 4095, 1 << 18, (1 << 30) + 17, u64::MAX - 1, u64::MAX] {
            let mut wheel = Wheel::new();
            let mut out = Vec::new();
            wheel.insert(tick, tick);
            assert_eq!(wheel.next_deadline(), Some(tick));
            if let Some(before) = tick.checked_sub(1) {
                assert!(!wheel.advance(before, usize::MAX, &mut out));
                assert!(out.is_empty(), "early");
                assert_eq!(wheel.next_deadline(), Some(tick));
            }
            assert!(!wheel.advance(tick, usize::MAX, &mut out));
            assert_eq!(out, [tick]);
        }
    }

    #[test]
    fn a_place_that_is_used_again_is_not_found_by_its_old_key() {
        let mut wheel = Wheel::new();
        let old = wheel.insert(5, 'a');
        assert_eq!(wheel.cancel(old), Some('a'));
        let new = wheel.insert(5, 'b');
        assert_eq!(old.index, new.index);
        assert_eq!(wheel.cancel(old), None);
        assert_eq!(wheel.cancel(new), Some('b'));
    }

    #[test]
    fn memory_of_a_crowd_is_given_back_when_the_last_has_gone_and_keys_stay_unique() {
        let mut wheel = Wheel::new();
        let keys: Vec<Key> = (0..3 * CHUNK as u64).map(|id| wheel.insert(id % 100, id)).collect();
        drop(wheel.shed());
        assert_eq!(wheel.links.0.len(), 3, "shed while in use");
        let mut out = Vec::new();
        assert!(!wheel.advance(100, usize::MAX, &mut out));
        assert_eq!(out.len(), keys.len());
        drop(wheel.shed());
        assert_eq!(wheel.links.0.len(), 1);
        wheel.insert(200, 7);
        assert!(keys.iter().all(|key| wheel.cancel(*key).is_none()));
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn an_entry_of_the_timer_takes_48_bytes_and_a_node_a_cache_line() {
        assert_eq!(size_of::<Link>() + size_of::<Cell<(std::sync::Arc<dyn Fn() + Send>, u64)>>(), 48);
        assert_eq!(size_of::<Node>(), 64);
    }
}

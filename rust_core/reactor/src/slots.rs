//! Values by a number that is never used again: a place, and how often it has been taken.

/// A connection of one node, for ever: its place is taken again, its generation is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    slot: u32,
    generation: u32,
}

impl ConnId {
    /// The place among those that are taken at the same time.
    pub fn slot(self) -> usize {
        self.slot as usize
    }

    /// One number for both, as the control plane knows it.
    pub fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The connection with that number.
    pub fn of(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}.{}", self.slot, self.generation)
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by connection. Whoever owns the sockets gives the numbers (`take`); others keep what they
/// know of a connection under the same number (`put`).
#[derive(Debug)]
pub struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slots<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number that `take` gives next.
    pub fn next(&self) -> ConnId {
        let slot = self.free.last().copied();
        let slot = slot.unwrap_or_else(|| {
            u32::try_from(self.places.len()).expect("a process has fewer descriptors")
        });
        let generation = self.places.get(slot as usize).map_or(0, |place| place.generation + 1);
        ConnId { slot, generation }
    }

    /// Keeps a value under a new number.
    pub fn take(&mut self, value: T) -> ConnId {
        let id = self.next();
        if self.free.pop().is_none() {
            self.places.push(Place { generation: 0, value: None });
        }
        self.put(id, value);
        id
    }

    /// Keeps a value under a number that another gave.
    pub fn put(&mut self, id: ConnId, value: T) {
        while self.places.len() <= id.slot() {
            self.places.push(Place { generation: 0, value: None });
        }
        let place = self.places.get_mut(id.slot()).expect("made above");
        assert!(place.value.is_none(), "{id} is taken");
        *place = Place { generation: id.generation, value: Some(value) };
        self.len += 1;
    }

    /// The value of a connection that is there.
    pub fn get(&self, id: ConnId) -> Option<&T> {
        let place = self.places.get(id.slot())?;
        if place.generation == id.generation { place.value.as_ref() } else { None }
    }

    /// The value of a connection that is there, to be changed.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let place = self.places.get_mut(id.slot())?;
        if place.generation == id.generation { place.value.as_mut() } else { None }
    }

    /// Which connection has a place now.
    pub fn at(&self, slot: usize) -> Option<ConnId> {
        let place = self.places.get(slot)?;
        place.value.as_ref()?;
        Some(ConnId { slot: u32::try_from(slot).ok()?, generation: place.generation })
    }

    /// Takes a value out; a place that `take` gave may be taken again.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let place = self.places.get_mut(id.slot())?;
        if place.generation != id.generation {
            return None;
        }
        let value = place.value.take()?;
        self.len -= 1;
        Some(value)
    }

    /// Takes a value out, and its place may be taken again.
    pub fn free(&mut self, id: ConnId) -> Option<T> {
        let value = self.remove(id)?;
        self.free.push(id.slot);
        Some(value)
    }

    /// All connections, by place.
    pub fn ids(&self) -> Vec<ConnId> {
        (0..self.places.len()).filter_map(|slot| self.at(slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_used_again() {
        let mut slots = Slots::default();
        let first = slots.take("a");
        assert_eq!((slots.get(first), slots.len()), (Some(&"a"), 1));
        assert_eq!(slots.free(first), Some("a"));
        let second = slots.take("b");
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.free(first), None);
        assert_eq!(slots.get(second), Some(&"b"));
        assert_eq!((ConnId::of(second.number()), slots.ids()), (second, vec![second]));
    }

    #[test]
    fn others_keep_theirs_under_the_same_number() {
        let (mut sockets, mut conns) = (Slots::default(), Slots::default());
        let ids: Vec<_> = (0..5).map(|n| sockets.take(n)).collect();
        conns.put(ids[3], "late");
        assert_eq!((conns.get(ids[3]), conns.get(ids[2]), conns.len()), (Some(&"late"), None, 1));
        assert_eq!(conns.remove(ids[3]), Some("late"));
        assert!(conns.is_empty() && conns.at(3).is_none());
    }
}

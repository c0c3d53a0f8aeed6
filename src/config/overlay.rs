//! Settings of a section laid over those of the sections around it, without copying either.

use crate::httpd::Pool;

/// Rows of one section, or two overlays of which the newer wins.
///
/// httpd merges configurations at each request; a merge here is one pointer pair, and what it costs
/// to look something up is paid only by those who look.
pub enum Overlay<'p, T> {
    Empty,
    Own(&'p [T]),
    Merged(&'p (Overlay<'p, T>, Overlay<'p, T>)),
}

impl<T> Clone for Overlay<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Overlay<'_, T> {}

impl<'p, T: Copy> Overlay<'p, T> {
    /// `base` with `new` over it.
    #[inline]
    pub fn merge(pool: &'p Pool, base: Self, new: Self) -> Self {
        match (&base, &new) {
            (_, Self::Empty) => base,
            (Self::Empty, _) => new,
            _ => Self::Merged(pool.alloc((base, new))),
        }
    }

    /// Adds a row while a section is being read.
    pub fn push(&mut self, pool: &'p Pool, row: T) {
        let old: &[T] = match self {
            Self::Own(rows) => rows,
            Self::Empty => &[],
            // Only merged records have this, and directives never change those.
            Self::Merged(_) => {
                let (base, new) = (*self, Self::Own(pool.alloc_slice(&[row])));
                *self = Self::merge(pool, base, new);
                return;
            }
        };
        let mut rows = Vec::with_capacity(old.len() + 1);
        rows.extend_from_slice(old);
        rows.push(row);
        *self = Self::Own(pool.alloc_slice(&rows));
    }

    /// The newest row that matches.
    #[inline]
    pub fn find(&self, matches: &mut dyn FnMut(&T) -> bool) -> Option<&'p T> {
        match self {
            Self::Empty => None,
            Self::Own(rows) => rows.iter().rev().find(|row| matches(row)),
            Self::Merged((base, new)) => new.find(matches).or_else(|| base.find(matches)),
        }
    }

    /// Visits all rows, the oldest first.
    pub fn for_each(&self, visit: &mut dyn FnMut(&'p T)) {
        match self {
            Self::Empty => {}
            Self::Own(rows) => rows.iter().for_each(visit),
            Self::Merged((base, new)) => {
                base.for_each(visit);
                new.for_each(visit);
            }
        }
    }

    /// Whether nothing was set anywhere.
    #[inline]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::httpd::pool::OwnedPool;

    #[test]
    fn the_newer_overlay_wins_and_order_is_kept() {
        crate::ffi::outside_httpd::initialize();
        let pool = OwnedPool::new().unwrap();
        let mut base = Overlay::Empty;
        base.push(&pool, ("a", 1));
        base.push(&pool, ("b", 2));
        base.push(&pool, ("a", 3));
        let mut new = Overlay::Empty;
        new.push(&pool, ("b", 4));
        let merged = Overlay::merge(&pool, base, new);
        assert_eq!(merged.find(&mut |row| row.0 == "a"), Some(&("a", 3)));
        assert_eq!(merged.find(&mut |row| row.0 == "b"), Some(&("b", 4)));
        assert_eq!(merged.find(&mut |row| row.0 == "c"), None);
        let mut seen = Vec::new();
        merged.for_each(&mut |row| seen.push(row.1));
        assert_eq!(seen, [1, 2, 3, 4]);
    }
}

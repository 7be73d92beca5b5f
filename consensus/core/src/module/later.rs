//! Values that may take a while to compute.

use std::fmt;

/// A value that is there, or the computation that makes it: what is slow is not done where the rows are read, but on a worker.
pub struct Later<T>(Stage<T>);

enum Stage<T> {
    Here(T),
    Slow(Box<dyn FnOnce() -> T + Send + Sync>),
}

impl<T: 'static> Later<T> {
    /// A value that is there.
    pub fn now(value: T) -> Self {
        Self(Stage::Here(value))
    }

    /// A value that takes a tenth of a millisecond or more.
    pub fn slow(compute: impl FnOnce() -> T + Send + Sync + 'static) -> Self {
        Self(Stage::Slow(Box::new(compute)))
    }

    /// Whether there is something to compute.
    pub fn is_slow(&self) -> bool {
        matches!(self.0, Stage::Slow(_))
    }

    /// The value, computed if need be.
    pub fn get(self) -> T {
        match self.0 {
            Stage::Here(value) => value,
            Stage::Slow(compute) => compute(),
        }
    }

    /// What `change` makes of the value, at the same time as the value.
    #[must_use]
    pub fn map<U: 'static>(self, change: impl FnOnce(T) -> U + Send + Sync + 'static) -> Later<U> {
        match self.0 {
            Stage::Here(value) => Later::now(change(value)),
            Stage::Slow(compute) => Later::slow(move || change(compute())),
        }
    }
}

/// Shows no value: it may be a secret until it is told.
impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Stage::Here(_) => "Later(here)",
            Stage::Slow(_) => "Later(slow)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_now_and_later() {
        let (now, slow) = (Later::now(3), Later::slow(|| 3));
        assert!(!now.is_slow() && slow.is_slow());
        let (now, slow) = (now.map(|n| n * 2), slow.map(|n| n * 2));
        assert!(!now.is_slow() && slow.is_slow());
        assert_eq!((now.get(), slow.get()), (6, 6));
    }
}

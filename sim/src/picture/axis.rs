//! The axis of time: a height for every entry of a history.
//!
//! Not a ruler. Two entries of one moment have an order, which is often the point,
//! so each entry lies lower than the one before; and a stretch in which nothing
//! happens is cut short, and marked. In between a millisecond has one length.

/// The most that separates two entries; what is longer is cut out.
const GAP_MAX: f64 = 56.0;

/// A length of time that was cut short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// The middle of what is left of it.
    pub(super) y: f64,
    /// How long it is in truth.
    pub(super) ms: u64,
}

/// Where on the page a moment is.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// The time and the height of each entry.
    rows: Vec<(u64, f64)>,
    pub(super) cuts: Vec<Cut>,
}

impl Axis {
    /// An axis that begins at `top` for entries at these times.
    pub(super) fn new(times_us: impl Iterator<Item = u64>, count: usize, top: f64) -> Self {
        // A small history has room for a line of text at each entry.
        let gap_min = (6_000.0 / count.max(1) as f64).clamp(0.55, 12.5);
        let per_ms = (gap_min / 10.0).clamp(0.5, 1.25);
        let mut axis = Self { rows: Vec::with_capacity(count), cuts: Vec::new() };
        let (mut previous_us, mut y) = (0, top);
        for at_us in times_us {
            let ms = (at_us - previous_us) as f64 / 1000.0;
            let wanted = ms * per_ms;
            let gap = wanted.clamp(gap_min, GAP_MAX);
            // Only where it is much does it need to be said.
            if wanted > 1.5 * GAP_MAX {
                axis.cuts.push(Cut { y: y + gap / 2.0, ms: (at_us - previous_us) / 1000 });
            }
            y += gap;
            axis.rows.push((at_us, y));
            previous_us = at_us;
        }
        axis
    }

    /// The height of an entry.
    pub(super) fn row(&self, row: usize) -> f64 {
        self.rows[row].1
    }

    /// The height of a moment: after all entries before it.
    pub(super) fn moment(&self, at_us: u64) -> f64 {
        let next = self.rows.partition_point(|(time, _)| *time < at_us);
        let (Some(&(before_us, above)), Some(&(after_us, below))) =
            (self.rows.get(next.wrapping_sub(1)), self.rows.get(next))
        else {
            return if next == 0 { self.top() } else { self.bottom() };
        };
        let part = (at_us - before_us) as f64 / (after_us - before_us).max(1) as f64;
        above + (below - above) * part
    }

    /// The height of the first entry.
    pub(super) fn top(&self) -> f64 {
        self.rows.first().map_or(0.0, |row| row.1)
    }

    /// The height of the last entry.
    pub(super) fn bottom(&self) -> f64 {
        self.rows.last().map_or(0.0, |row| row.1)
    }

    /// Entries far enough apart to have their time written: time and height.
    pub(super) fn labels(&self) -> Vec<(u64, f64)> {
        const APART: f64 = 36.0;
        let mut labels: Vec<(u64, f64)> = Vec::new();
        for &(at_us, y) in &self.rows {
            let far = labels
                .last()
                .is_none_or(|&(last_us, last_y)| y - last_y >= APART && at_us != last_us);
            if far {
                labels.push((at_us, y));
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(times_us: &[u64]) -> Axis {
        Axis::new(times_us.iter().copied(), times_us.len(), 0.0)
    }

    #[test]
    fn later_entries_lie_lower_also_at_one_moment() {
        let axis = axis(&[0, 1_000, 1_000, 1_000, 2_000]);
        assert!((1..5).all(|row| axis.row(row) > axis.row(row - 1)));
        assert!(axis.cuts.is_empty());
    }

    #[test]
    fn a_long_silence_is_cut_out_and_said() {
        let axis = axis(&[0, 1_000, 901_000, 902_000]);
        assert_eq!(axis.cuts.len(), 1);
        assert_eq!(axis.cuts[0].ms, 900);
        assert!(axis.row(2) - axis.row(1) <= GAP_MAX);
    }

    #[test]
    fn a_moment_between_two_entries_lies_between_them() {
        let axis = axis(&[0, 10_000, 20_000]);
        let middle = axis.moment(15_000);
        assert!(axis.row(1) < middle && middle < axis.row(2));
        assert!(axis.moment(99_000) <= axis.bottom());
        assert!(axis.moment(0) >= 0.0);
    }
}

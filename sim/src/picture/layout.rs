//! The columns: the server in the middle, the clients to its left and right, so that
//! an arrow crosses as few lines of others as can be.

use super::scene::Line;

/// Where columns are, in pixels.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    clients: Vec<u32>,
    column: f64,
}

/// Room for the times.
const LEFT: f64 = 78.0;
/// Room for notes about the whole run.
const RIGHT: f64 = 300.0;
/// The server's column: room for arrows on both sides.
const SERVER: f64 = 190.0;

impl Layout {
    pub(super) fn new(clients: &[u32]) -> Self {
        let column = match clients.len() {
            0..=3 => 240.0,
            4..=6 => 180.0,
            7..=12 => 118.0,
            _ => 90.0,
        };
        Self { clients: clients.to_vec(), column }
    }

    /// Where the columns begin.
    pub(super) fn left(&self) -> f64 {
        LEFT
    }

    pub(super) fn width(&self) -> f64 {
        LEFT + self.clients.len() as f64 * self.column + SERVER + RIGHT
    }

    /// How many letters a label beside a line may have.
    pub(super) fn letters(&self) -> usize {
        match self.clients.len() {
            0..=3 => 32,
            4..=6 => 24,
            7..=12 => 15,
            _ => 11,
        }
    }

    fn left_clients(&self) -> usize {
        self.clients.len().div_ceil(2)
    }

    /// The height of a line's x; of an unknown client, the server's.
    pub(super) fn x(&self, line: Line) -> f64 {
        let left = self.left_clients();
        let server = LEFT + left as f64 * self.column + SERVER / 2.0;
        let Line::Client(client) = line else { return server };
        match self.clients.iter().position(|id| *id == client) {
            None => server,
            // Lines lie near the inner edge of their columns: texts are outside.
            Some(place) if place < left => LEFT + (place as f64 + 0.86) * self.column,
            Some(place) => server + SERVER / 2.0 + ((place - left) as f64 + 0.14) * self.column,
        }
    }

    /// On which side of a client's line its texts are: away from the server.
    pub(super) fn outward(&self, client: u32) -> f64 {
        if self.x(Line::Client(client)) < self.x(Line::Server) { -1.0 } else { 1.0 }
    }

    /// The left edge and the width of a line's column.
    pub(super) fn column(&self, line: Line) -> Option<(f64, f64)> {
        const MARGIN: f64 = 3.0;
        let left = self.left_clients();
        match line {
            Line::Server => Some((self.x(line) - 14.0, 28.0)),
            Line::Client(client) => {
                let place = self.clients.iter().position(|id| *id == client)?;
                let server = if place < left { 0.0 } else { SERVER };
                let x = LEFT + place as f64 * self.column + server;
                Some((x + MARGIN, self.column - 2.0 * MARGIN))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_in_their_columns_and_columns_do_not_overlap() {
        for count in 0..30 {
            let clients: Vec<u32> = (0..count).collect();
            let layout = Layout::new(&clients);
            let lines = clients.iter().map(|&client| Line::Client(client)).chain([Line::Server]);
            let mut columns: Vec<(f64, f64)> = Vec::new();
            for line in lines {
                let (left, width) = layout.column(line).expect("it is one of them");
                assert!((left..left + width).contains(&layout.x(line)), "{line:?} of {count}");
                columns.push((left, left + width));
            }
            columns.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(columns.is_sorted_by(|a, b| a.1 <= b.0), "{columns:?}");
            assert!(columns.iter().all(|&(left, right)| 0.0 < left && right < layout.width()));
        }
    }
}

//! `sim coverage`: which situations a fleet of seeds reaches, and how often.

use std::io::{self, Write};

use crate::application::Subject;
use crate::coverage::{Coverage, Situation};

use super::args::CoverageArgs;
use super::{CommandError, Outcome, fleet};

/// Runs the seeds and writes the table alone.
pub(super) fn run(
    subject: &dyn Subject,
    args: &CoverageArgs,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let summary = fleet::gather_all(subject, &args.seeds)?;
    if args.json {
        let text = serde_json::to_string(&summary.coverage).expect("its keys are names");
        writeln!(out, "{text}")?;
    } else {
        summary.write_seeds(out)?;
        write(subject, &summary.coverage, &summary.never_reached, out)?;
    }
    Ok(summary.outcome())
}

/// Writes the table, and what is missing in it.
pub(super) fn write(
    subject: &dyn Subject,
    coverage: &Coverage,
    never_reached: &[Situation],
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows: Vec<_> =
        coverage.rows().filter(|(it, _)| subject.situations().contains(it)).collect();
    let widths = rows.iter().map(|(it, _)| it.text().chars().count());
    let width = widths.max().unwrap_or_default();
    writeln!(out, "{:<width$} {:>8} {:>9}", "situation", "runs", "times")?;
    for (situation, reached) in rows {
        writeln!(out, "{:<width$} {:>8} {:>9}", situation.text(), reached.runs, reached.times)?;
    }
    for situation in never_reached {
        writeln!(out, "never reached: {}", situation.text())?;
    }
    Ok(())
}

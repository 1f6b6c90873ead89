//! What can be typed.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::plan::Substrate;
use crate::swarm::Profile;

/// What an exit code says.
const ENDINGS: &str = "Exit codes: 0 clean, 1 a guarantee is broken (or a mutant survives, or a \
    fleet of 1000 seeds misses a situation), 2 a mistake in the call, 3 not deterministic.";

/// Runs a server on parlor, with real Socket.IO clients, in a simulated network under faults.
#[derive(clap::Parser, Debug)]
#[command(version, after_help = ENDINGS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs many seeds and shows which rare situations they reach.
    Coverage(CoverageArgs),
    /// Runs every seed twice in one process and twice in others: all must agree.
    Determinism(DeterminismArgs),
    /// Runs many seeds; a failing one is told, shrunk and stored.
    Fleet(FleetArgs),
    /// Breaks the engine on purpose and shows which guarantee notices.
    Mutants(MutantsArgs),
    /// Runs a stored plan and says whether it still fails.
    Replay(ReplayArgs),
    /// Runs one seed.
    Run(RunArgs),
    /// Makes a failing plan small.
    Shrink(ShrinkArgs),
    /// Runs its share of the seeds of a fleet (started by a fleet).
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// How big plans are.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ProfileArgs {
    /// Most clients of a plan.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) clients: u16,

    /// Operations of each client.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) ops: u16,

    /// Whether the network and the server fail.
    #[arg(long, value_enum, default_value_t = Faults::Swarm)]
    pub(crate) profile: Faults,

    /// What carries the bytes; each seed draws it if this does not say.
    #[arg(long, value_enum)]
    pub(crate) substrate: Option<Carrier>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TCP in packets, which can be lost one by one and are sent again.
    Packets,
    /// Streams of whole writes.
    Turmoil,
}

impl From<Carrier> for Substrate {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Packets => Self::Packets,
            Carrier::Turmoil => Self::Turmoil,
        }
    }
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    /// Nothing fails; clients still come and go.
    Calm,
    /// Each seed draws which faults strike, and how often.
    Swarm,
}

impl From<&ProfileArgs> for Profile {
    fn from(args: &ProfileArgs) -> Self {
        Self {
            clients: args.clients.into(),
            operations: args.ops.into(),
            faults: args.profile == Faults::Swarm,
            substrate: args.substrate.map(Substrate::from),
            ..Self::default()
        }
    }
}

impl ProfileArgs {
    /// The same profile as arguments of another process.
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let profile = match self.profile {
            Faults::Calm => "calm",
            Faults::Swarm => "swarm",
        };
        let clients = format!("--clients={}", self.clients);
        let substrate = self.substrate.map(|carrier| match carrier {
            Carrier::Packets => "--substrate=packets".to_owned(),
            Carrier::Turmoil => "--substrate=turmoil".to_owned(),
        });
        let own = [clients, format!("--ops={}", self.ops), format!("--profile={profile}")];
        own.into_iter().chain(substrate).collect()
    }
}

/// What becomes of a failing plan.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FailingArgs {
    /// Where failing plans are stored.
    #[arg(long, default_value = "target/sim", value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// How many runs shrinking may take; 0 stores the plan as it is.
    #[arg(long, default_value_t = 3000, value_name = "RUNS")]
    pub(crate) shrink_runs: usize,
}

#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) seed: SeedArgs,

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    #[command(flatten)]
    pub(crate) failing: FailingArgs,

    /// Write the plan to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A seed, as an argument or as an option.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct SeedArgs {
    /// The seed that the plan is made from.
    #[arg(value_name = "SEED")]
    place: Option<u64>,

    /// The same.
    #[arg(long = "seed", value_name = "SEED")]
    option: Option<u64>,
}

impl SeedArgs {
    pub(crate) fn seed(self) -> u64 {
        self.place.or(self.option).expect("one of the group is required")
    }
}

#[derive(clap::Args, Debug)]
pub(crate) struct OutputArgs {
    /// Write the history to this file, one JSON object a line.
    #[arg(long, visible_alias = "trace", value_name = "FILE.jsonl")]
    pub(crate) history: Option<PathBuf>,

    /// Draw the run to this file: one page of HTML that any browser shows.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) timeline: Option<PathBuf>,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A plan as JSON.
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ShrinkArgs {
    /// A plan as JSON.
    pub(crate) file: PathBuf,

    /// Where the small plan goes.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Most runs it may take.
    #[arg(long, default_value_t = 3000)]
    pub(crate) runs: usize,

    /// The guarantee that the small plan must break too; the first one broken, by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) guarantee: Option<String>,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct MutantsArgs {
    /// Which ones, by the names of their patches; all by default.
    pub(crate) names: Vec<String>,

    /// How many seeds each one gets.
    #[arg(long, default_value_t = 200)]
    pub(crate) seeds: u64,

    /// How many processes run them.
    #[arg(long, default_value_t = NonZeroU64::MIN)]
    pub(crate) jobs: NonZeroU64,

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// Print a JSON object a line, one for each mutant.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Many seeds.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SeedsArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 1000, conflicts_with = "time")]
    pub(crate) seeds: u64,

    /// As many seeds as can be run in this time: 90s, 10m, 8h.
    #[arg(long, value_parser = duration)]
    pub(crate) time: Option<Duration>,

    /// The first seed; the same start runs the same plans [default: one not used before, by the clock].
    #[arg(long)]
    pub(crate) start: Option<u64>,

    /// How many processes.
    #[arg(long, default_value_t = NonZeroU64::MIN)]
    pub(crate) jobs: NonZeroU64,

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct FleetArgs {
    #[command(flatten)]
    pub(crate) seeds: SeedsArgs,

    #[command(flatten)]
    pub(crate) failing: FailingArgs,

    /// How many failing seeds are told and shrunk; all are counted.
    #[arg(long, default_value_t = 3, value_name = "SEEDS")]
    pub(crate) tell: usize,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct CoverageArgs {
    #[command(flatten)]
    pub(crate) seeds: SeedsArgs,

    /// Print the result as one JSON object: situation to runs and times.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct DeterminismArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    pub(crate) seeds: u64,

    /// The first seed.
    #[arg(long, default_value_t = 0)]
    pub(crate) start: u64,

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct WorkerArgs {
    /// The first seed.
    #[arg(long)]
    pub(crate) start: u64,

    /// How far apart this worker's seeds are.
    #[arg(long)]
    pub(crate) step: NonZeroU64,

    /// No seed reaches this.
    #[arg(long)]
    pub(crate) end: u64,

    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
}

/// A time with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a time is a whole number with its unit: 90s, 10m, 8h".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| format!("{digits:?} is no whole number"))?;
    let whole = count.checked_mul(seconds).filter(|&whole| whole > 0);
    whole.map(Duration::from_secs).ok_or_else(|| "a time is above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("8h"), Ok(Duration::from_secs(28_800)));
        for wrong in ["", "10", "s", "-1s", "1.5h", "0s", "5d", "99999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}

//! One run, from the first check to the report.
//!
//! This thread conducts: it starts the threads that carry clients, tells them all
//! to speak from one instant on, shows the progress, and takes the signals. It
//! touches no client itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::embedded::EmbeddedServer;
use crate::fleet::{self, Outcome};
use crate::message::Nonce;
use crate::options::Options;
use crate::preflight::{self, PreflightError};
use crate::progress::{Counters, Progress, Stage};
use crate::report::{Generator, Measured, Report, Run, Settings, Signal};
use crate::resources;
use crate::target::Target;

/// From the decision to speak to the first instant of the schedule: every
/// thread must have heard of it.
const LEAD: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(100);

/// Why there was no run. The message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot connect to {url}: {error}; is the server running, and is this its address?")]
    CannotConnect { url: String, error: io::Error },
    #[error("the embedded server does not start: {0}; name the URL of one that runs")]
    Embedded(io::Error),
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    #[error("the operating system refuses what a run needs: {0}")]
    System(io::Error),
}

impl RunError {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::CannotConnect { .. } | Self::Embedded(_) => crate::EXIT_CANNOT_CONNECT,
            Self::Preflight(_) => crate::EXIT_USAGE,
            Self::System(_) => crate::EXIT_INVALID,
        }
    }
}

/// What every thread of a run is told, and may change its mind about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Connect and join.
    Gather,
    /// Keep the schedule, which begins at this instant.
    Speak { start: Instant },
    /// Send nothing more; drain, disconnect, and yield what was measured.
    Stop,
}

/// What a thread tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Each of its clients has joined or failed.
    Gathered,
    /// Its schedule has come to its end.
    Spoken,
}

/// What every thread of a run is given.
#[derive(Clone)]
pub(crate) struct Brief {
    pub(crate) options: Arc<Options>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) address: SocketAddr,
    /// The HTTP `Host` header.
    pub(crate) authority: String,
    pub(crate) nonce: Nonce,
    /// Zero of the run's clock.
    pub(crate) zero: Instant,
    pub(crate) commands: watch::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Event>,
}

/// Runs what `options` ask for.
///
/// # Errors
///
/// There was no run at all. One that began always yields a report.
pub(crate) fn run(options: Options) -> Result<Report, RunError> {
    preflight::check(options.plan.clients, &options.session.transport)?;
    let embedded = match options.target {
        Some(_) => None,
        None => Some(EmbeddedServer::start(&options.session).map_err(RunError::Embedded)?),
    };
    let target = match (&options.target, &embedded) {
        (Some(target), _) => target.clone(),
        (None, Some(server)) => Target::local(server.address),
        (None, None) => unreachable!("without a target there is an embedded server"),
    };
    let address = reach(&target, options.timeout)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::System)?;
    let measured =
        runtime.block_on(conduct(options, &target, address)).map_err(RunError::System)?;
    Ok(Report::new(measured))
}

/// Looks the server up and makes one connection to it, which is closed at
/// once: a run against nobody ends here.
fn reach(target: &Target, timeout: Duration) -> Result<SocketAddr, RunError> {
    let reached = target.resolve().and_then(|address| {
        std::net::TcpStream::connect_timeout(&address, timeout)?;
        Ok(address)
    });
    reached.map_err(|error| RunError::CannotConnect { url: target.to_string(), error })
}

/// The conductor's own state.
struct Conductor {
    command: watch::Sender<Command>,
    counters: Arc<Counters>,
    options: Arc<Options>,
    gathered: u32,
    stage: Stage,
    stopped_by: Option<Signal>,
    speaking: Option<Speaking>,
}

/// From the first instant of the schedule to its end.
#[derive(Clone, Copy, Debug)]
struct Speaking {
    start: Instant,
    cpu_before: Duration,
    /// How long it took, and the CPU time; once it is over.
    took: Option<(Duration, Duration)>,
}

async fn conduct(options: Options, target: &Target, address: SocketAddr) -> io::Result<Measured> {
    let options = Arc::new(options);
    let counters = Arc::new(Counters::default());
    let (command, commands) = watch::channel(Command::Gather);
    let (events, mut heard) = mpsc::channel(2 * options.threads as usize);
    let brief = Brief {
        options: Arc::clone(&options),
        counters: Arc::clone(&counters),
        address,
        authority: target.authority(),
        nonce: Nonce::random(),
        zero: Instant::now(),
        commands,
        events,
    };
    let run = describe(&brief, target);
    let threads = start_threads(brief)?;
    let mut conductor = Conductor {
        command,
        counters,
        gathered: 0,
        stage: Stage::Gathering { clients: options.plan.clients },
        stopped_by: None,
        speaking: None,
        options,
    };
    conductor.attend(&mut heard, &format!("measuring {target}")).await?;
    let mut outcome = Outcome::default();
    for thread in threads {
        outcome.merge(thread.join().expect("a thread of clients does not panic")?);
    }
    Ok(conductor.measured(run, outcome))
}

fn start_threads(brief: Brief) -> io::Result<Vec<JoinHandle<io::Result<Outcome>>>> {
    (0..brief.options.threads)
        .map(|thread| {
            let brief = brief.clone();
            std::thread::Builder::new()
                .name(format!("clients-{thread}"))
                .spawn(move || fleet::run_thread(brief, thread))
        })
        .collect()
}

fn describe(brief: &Brief, target: &Target) -> Run {
    Run {
        loadgen_version: env!("CARGO_PKG_VERSION"),
        url: target.to_string(),
        embedded: brief.options.target.is_none(),
        started_at_ms: unix_ms(),
        nonce: brief.nonce.to_string(),
        sending_s: 0.0,
        stopped_by: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "a report says at what time of day it was made")]
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Conductor {
    /// Conducts until every thread has let go of its end of the channel.
    async fn attend(&mut self, heard: &mut mpsc::Receiver<Event>, heading: &str) -> io::Result<()> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let mut progress = Progress::new(self.options.quiet, heading);
        let mut ticks = tokio::time::interval(TICK);
        loop {
            // Signals first: a busy run must not outlive them. The progress
            // waits for everything else.
            tokio::select! {
                biased;
                Some(()) = interrupts.recv() => self.stop(Signal::Sigint),
                Some(()) = terminations.recv() => self.stop(Signal::Sigterm),
                event = heard.recv() => match event {
                    Some(event) => self.hear(event),
                    None => break,
                },
                _ = ticks.tick() => progress.tick(self.stage, &self.counters),
            }
        }
        progress.finish();
        Ok(())
    }

    /// The first signal ends the run early, the second one at once.
    fn stop(&mut self, by: Signal) {
        if self.stopped_by.is_some() {
            let code = match by {
                Signal::Sigint => crate::EXIT_SIGINT,
                Signal::Sigterm => crate::EXIT_SIGTERM,
            };
            std::process::exit(i32::from(code));
        }
        self.stopped_by = Some(by);
        self.end_speaking();
        self.command.send_replace(Command::Stop);
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Gathered => {
                self.gathered += 1;
                let all = self.gathered == self.options.threads;
                if all && self.stopped_by.is_none() {
                    self.begin_speaking();
                }
            }
            Event::Spoken => self.end_speaking(),
        }
    }

    fn begin_speaking(&mut self) {
        if self.counters.joined.total() == 0 {
            self.command.send_replace(Command::Stop);
            return;
        }
        let start = Instant::now() + LEAD;
        let duration = self.options.plan.duration;
        self.stage = Stage::Speaking { start, duration };
        self.speaking = Some(Speaking { start, cpu_before: resources::process_cpu(), took: None });
        self.command.send_replace(Command::Speak { start });
    }

    fn end_speaking(&mut self) {
        self.stage = Stage::Draining;
        if let Some(speaking) = self.speaking.as_mut().filter(|speaking| speaking.took.is_none()) {
            let time = speaking.start.elapsed();
            speaking.took = Some((time, resources::process_cpu() - speaking.cpu_before));
        }
    }

    fn measured(self, mut run: Run, outcome: Outcome) -> Measured {
        let took = self.speaking.and_then(|speaking| speaking.took);
        let (time, cpu) = took.unwrap_or_default();
        run.sending_s = time.as_secs_f64();
        run.stopped_by = self.stopped_by;
        let generator = Generator {
            cpu_cores: if time.is_zero() { 0.0 } else { cpu.as_secs_f64() / time.as_secs_f64() },
            busiest_thread_cores: outcome.busiest_thread_cores,
            cpu_total_s: resources::process_cpu().as_secs_f64(),
            memory_max_bytes: resources::memory_max_bytes(),
        };
        Measured {
            run,
            settings: Settings::from(&*self.options),
            clients: outcome.clients,
            messages: outcome.messages,
            deliveries: outcome.deliveries,
            recorder: outcome.recorder,
            generator,
            errors: outcome.errors,
            violations: outcome.violations,
        }
    }
}

//! What a world is run for: an [`Application`] of somebody's own, or the built-in
//! [`chat`](crate::chat). Both are a [`Subject`], which is all that the rest of the
//! library knows of them.

mod calls;

use std::rc::Rc;

use parlor::Io;

use crate::cleanup;
use crate::coverage::Situation;
use crate::dice::Dice;
use crate::foreign::Program;
use crate::heals;
use crate::heartbeat;
use crate::history::History;
use crate::judge::{Counts, Failure, Judgement, illegal};
use crate::plan::{Plan, Say};
use crate::swarm::{Profile, scripted};

pub use calls::{Answer, Call, calls};

/// Registers the handlers of one start of a server, once on each of its shards.
pub type Handlers = Rc<dyn Fn(&mut Io)>;

/// The server of one run: asked for new handlers at each of its starts, of which it is told
/// the number. What it holds outlives a crash, as a database does; what the handlers
/// alone hold does not.
pub type Server = Box<dyn FnMut(u64) -> Handlers>;

/// An application on parlor, its clients, and what must be true of it.
///
/// All of it must follow from its arguments alone: see [the library's page](crate).
pub trait Application {
    /// Its name: one word, which plans carry.
    fn name(&self) -> &str;

    /// The server of one run, in the state that every run begins with.
    fn server(&self) -> Server;

    /// What a client says in one run: about `operations` events. When each is said, and
    /// what goes wrong meanwhile, is drawn elsewhere.
    fn script(&self, dice: &mut Dice, client: u32, operations: usize) -> Vec<Say>;

    /// What is wrong with what happened; nothing if all is well.
    fn invariant(&self, history: &History) -> Vec<Failure>;

    /// What a client says first over each of its connections.
    fn opening(&self, client: u32) -> Vec<Say> {
        let _ = client;
        Vec::new()
    }

    /// What a client says when all faults are over and everybody is back, for an
    /// invariant that compares what is left.
    fn probe(&self, client: u32) -> Vec<Say> {
        let _ = client;
        Vec::new()
    }

    /// What people type to run this program, for the commands that are printed.
    fn command(&self) -> String {
        let program = std::env::current_exe().map(|path| path.display().to_string());
        program.unwrap_or_else(|_| self.name().to_owned())
    }
}

/// Something that worlds are run for.
pub trait Subject {
    /// What plans call it; the chat has no name.
    fn application(&self) -> Option<&str>;

    /// What people type to run its program.
    fn command(&self) -> String;

    /// Judges a whole history, at quiescence.
    fn judge(&self, plan: &Plan, history: &History) -> Judgement;

    /// The plan of a seed: the same for the same seed and profile.
    fn plan(&self, seed: u64, profile: &Profile) -> Plan;

    /// What runs on the server's host in one run.
    fn program(&self) -> Program;

    /// Whether the same plan gives the same history each time. Parlor does; a server with
    /// randomness of its own does not, and then a plan counts as failing if most of a few
    /// runs fail.
    fn replays_exactly(&self) -> bool {
        true
    }

    /// The situations that a big fleet must reach.
    fn situations(&self) -> &'static [Situation];
}

impl<A: Application> Subject for A {
    fn application(&self) -> Option<&str> {
        Some(self.name())
    }

    fn command(&self) -> String {
        Application::command(self)
    }

    /// What holds for every application comes first: nobody is put out, everybody comes back,
    /// the silent are noticed, and nothing is left of those who have gone.
    fn judge(&self, plan: &Plan, history: &History) -> Judgement {
        let mut failures = illegal(history);
        failures.extend(heals::check(history));
        failures.extend(heartbeat::check(plan, history));
        failures.extend(cleanup::check(history));
        failures.extend(self.invariant(history));
        let connections = history.connections().count() as u64;
        Judgement { failures, counts: Counts { connections, ..Counts::default() } }
    }

    fn plan(&self, seed: u64, profile: &Profile) -> Plan {
        scripted(self, seed, profile)
    }

    fn program(&self) -> Program {
        Program::Parlor(self.server())
    }

    fn situations(&self) -> &'static [Situation] {
        &[Situation::ReconnectUnderFaults]
    }
}

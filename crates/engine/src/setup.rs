//! What a model consists of.

/// The code of a process.
pub type Body = Box<dyn FnOnce()>;

/// The processes and the final check of one execution, which a model sets up.
#[derive(Default)]
pub struct Setup {
    pub(crate) processes: Vec<Process>,
    pub(crate) verify: Option<Body>,
    pub(crate) rechecks: bool,
}

pub(crate) struct Process {
    pub body: Body,
    /// What the kernel does after the death of the process, if the process may die.
    pub after_death: Option<Body>,
}

impl Setup {
    /// Adds a process. At most [`MAX_PROCESSES`](crate::MAX_PROCESSES).
    pub fn process(&mut self, body: impl FnOnce() + 'static) {
        self.processes.push(Process {
            body: Box::new(body),
            after_death: None,
        });
    }

    /// Adds a process that may die before each of its steps. After its death, `after_death` runs in
    /// its place, as the kernel does with the robust list of a dead process.
    ///
    /// The destructors of the values that the process owned run after the end of the execution,
    /// where they change nothing.
    pub fn mortal_process(
        &mut self,
        body: impl FnOnce() + 'static,
        after_death: impl FnOnce() + 'static,
    ) {
        self.processes.push(Process {
            body: Box::new(body),
            after_death: Some(Box::new(after_death)),
        });
    }

    /// Lets sleepers recheck after the death of a process: when no process can run, and a word was
    /// written since the last recheck, each sleep ends of which a watched word has changed. See
    /// [`Atomic::wait_watching`](crate::Atomic::wait_watching).
    pub fn recheck_after_deaths(&mut self) {
        self.rechecks = true;
    }

    /// Sets the function that checks the final state. It runs after every process has ended, and
    /// reads the last value of each location.
    pub fn verify(&mut self, check: impl FnOnce() + 'static) {
        self.verify = Some(Box::new(check));
    }
}

//! What a scenario lets loom choose besides the order of the steps.

/// The events that loom may choose in an execution, in addition to the order of the processes'
/// steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScenarioConfig {
    /// The maximum number of binary choices.
    pub choices: usize,
    /// The number of waits that may be interrupted in each process.
    pub interruptions: usize,
    /// The number of weak compare-exchanges that may fail spuriously in each process: its first
    /// weak compare-exchanges.
    pub spurious_failures: usize,
    /// The number of waits that may spin or not in each process: its first waits. If it is 0, the
    /// first wait of each process spins.
    pub spins: usize,
    /// Whether the kernel may refuse the heavy barrier to each process.
    pub may_lack_barrier: bool,
    /// Whether sleepers recheck after the death of a process.
    pub rechecks: bool,
}

/// The number of waits per process for which loom chooses whether they are interrupted. The model
/// fails if all processes together wait more often.
const MAX_INTERRUPTIBLE_WAITS: usize = 8;

/// Returns the number of binary choices that an execution with this number of processes may need.
pub fn total_choices(config: ScenarioConfig, processes: usize) -> usize {
    let interruptible = match config.interruptions {
        0 => 0,
        _ => MAX_INTERRUPTIBLE_WAITS,
    };
    let of_process = interruptible
        + config.spurious_failures
        + config.spins
        + usize::from(config.may_lack_barrier);
    config.choices + of_process * processes
}

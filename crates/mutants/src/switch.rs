
/// Returns whether this mutant is active.
///
/// The environment variable `INTERLATCH_MUTANT` contains the number of the active mutant. If
/// `INTERLATCH_REACHED` names a file, the numbers of the mutants that the process reaches are
/// appended to this file.
#[inline]
pub(crate) fn is_active(mutant: u32) -> bool {
    switch::is_active(mutant)
}

mod switch {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

    const UNKNOWN: u32 = u32::MAX;
    const RECORDS: u32 = u32::MAX - 1;
    static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
    static REACHED: [AtomicBool; super::MUTANTS] =
        [const { AtomicBool::new(false) }; super::MUTANTS];

    #[inline]
    pub(super) fn is_active(mutant: u32) -> bool {
        match ACTIVE.load(Relaxed) {
            RECORDS | UNKNOWN => is_active_slow(mutant),
            active => active == mutant,
        }
    }

    #[cold]
    fn is_active_slow(mutant: u32) -> bool {
        if ACTIVE.load(Relaxed) == UNKNOWN {
            let number = std::env::var("INTERLATCH_MUTANT").unwrap_or_default();
            let active = match std::env::var_os("INTERLATCH_REACHED") {
                Some(_) => RECORDS,
                None => number.parse().unwrap_or(0),
            };
            ACTIVE.store(active, Relaxed);
            return is_active(mutant);
        }
        if !REACHED[mutant as usize].swap(true, Relaxed)
            && let Some(name) = std::env::var_os("INTERLATCH_REACHED")
            && let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(name)
        {
            let _ = file.write_all(format!("{mutant}\n").as_bytes());
        }
        false
    }
}

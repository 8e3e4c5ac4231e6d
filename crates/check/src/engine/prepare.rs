//! Applies the settings of the model platform: the weakened site, the recording of sites, and the
//! optimizations.

use super::{Setup, Site};
use interlatch::platform::model::backend::{self, Backend};
use interlatch::platform::model::weakening::{self, Change, Weakening};
use interlatch::platform::model::{stacks, unwinding, world};

/// Applies the settings to the model platform of this process.
pub(crate) fn prepare(setup: &Setup<'_>) -> Result<(), String> {
    match setup.stock {
        true => stacks::disable_reuse(),
        false => unwinding::enable(),
    }
    if setup.ours {
        backend::select(Backend::Graphs);
    }
    if setup.collect_sites {
        world::collect_sites();
    }
    if let Some(site) = setup.weaken_site {
        let parsed = parse(site).ok_or_else(|| format!("{site:?}: expected FILE:LINE:CHANGE"))?;
        weakening::set(parsed);
    }
    Ok(())
}

fn parse(site: &str) -> Option<Weakening> {
    let mut parts = site.rsplitn(3, ':');
    let name = parts.next()?;
    let change = Change::ALL
        .into_iter()
        .find(|change| change.name() == name)?;
    let line = parts.next()?.parse().ok()?;
    let file = parts.next()?.to_owned();
    Some(Weakening { file, line, change })
}

/// Returns the source lines (sites) that the executions passed, each with its possible weakenings.
pub(crate) fn sites() -> Vec<Site> {
    let sites = world::findings().sites.into_iter();
    let sites = sites.map(|(file, line, change)| Site {
        file,
        line,
        change: change.name().to_owned(),
    });
    sites.collect()
}

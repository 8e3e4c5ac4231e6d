//! Models that are made from the scenario lists of the contract.

use interlatch::ShmSafe;
use interlatch_check::{Model, Scenario, Stage};

/// A stage that makes a model of each scenario.
///
/// Each scenario of a list becomes a model, so a new scenario cannot be forgotten. The model
/// explores every execution, unless [`bounded`](Self::bounded) or
/// [`at_another_size`](Self::at_another_size) names the scenario.
///
/// A scenario is named by its property, or by `property/processes` if the list has the property for
/// several numbers of processes.
pub struct Collector {
    primitive: String,
    rules: Vec<Rule>,
    models: Vec<Model>,
    left_out: Vec<String>,
}

struct Rule {
    scenario: &'static str,
    /// The smallest preemption bound to which the scenario is explored, or `None` if the scenario
    /// is left out.
    at_least: Option<usize>,
    is_used: bool,
}

impl Collector {
    /// Creates a collector for the models of a primitive.
    pub fn new(primitive: &str) -> Self {
        Self {
            primitive: primitive.to_owned(),
            rules: Vec::new(),
            models: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Explores the named scenarios by increasing preemption bounds, at least up to the bound
    /// `at_least`.
    pub fn bounded(self, at_least: usize, scenarios: &[&'static str]) -> Self {
        self.with_rules(Some(at_least), scenarios)
    }

    /// Leaves out the named scenarios, because the same primitive runs them at another size.
    ///
    /// [`finish_sizes`] checks that each scenario runs at another size.
    pub fn at_another_size(self, scenarios: &[&'static str]) -> Self {
        self.with_rules(None, scenarios)
    }

    fn with_rules(mut self, at_least: Option<usize>, scenarios: &[&'static str]) -> Self {
        self.rules.extend(scenarios.iter().map(|scenario| Rule {
            scenario,
            at_least,
            is_used: false,
        }));
        self
    }

    /// Returns the models.
    ///
    /// # Panics
    /// Panics if a rule names no scenario of the list, or a scenario was left out.
    pub fn finish(self) -> Vec<Model> {
        finish_sizes([self])
    }
}

impl Stage for Collector {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let name = format!("{}/{}", scenario.name, scenario.participants.len());
        let rule = (self.rules.iter_mut())
            .find(|rule| rule.scenario == scenario.name || rule.scenario == name);
        let model = Model::new(&self.primitive, move || scenario.clone());
        match rule {
            None => self.models.push(model),
            Some(rule) => {
                rule.is_used = true;
                match rule.at_least {
                    Some(at_least) => self.models.push(model.bounded(at_least)),
                    None => self.left_out.push(name),
                }
            }
        }
    }
}

/// Returns the models of one primitive at several sizes.
///
/// # Panics
/// Panics if a rule names no scenario of its list, or a scenario was left out at every size.
pub fn finish_sizes<const N: usize>(sizes: [Collector; N]) -> Vec<Model> {
    for size in &sizes {
        let unused = size.rules.iter().find(|rule| !rule.is_used);
        if let Some(Rule { scenario, .. }) = unused {
            panic!("{}: no scenario has the name {scenario}", size.primitive);
        }
        for scenario in &size.left_out {
            let is_modelled = (sizes.iter().flat_map(|size| &size.models)).any(|model| {
                model
                    .name
                    .split_once('/')
                    .is_some_and(|(_, name)| name.starts_with(scenario))
            });
            assert!(
                is_modelled,
                "{}: no size has a model of {scenario}",
                size.primitive
            );
        }
    }
    sizes.into_iter().flat_map(|size| size.models).collect()
}

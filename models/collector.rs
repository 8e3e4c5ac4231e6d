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

/// What the list of models says about a scenario.
struct Rule {
    scenario: &'static str,
    setting: Setting,
    is_used: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// The preemption bounds rise at least to this bound.
    Bounded(usize),
    AtAnotherSize,
    /// A second model has an interruption of each process, up to this preemption bound.
    AlsoInterrupted(usize),
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
        self.with_rules(Setting::Bounded(at_least), scenarios)
    }

    /// Leaves out the named scenarios, because the same primitive runs them at another size.
    ///
    /// [`finish_sizes`] checks that each scenario runs at another size.
    pub fn at_another_size(self, scenarios: &[&'static str]) -> Self {
        self.with_rules(Setting::AtAnotherSize, scenarios)
    }

    /// Explores the named scenarios a second time, with an interruption of each process, up to the
    /// preemption bound `at_most`.
    pub fn also_interrupted(self, at_most: usize, scenarios: &[&'static str]) -> Self {
        self.with_rules(Setting::AlsoInterrupted(at_most), scenarios)
    }

    fn with_rules(mut self, setting: Setting, scenarios: &[&'static str]) -> Self {
        self.rules.extend(scenarios.iter().map(|scenario| Rule {
            scenario,
            setting,
            is_used: false,
        }));
        self
    }

    /// Returns what the rules say about a scenario.
    fn settings<S>(&mut self, scenario: &Scenario<S>) -> Vec<Setting> {
        let name = name_of(scenario);
        let mut settings = Vec::new();
        for rule in &mut self.rules {
            if rule.scenario == scenario.name || rule.scenario == name {
                rule.is_used = true;
                settings.push(rule.setting);
            }
        }
        settings
    }

    /// Returns the models.
    ///
    /// # Panics
    /// Panics if a rule names no scenario of the list, or a scenario was left out.
    pub fn finish(self) -> Vec<Model> {
        finish_sizes([self])
    }
}

fn name_of<S>(scenario: &Scenario<S>) -> String {
    format!("{}/{}", scenario.name, scenario.participants.len())
}

impl Stage for Collector {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let settings = self.settings(&scenario);
        if settings.contains(&Setting::AtAnotherSize) {
            self.left_out.push(name_of(&scenario));
            return;
        }
        let primitive = self.primitive.clone();
        let model = |scenario: Scenario<S>| Model::new(&primitive, move || scenario.clone());
        let first = model(scenario.clone());
        let bound = settings.iter().find_map(|setting| match setting {
            Setting::Bounded(at_least) => Some(*at_least),
            _ => None,
        });
        self.models.push(match bound {
            None => first,
            Some(at_least) => first.bounded(at_least),
        });
        for setting in settings {
            if let Setting::AlsoInterrupted(at_most) = setting {
                let second = model(scenario.clone().interruptions(1));
                self.models.push(second.up_to(at_most));
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

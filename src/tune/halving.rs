//! Successive halving: many settings are tried on a short budget, the best third of them on one three times as
//! long (Karnin, Koren, Somekh: *Almost Optimal Exploration in Multi-Armed Bandits*, ICML 2013; Jamieson,
//! Talwalkar: *Non-stochastic Best Arm Identification and Hyperparameter Optimization*, AISTATS 2016).

use serde::{Deserialize, Serialize};

/// One of so many settings goes on to the next rung, which is so many times as long.
pub const ETA: usize = 3;

/// How long the trials of a rung are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// A ninth of a training.
    Ninth,
    /// A third.
    Third,
    /// The whole.
    Full,
}

impl Rung {
    const ALL: [Rung; 3] = [Rung::Ninth, Rung::Third, Rung::Full];

    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Ninth => "ninth",
            Rung::Third => "third",
            Rung::Full => "full",
        }
    }

    /// How long its trials are, as people say it.
    pub fn shown(self) -> &'static str {
        match self {
            Rung::Ninth => "for a ninth of a training",
            Rung::Third => "for a third of a training",
            Rung::Full => "in full",
        }
    }

    /// Which part of a training it is: one of so many.
    pub fn divisor(self) -> usize {
        match self {
            Rung::Ninth => ETA * ETA,
            Rung::Third => ETA,
            Rung::Full => 1,
        }
    }

    /// What is left of so many epochs or images.
    pub fn of(self, units: usize) -> usize {
        units.div_ceil(self.divisor())
    }

    /// The rungs that differ for a training of so many epochs or images, each with at least so many.
    pub fn ladder(units: usize, least: usize) -> Vec<Rung> {
        let differs = |(place, rung): &(usize, &Rung)| {
            let next = Rung::ALL.get(place + 1);
            next.is_none_or(|next| rung.of(units) >= least && rung.of(units) < next.of(units))
        };
        Rung::ALL.iter().enumerate().filter(differs).map(|(_, rung)| *rung).collect()
    }
}

/// How many settings, beside the recipe's own, are tried on each rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The rungs, the shortest first and the full one last.
    pub rungs: Vec<(Rung, usize)>,
}

/// What trials take, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Of every trial, however short: the start, the data, the evaluation.
    pub fixed: f64,
    /// Of a full training of the recipe's own setting.
    pub full: f64,
}

impl Cost {
    /// Of a trial on a rung whose training is `length` times as long as that of the recipe.
    pub fn of(&self, rung: Rung, length: f64) -> f64 {
        self.fixed + self.full * length / rung.divisor() as f64
    }
}

impl Plan {
    /// The plan of the most settings that fit in `seconds`, with as many rungs as are of use: so many that each
    /// rung drops some. None where not even one setting can be tried in full.
    ///
    /// `lengths` are those of the settings in their order, relative to the recipe's; there are no more settings.
    pub fn new(rungs: &[Rung], cost: Cost, lengths: &[f64], seconds: f64) -> Option<Self> {
        (0..rungs.len()).find_map(|first| {
            let rungs = &rungs[first..];
            let least = ETA.pow(rungs.len() as u32 - 1);
            let fits = |settings: &usize| Self::seconds(rungs, cost, &lengths[..*settings]) <= seconds;
            let settings = (least..=lengths.len()).rev().find(fits)?;
            Some(Self { rungs: rungs.iter().copied().zip(survivors(settings)).collect() })
        })
    }

    /// Whether it is a plan for these rungs and so many settings at most.
    pub fn fits(&self, rungs: &[Rung], most: usize) -> bool {
        let own: Vec<Rung> = self.rungs.iter().map(|(rung, _)| *rung).collect();
        let counts = self.rungs.iter().map(|(_, count)| *count);
        let falls = counts.clone().zip(counts.clone().skip(1)).all(|(more, fewer)| fewer <= more);
        !own.is_empty()
            && rungs.ends_with(&own)
            && falls
            && counts.clone().all(|count| (1..=most).contains(&count))
    }

    /// Settings on the first rung.
    pub fn settings(&self) -> usize {
        self.rungs[0].1
    }

    /// What trying settings of these lengths takes, where those that go on are as long as all are on average.
    fn seconds(rungs: &[Rung], cost: Cost, lengths: &[f64]) -> f64 {
        let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
        let counts = survivors(lengths.len());
        rungs.iter().zip(counts).map(|(rung, count)| count as f64 * cost.of(*rung, mean)).sum()
    }

    /// What the whole plan takes, of settings of these lengths.
    pub fn takes(&self, cost: Cost, lengths: &[f64]) -> f64 {
        let rungs: Vec<Rung> = self.rungs.iter().map(|(rung, _)| *rung).collect();
        Self::seconds(&rungs, cost, &lengths[..self.settings()])
    }
}

/// How many of so many settings are on the first rung, the second, …
fn survivors(settings: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(settings), |settings| Some((settings / ETA).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { fixed: 1.0, full: 9.0 };

    #[test]
    fn rungs_are_those_that_differ() {
        assert_eq!(Rung::ladder(20, 1), Rung::ALL);
        assert_eq!(Rung::ALL.map(|rung| rung.of(20)), [3, 7, 20]);
        assert_eq!(Rung::ladder(2, 1), [Rung::Third, Rung::Full]);
        assert_eq!(Rung::ladder(1, 1), [Rung::Full]);
        assert_eq!(Rung::ladder(1000, 200), [Rung::Third, Rung::Full]);
        assert_eq!(Rung::ladder(38, 200), [Rung::Full]);
    }

    #[test]
    fn a_plan_uses_the_budget_and_no_more() {
        // By hand: a ninth takes 2 s, a third 4 s, a full trial 10 s. 9 settings: 18 + 3 · 4 + 10 = 40 s.
        let plan = |seconds: f64, most: usize| Plan::new(&Rung::ALL, COST, &vec![1.0; most], seconds);
        let rungs = |plan: Option<Plan>| plan.unwrap().rungs;
        assert_eq!(rungs(plan(40.0, 200)), [(Rung::Ninth, 9), (Rung::Third, 3), (Rung::Full, 1)]);
        // Too little for three rungs: 6 settings on two, 24 + 2 · 10 = 44 > 39, so 5: 20 + 10.
        assert_eq!(rungs(plan(39.0, 200)), [(Rung::Third, 5), (Rung::Full, 1)]);
        assert_eq!(rungs(plan(21.0, 200)), [(Rung::Full, 2)]);
        assert_eq!(plan(9.9, 200), None);
        // No more settings than there are, and then no rung that drops none.
        assert_eq!(rungs(plan(1e9, 2)), [(Rung::Full, 2)]);
        assert_eq!(rungs(plan(1e9, 30)), [(Rung::Ninth, 30), (Rung::Third, 10), (Rung::Full, 3)]);
        let three = plan(40.0, 200).unwrap();
        assert_eq!(three.takes(COST, &[1.0; 200]), 40.0);
        assert!(three.fits(&Rung::ALL, 9) && !three.fits(&Rung::ALL, 8) && !three.fits(&[Rung::Full], 9));
        assert!(!Plan { rungs: Vec::new() }.fits(&Rung::ALL, 9));
    }

    #[test]
    fn longer_trainings_leave_room_for_fewer() {
        let settings =
            |length: f64| Plan::new(&Rung::ALL, COST, &vec![length; 500], 100.0).unwrap().settings();
        assert!(settings(0.5) > settings(1.0) && settings(1.0) > settings(2.0));
    }
}

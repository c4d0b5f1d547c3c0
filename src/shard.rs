//! Shards: the part of a work, such as a sweep's cells or a list's images, that one machine or one task of an array does.
//!
//! `--shard I/N` says it outright. Otherwise the array index that a scheduler gives its tasks is
//! used: Slurm's job arrays, AWS Batch's array jobs, Kubernetes' indexed jobs. The last come without
//! a count, which `--shard N` then gives.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// One of `count` parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    /// The variable that said so, if it was not the command line.
    pub variable: Option<&'static str>,
}

impl Shard {
    /// The shard that `--shard` and the environment say; `None` means everything.
    ///
    /// # Errors
    /// [`Error::Usage`] for a number that is none or out of range, or an index without a count.
    pub fn choose(flag: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        if let Some((index, count)) = flag.and_then(|flag| flag.split_once('/')) {
            let flag = flag.unwrap_or_default();
            let shard = Self { index: of_flag(flag, index)?, count: of_flag(flag, count)?, variable: None };
            return shard.checked(&format!("--shard {flag}")).map(Some);
        }
        let count = flag.map(|flag| of_flag(flag, flag)).transpose()?;
        match (array_task(&env)?, count) {
            (None, None) => Ok(None),
            (None, Some(count)) => Err(usage(format!(
                "--shard {count} says how many shards there are, but not which this is, and no variable of Slurm, AWS Batch or Kubernetes does"
            ))),
            (Some(task), count) => task.shard(count).map(Some),
        }
    }

    /// What `--shard` says, if it is given: `I/N`, or `array` or `N` in an array of tasks. A work that other tasks of an
    /// array may do for other runs is never cut for the environment's sake alone.
    ///
    /// # Errors
    /// Those of [`choose`](Self::choose); `array` where there is none.
    pub fn asked_for(flag: Option<&str>) -> Result<Option<Self>> {
        let env = |name: &str| std::env::var(name).ok();
        match flag {
            None => Ok(None),
            Some("array") => match Self::choose(None, env)? {
                Some(shard) => Ok(Some(shard)),
                None => {
                    Err(usage("--shard array: no variable of Slurm, AWS Batch or Kubernetes is set".into()))
                }
            },
            flag => Self::choose(flag, env),
        }
    }

    /// Whether the one with this number belongs to it, where each gets every `count`th: neighbors take equally long.
    pub fn contains(self, number: usize) -> bool {
        number % self.count == self.index
    }

    /// What belongs to it of `total`, where each gets a stretch, and no two differ by more than one.
    pub fn range(self, total: usize) -> std::ops::Range<usize> {
        let begin = |index: usize| (total as u128 * index as u128 / self.count as u128) as usize;
        begin(self.index)..begin(self.index + 1)
    }

    /// The name of its part of a file: `scores.csv` becomes `scores-00002-of-00016.csv`.
    pub fn part_of(self, path: &Path) -> PathBuf {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = path.extension().map_or(String::new(), |it| format!(".{}", it.to_string_lossy()));
        path.with_file_name(format!("{stem}-{:05}-of-{:05}{extension}", self.index, self.count))
    }

    fn checked(self, said: &str) -> Result<Self> {
        if self.index < self.count {
            return Ok(self);
        }
        Err(usage(format!("{said}: there is no shard {} of {}", self.index, self.count)))
    }
}

/// The place of this process among the tasks of an array.
struct Task {
    variable: &'static str,
    index: usize,
    count: Option<usize>,
}

impl Task {
    fn shard(self, said: Option<usize>) -> Result<Shard> {
        let Self { variable, index, count } = self;
        let count = match (count, said) {
            (Some(count), Some(said)) if count != said => {
                return Err(usage(format!("--shard {said}, but the array of {variable} has {count} tasks")));
            }
            (Some(count), _) | (None, Some(count)) => count,
            (None, None) => {
                return Err(usage(format!(
                    "{variable} says which shard this is, but not of how many; pass --shard N"
                )));
            }
        };
        let shard = Shard { index, count, variable: Some(variable) };
        shard.checked(&format!("{variable}, counted from 0, is {index}"))
    }
}

/// What the scheduler says, the first of those that say anything.
fn array_task(env: &impl Fn(&str) -> Option<String>) -> Result<Option<Task>> {
    let number = |variable: &str| of_variable(variable, env(variable));
    if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
        return slurm_task(id, number).map(Some);
    }
    if let Some(index) = number("AWS_BATCH_JOB_ARRAY_INDEX")? {
        let count = number("AWS_BATCH_JOB_ARRAY_SIZE")?;
        return Ok(Some(Task { variable: "AWS_BATCH_JOB_ARRAY_INDEX", index, count }));
    }
    let index = number("JOB_COMPLETION_INDEX")?;
    Ok(index.map(|index| Task { variable: "JOB_COMPLETION_INDEX", index, count: None }))
}

/// `--array=3-9:2` gives the identifiers 3, 5, 7 and 9: shards 0 to 3 of 4.
fn slurm_task(id: usize, number: impl Fn(&str) -> Result<Option<usize>>) -> Result<Task> {
    let variable = "SLURM_ARRAY_TASK_ID";
    let Some(first) = number("SLURM_ARRAY_TASK_MIN")? else {
        return Err(usage(format!("{variable} is set without SLURM_ARRAY_TASK_MIN")));
    };
    let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1);
    let offset = id.checked_sub(first).filter(|offset| step > 0 && offset.is_multiple_of(step));
    let Some(offset) = offset else {
        return Err(usage(format!(
            "{variable} is {id}, which an array from {first} in steps of {step} does not hold"
        )));
    };
    Ok(Task { variable, index: offset / step, count: number("SLURM_ARRAY_TASK_COUNT")? })
}

fn of_flag(flag: &str, text: &str) -> Result<usize> {
    text.parse().map_err(|_| usage(format!("--shard {flag}: `{text}` is not a whole number of at least 0")))
}

/// A variable that is empty counts as not set.
fn of_variable(variable: &str, value: Option<String>) -> Result<Option<usize>> {
    let value = value.filter(|value| !value.trim().is_empty());
    let number = |text: String| {
        text.trim()
            .parse()
            .map_err(|_| usage(format!("{variable} is `{text}`; expected a whole number of at least 0")))
    };
    value.map(number).transpose()
}

fn usage(why: String) -> Error {
    Error::Usage(format!(
        "{why}; expected --shard I/N with I from 0 to N − 1, such as --shard 0/4 (--shard 0/1 does everything)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(
        flag: Option<&str>,
        env: &[(&str, &str)],
    ) -> std::result::Result<Option<(usize, usize)>, String> {
        let find = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        match Shard::choose(flag, find) {
            Ok(shard) => Ok(shard.map(|shard| (shard.index, shard.count))),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                Err(error.to_string())
            }
        }
    }

    const SLURM: &[(&str, &str)] = &[
        ("SLURM_ARRAY_TASK_ID", "7"),
        ("SLURM_ARRAY_TASK_MIN", "3"),
        ("SLURM_ARRAY_TASK_STEP", "2"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
    ];
    const AWS: &[(&str, &str)] = &[("AWS_BATCH_JOB_ARRAY_INDEX", "2"), ("AWS_BATCH_JOB_ARRAY_SIZE", "5")];
    const KUBERNETES: &[(&str, &str)] = &[("JOB_COMPLETION_INDEX", "1")];

    #[test]
    fn the_flag_wins_over_the_environment() {
        assert_eq!(choose(Some("1/3"), SLURM), Ok(Some((1, 3))));
        assert_eq!(choose(Some("0/1"), KUBERNETES), Ok(Some((0, 1))));
        assert_eq!(choose(None, &[]), Ok(None));
    }

    #[test]
    fn array_tasks_are_shards_counted_from_0() {
        assert_eq!(choose(None, SLURM), Ok(Some((2, 4))));
        assert_eq!(choose(None, AWS), Ok(Some((2, 5))));
        assert_eq!(
            choose(None, &[("SLURM_ARRAY_TASK_ID", ""), KUBERNETES[0]]).unwrap_err().split(';').next(),
            Some("JOB_COMPLETION_INDEX says which shard this is, but not of how many")
        );
    }

    #[test]
    fn a_count_alone_takes_the_index_from_the_environment() {
        assert_eq!(choose(Some("3"), KUBERNETES), Ok(Some((1, 3))));
        assert_eq!(choose(Some("4"), SLURM), Ok(Some((2, 4))));
        assert_eq!(choose(Some("5"), AWS), Ok(Some((2, 5))));
        assert!(choose(Some("6"), AWS).unwrap_err().contains("has 5 tasks"));
        assert!(choose(Some("3"), &[]).unwrap_err().contains("not which this is"));
    }

    #[test]
    fn stretches_follow_each_other_and_are_equally_long() {
        for (total, count) in [(0, 3), (10, 3), (2, 5), (1_000_000, 7), (usize::MAX, 2)] {
            let of = |index: usize| Shard { index, count, variable: None }.range(total);
            assert_eq!((of(0).start, of(count - 1).end), (0, total));
            for index in 1..count {
                assert_eq!(of(index - 1).end, of(index).start);
                assert!(of(index).len().abs_diff(of(0).len()) <= 1);
            }
        }
        let shard = Shard { index: 2, count: 16, variable: None };
        assert_eq!(shard.part_of(Path::new("out/a.b.parquet")), Path::new("out/a.b-00002-of-00016.parquet"));
        assert_eq!(shard.part_of(Path::new("scores")), Path::new("scores-00002-of-00016"));
    }

    #[test]
    fn bad_values_are_named() {
        for bad in ["3/3", "0/0", "a/3", "1/", "-1/2", "x", "1/2/3", ""] {
            let error = choose(Some(bad), &[]).unwrap_err();
            assert!(error.contains(&format!("--shard {bad}")), "{bad}: {error}");
        }
        assert!(choose(None, &[("JOB_COMPLETION_INDEX", "two")]).unwrap_err().contains("`two`"));
        // A sparse array such as --array=1,3,7: the seventh of three.
        let sparse =
            [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "3")];
        assert!(choose(None, &sparse).unwrap_err().contains("no shard 6 of 3"));
        let between = [("SLURM_ARRAY_TASK_ID", "4"), SLURM[1], SLURM[2], SLURM[3]];
        assert!(choose(None, &between).unwrap_err().contains("steps of 2"));
    }

    #[test]
    fn shards_partition_the_cells() {
        let shard = |index| Shard { index, count: 3, variable: None };
        for cell in 0..10 {
            assert_eq!((0..3).filter(|index| shard(*index).contains(cell)).count(), 1);
        }
    }
}

//! Which rank a process is, as its starter says: torchrun, MPI-like launchers and Kubernetes' training operators by
//! `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`; Slurm's `srun` by variables of its own.

use crate::{Error, Result};

/// The port of rank 0, where the one that the variables say is in use by the starter itself.
pub const PORT: &str = "SARB_RANKS_PORT";

/// More ranks than one training has.
const MOST: usize = 1024;
/// Of Slurm's jobs the first port, and how many follow it: two jobs that share a host rarely meet.
const SLURM_PORTS: (usize, usize) = (20_000, 10_000);

/// The place of a process among the ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which it is, from 0.
    pub rank: usize,
    /// Of how many.
    pub count: usize,
    /// The host of rank 0.
    pub host: String,
    /// The port at which rank 0 waits for the others.
    pub port: u16,
}

impl Place {
    /// The place that the environment says.
    ///
    /// # Errors
    /// [`Error::Usage`] if it says none, or one that cannot be.
    pub fn of_environment() -> Result<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let found = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let place = if found("RANK").is_some() {
            of_torchrun(&found)?
        } else if found("SLURM_PROCID").is_some() {
            of_slurm(&found)?
        } else {
            return Err(Error::Usage(
                "--ranks env: neither RANK, as torchrun sets it, nor SLURM_PROCID, as srun sets it, says which rank this \
                 is; --ranks N starts N of them on this machine"
                    .into(),
            ));
        };
        let Self { rank, count, .. } = place;
        if !(1..=MOST).contains(&count) || rank >= count {
            return Err(Error::Usage(format!(
                "--ranks env: this is rank {rank} of {count}; expected ranks from 0, and 1 to {MOST} of them"
            )));
        }
        Ok(place)
    }
}

fn of_torchrun(found: &impl Fn(&str) -> Option<String>) -> Result<Place> {
    let needed = |name: &str| {
        found(name).ok_or_else(|| Error::Usage(format!("--ranks env: RANK is set, and {name} is not")))
    };
    let mut port = number("MASTER_PORT", &needed("MASTER_PORT")?)?;
    // At that port torchrun's own processes meet.
    if found("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        port += 1;
    }
    Ok(Place {
        rank: number("RANK", &needed("RANK")?)?,
        count: number("WORLD_SIZE", &needed("WORLD_SIZE")?)?,
        host: needed("MASTER_ADDR")?,
        port: asked_port(found)?.map_or_else(|| to_port("MASTER_PORT", port), Ok)?,
    })
}

/// A step's tasks may be fewer than the job's, and on fewer hosts.
fn of_slurm(found: &impl Fn(&str) -> Option<String>) -> Result<Place> {
    let first_of = |names: &[&'static str]| {
        names.iter().find_map(|&name| found(name).map(|value| (name, value))).ok_or_else(|| {
            Error::Usage(format!(
                "--ranks env: SLURM_PROCID is set, and {} is not; start it by srun",
                names.join(" or ")
            ))
        })
    };
    let (count_name, count) = first_of(&["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"])?;
    let host = match found("MASTER_ADDR") {
        Some(host) => host,
        None => {
            let (name, hosts) = first_of(&["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"])?;
            first_host(&hosts).ok_or_else(|| {
                Error::Usage(format!("--ranks env: {name} is `{hosts}`, which names no host"))
            })?
        }
    };
    let port = match (asked_port(found)?, found("MASTER_PORT")) {
        (Some(port), _) => port,
        (None, Some(port)) => to_port("MASTER_PORT", number("MASTER_PORT", &port)?)?,
        (None, None) => {
            let (name, job) = first_of(&["SLURM_JOB_ID"])?;
            let (first, ports) = SLURM_PORTS;
            to_port(name, first + number(name, &job)? % ports)?
        }
    };
    let (rank_name, rank) = first_of(&["SLURM_PROCID"])?;
    Ok(Place { rank: number(rank_name, &rank)?, count: number(count_name, &count)?, host, port })
}

/// `node[07-09,12],gpu3` begins with `node07`.
fn first_host(hosts: &str) -> Option<String> {
    let end = hosts.find([',', '[']).unwrap_or(hosts.len());
    let (name, rest) = hosts.split_at(end);
    let host = match rest.strip_prefix('[') {
        None => name.to_owned(),
        Some(numbers) => {
            let (numbers, after) = numbers.split_once(']')?;
            let first = numbers.split([',', '-']).next()?;
            let after = after.split(',').next().unwrap_or_default();
            // Names with two ranges, which are rare, are for MASTER_ADDR to say.
            (!first.is_empty() && !after.contains('[')).then(|| format!("{name}{first}{after}"))?
        }
    };
    (!host.is_empty()).then_some(host)
}

fn asked_port(found: &impl Fn(&str) -> Option<String>) -> Result<Option<u16>> {
    found(PORT).map(|port| to_port(PORT, number(PORT, &port)?)).transpose()
}

fn to_port(name: &str, number: usize) -> Result<u16> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::Usage(format!("--ranks env: {name} leads to port {number}; expected 1 to 65535"))),
    }
}

fn number(name: &str, value: &str) -> Result<usize> {
    value
        .parse()
        .map_err(|_| Error::Usage(format!("--ranks env: {name} is `{value}`; expected a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Place, String> {
        let find =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Place::of(find).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    const TORCHRUN: [(&str, &str); 4] =
        [("RANK", "1"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "10.0.0.7"), ("MASTER_PORT", "29500")];
    const SLURM: [(&str, &str); 4] = [
        ("SLURM_PROCID", "3"),
        ("SLURM_NTASKS", "8"),
        ("SLURM_JOB_NODELIST", "node[07-09,12]"),
        ("SLURM_JOB_ID", "41234"),
    ];

    fn at(rank: usize, count: usize, host: &str, port: u16) -> Result<Place, String> {
        Ok(Place { rank, count, host: host.into(), port })
    }

    #[test]
    fn torchruns_variables_say_it_and_its_own_port_is_left_to_it() {
        assert_eq!(place(&TORCHRUN), at(1, 4, "10.0.0.7", 29500));
        let elastic = [&TORCHRUN[..], &[("TORCHELASTIC_USE_AGENT_STORE", "True")]].concat();
        assert_eq!(place(&elastic), at(1, 4, "10.0.0.7", 29501));
        assert_eq!(place(&[&elastic[..], &[(PORT, "4000")]].concat()), at(1, 4, "10.0.0.7", 4000));
    }

    #[test]
    fn slurms_variables_say_it_with_a_port_of_the_job() {
        assert_eq!(place(&SLURM), at(3, 8, "node07", 21234));
        let step =
            [&SLURM[..], &[("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_STEP_NODELIST", "gpu3,node07")]].concat();
        assert_eq!(place(&step), at(3, 4, "gpu3", 21234));
        let asked = [&SLURM[..], &[("MASTER_ADDR", "head"), ("MASTER_PORT", "5000")]].concat();
        assert_eq!(place(&asked), at(3, 8, "head", 5000));
    }

    #[test]
    fn the_first_host_of_a_list_is_found() {
        for (hosts, first) in [
            ("localhost", Some("localhost")),
            ("a1,a2", Some("a1")),
            ("node[3,5-9]", Some("node3")),
            ("rack[01-02]-ib,x", Some("rack01-ib")),
            ("rack[1-2]n[1-4]", None),
            ("node[", None),
            ("", None),
        ] {
            assert_eq!(first_host(hosts).as_deref(), first, "{hosts}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(place(&[]).unwrap_err().contains("--ranks N"));
        assert!(place(&TORCHRUN[..3]).unwrap_err().contains("MASTER_PORT is not"));
        assert!(place(&SLURM[..2]).unwrap_err().contains("SLURM_JOB_NODELIST"));
        for (name, value, said) in [
            ("RANK", "4", "rank 4 of 4"),
            ("RANK", "x", "RANK is `x`"),
            ("WORLD_SIZE", "0", "of 0"),
            ("WORLD_SIZE", "5000", "1 to 1024"),
            ("MASTER_PORT", "70000", "port 70000"),
        ] {
            let changed = TORCHRUN.map(|(key, old)| (key, if key == name { value } else { old }));
            let error = place(&changed).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}

//! Shares and times as people write them on a command line: `10%`, `0.1`, `20m`.

use std::time::Duration;

/// The decimal number before a `%`, moved by two places as text, so that `29%` is the same number as `0.29`.
fn of_percent(number: &str) -> Option<f64> {
    let number = number.trim_end();
    number.parse::<f64>().ok()?;
    format!("{number}e-2").parse().ok()
}

/// A proportion from 0 to 1, or a percentage with its sign. A number above 1 without the sign is refused: it may
/// be a percentage or a slip.
pub fn proportion(text: &str) -> Result<f64, String> {
    let (value, is_percentage) = match text.trim().strip_suffix('%') {
        Some(number) => (of_percent(number), true),
        None => (text.trim().parse().ok(), false),
    };
    match value {
        Some(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Some(value) if !is_percentage && value > 1.0 && value <= 100.0 => {
            Err(format!("a proportion is from 0 to 1; write {value}% or {}", value / 100.0))
        }
        _ => Err("expected a proportion from 0 to 1 or a percentage, such as 0.1 or 10%".into()),
    }
}

/// A mAP as a fraction, from a share below 1 such as `0.9`, a percentage such as `90%`, or its number alone, `90`.
/// `1` may mean either.
pub fn mean_average_precision(text: &str) -> Result<f64, String> {
    let expected = || "expected a share or a percentage, such as 0.9, 90 or 90%".to_owned();
    let percentage =
        |number: &str| of_percent(number).filter(|share| (0.0..=1.0).contains(share)).ok_or_else(expected);
    if let Some(number) = text.trim().strip_suffix('%') {
        return percentage(number);
    }
    match text.trim().parse::<f64>() {
        Ok(1.0) => Err("1 may be a share or a percentage; write 1% or 100%".into()),
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        Ok(_) => percentage(text.trim()),
        Err(_) => Err(expected()),
    }
}

/// A time such as `90s`, `20m`, `1.5h` or `1d`; a number alone may be of any unit and is refused.
pub fn time(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time above 0 with its unit, such as 90s, 20m, 1.5h or 1d".to_owned();
    let text = text.trim();
    let units = [('s', 1.0), ('m', 60.0), ('h', 3600.0), ('d', 86_400.0)];
    let (number, seconds) = units
        .iter()
        .find_map(|&(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(expected)?;
    let time: f64 = number.trim_end().parse().map_err(|_| expected())?;
    Duration::try_from_secs_f64(time * seconds).ok().filter(|time| !time.is_zero()).ok_or_else(expected)
}

/// A seed that a recipe can hold: its whole numbers are those of TOML.
pub fn seed(text: &str) -> Result<u64, String> {
    let most = i64::MAX as u64;
    let seed = text.trim().parse().ok().filter(|seed| *seed <= most);
    seed.ok_or_else(|| format!("expected a whole number from 0 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1d", 86_400), (" 2 m ", 120)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "20", "m", "0s", "-1m", "infh", "nans", "20 minutes", "1e30d"] {
            assert!(time(bad).unwrap_err().contains("such as 90s"), "{bad}");
        }
    }

    #[test]
    fn proportions_mean_what_people_mean() {
        for (text, value) in [("0.1", 0.1), ("10%", 0.1), ("10 %", 0.1), ("1", 1.0), ("1%", 0.01), ("0", 0.0)]
        {
            assert_eq!(proportion(text), Ok(value), "{text}");
        }
        // Exactly the number that the fraction is, for every percentage.
        (0..=100).for_each(|n| {
            let fraction: f64 = format!("{}.{:02}", n / 100, n % 100).parse().unwrap();
            assert_eq!(proportion(&format!("{n}%")), Ok(fraction), "{n}");
        });
        assert!(proportion("10").unwrap_err().contains("write 10% or 0.1"));
        for bad in ["", "%", "nan", "nan%", "-0.1", "-5%", "101%", "1000", "ten", "1e5%", "inf"] {
            assert!(proportion(bad).unwrap_err().contains("such as 0.1 or 10%"), "{bad}");
        }
    }

    #[test]
    fn a_bar_for_map_is_a_share_or_a_percentage() {
        for (text, value) in
            [("0.9", 0.9), ("90", 0.9), ("90%", 0.9), ("56.3", 0.563), ("0", 0.0), ("0.5%", 0.005)]
        {
            assert_eq!(mean_average_precision(text), Ok(value), "{text}");
        }
        assert!(mean_average_precision("1").unwrap_err().contains("write 1% or 100%"));
        assert_eq!((mean_average_precision("1%"), mean_average_precision("100")), (Ok(0.01), Ok(1.0)));
        for bad in ["", "-1", "101", "110%", "nan", "high"] {
            assert!(mean_average_precision(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_seed_is_what_a_recipe_can_hold() {
        assert_eq!((seed("0"), seed("9223372036854775807")), (Ok(0), Ok(i64::MAX as u64)));
        for text in ["9223372036854775808", "18446744073709551615", "-1", "1.5", ""] {
            assert!(seed(text).unwrap_err().contains("0 to 9223372036854775807"), "{text}");
        }
    }
}

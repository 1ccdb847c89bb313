//! The rules of `--normalize`.

use std::fmt::Display;

use wandb_image::Normalize;

pub(crate) const RULES: &str = "min-max, range:LOW,HIGH, unit, signed, mean-std:M,…/S,…, guess, \
                                to-uint8, off";

pub(crate) fn parse(text: &str) -> Result<Normalize, String> {
    let (name, values) = match text.split_once(':') {
        Some((name, values)) => (name, Some(values)),
        None => (text, None),
    };
    match (name, values) {
        ("min-max", None) => Ok(Normalize::MinMax),
        ("unit", None) => Ok(Normalize::Unit),
        ("signed", None) => Ok(Normalize::Signed),
        ("guess", None) => Ok(Normalize::Guess),
        ("to-uint8", None) => Ok(Normalize::ToUint8),
        ("off", None) => Ok(Normalize::Off),
        ("range", Some(values)) => range(values),
        ("mean-std", Some(values)) => mean_std(values),
        ("range" | "mean-std", None) => Err(format!("{name} needs its values, as in {RULES}")),
        ("min-max" | "unit" | "signed" | "guess" | "to-uint8" | "off", Some(_)) => {
            Err(format!("{name} takes no values: the rules are {RULES}"))
        }
        _ => Err(format!("there is no such rule: the rules are {RULES}")),
    }
}

fn range(values: &str) -> Result<Normalize, String> {
    match numbers(values)?[..] {
        [low, high] if low < high => Ok(Normalize::ValueRange { low, high }),
        [low, high] => Err(format!(
            "LOW must be less than HIGH, but {low} is not less than {high}"
        )),
        _ => Err("range takes two numbers: range:LOW,HIGH".into()),
    }
}

fn mean_std(values: &str) -> Result<Normalize, String> {
    let Some((mean, std)) = values.split_once('/') else {
        return Err(
            "mean-std takes the means, a slash, and the standard deviations: \
                    mean-std:M,…/S,…, as in mean-std:0.485,0.456,0.406/0.229,0.224,0.225"
                .into(),
        );
    };
    let (mean, std) = (numbers(mean)?, numbers(std)?);
    match std.iter().find(|&&std| std <= 0.0) {
        Some(std) => Err(format!(
            "a standard deviation must be greater than 0, but one is {std}"
        )),
        None => Ok(Normalize::MeanStd { mean, std }),
    }
}

fn numbers(values: &str) -> Result<Vec<f64>, String> {
    values.split(',').map(number).collect()
}

fn number(text: &str) -> Result<f64, String> {
    let refuse = |reason: &dyn Display| format!("{text:?} is no number: {reason}");
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(refuse(&"it must be finite")),
        Err(error) => Err(refuse(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Normalize) {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }

    #[test]
    fn every_rule_has_its_name() {
        check("min-max", Normalize::MinMax);
        check("unit", Normalize::Unit);
        check("signed", Normalize::Signed);
        check("guess", Normalize::Guess);
        check("to-uint8", Normalize::ToUint8);
        check("off", Normalize::Off);
        check(
            "range:-1,2.5",
            Normalize::ValueRange {
                low: -1.0,
                high: 2.5,
            },
        );
        let (mean, std) = (vec![0.5, 0.25], vec![0.125, 1.0]);
        check(
            "mean-std:0.5,0.25/0.125,1",
            Normalize::MeanStd { mean, std },
        );
        let (mean, std) = (vec![0.5], vec![2.0]);
        check("mean-std:0.5/2", Normalize::MeanStd { mean, std });
    }

    fn check_refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn what_is_no_rule_is_told_what_is() {
        check_refused("minmax", "the rules are min-max, range:LOW,HIGH");
        check_refused("", "the rules are");
        check_refused("unit:1", "unit takes no values");
        check_refused("range", "range needs its values");
        check_refused("range:1", "range takes two numbers");
        check_refused("range:1,1", "1 is not less than 1");
        check_refused("range:0,inf", "must be finite");
        check_refused("range:a,b", "\"a\" is no number");
        check_refused("mean-std:0.5", "a slash");
        check_refused("mean-std:0.5/0", "greater than 0");
        check_refused("mean-std:/", "\"\" is no number");
    }
}

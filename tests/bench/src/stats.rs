//! Rounds of several contestants in turn, so that a machine that drifts drifts for all of them.

use std::time::{Duration, Instant};

/// A contestant: what it is called and one round of it.
pub struct Contestant<'a> {
    pub name: &'static str,
    pub round: Box<dyn FnMut() + 'a>,
}

pub fn contestant<'a>(name: &'static str, round: impl FnMut() + 'a) -> Contestant<'a> {
    Contestant { name, round: Box::new(round) }
}

/// Runs everyone `rounds` times in turn after one round that does not count; prints medians and, for each
/// rival, the median of the pairwise ratios of the first contestant to it.
pub fn compare(what: &str, rounds: usize, mut all: Vec<Contestant<'_>>) {
    let mut times: Vec<Vec<f64>> = all.iter().map(|_| Vec::new()).collect();
    for n in 0..=rounds {
        for (contestant, times) in all.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (contestant.round)();
            if n > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    println!("{what} ({rounds} rounds)");
    for (n, contestant) in all.iter().enumerate() {
        let ratios = times[0].iter().zip(&times[n]).map(|(ours, theirs)| ours / theirs);
        let line =
            format!("  {:<28} {:>10.3?}", contestant.name, Duration::from_secs_f64(median(times[n].iter().copied())));
        if n == 0 { println!("{line}") } else { println!("{line}   ours / this = {:.2}", median(ratios)) }
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! The sampler against llama.cpp: which tokens remain of fixed logits, and how likely they are.
//! `tools/oracle/sampler_vectors.c` recorded `data/sampler_vectors.txt` and says what is in it.
//! llama2.c's arithmetic, where only temperature and top-p are set, is compared to the bit.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_engine::{Random, Sampler, Sampling};
use llamaboot_kernels::Kernels;
use std::str::FromStr;

/// Relative. llama.cpp's expf and sums in f32 are off by some units of 2^-24, and a logit near 30
/// is rounded to 2^-19, which its probability shows as 2e-6.
const TOLERANCE: f64 = 1e-5;

/// All off but what a case sets.
const OFF: Sampling = Sampling { temperature: 1.0, top_p: 1.0, ..Sampling::DEFAULT };

fn next(x: &mut u32) -> u32 {
    *x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *x
}

fn unit(x: &mut u32) -> f32 {
    (next(x) >> 8) as f32 / 16_777_216.0
}

fn history(len: usize) -> Vec<u32> {
    const SIX: [u32; 6] = [3, 5, 13, 21, 40, 63];
    let mut x = 7;
    let mut tokens: Vec<u32> = Vec::new();
    for i in 0..len {
        let random = SIX[(next(&mut x) >> 16) as usize % 6];
        let repeats = i >= 31 && i % 37 != 0;
        tokens.push(if repeats { tokens[i - 31] } else { random });
    }
    tokens
}

#[derive(Default)]
struct Case {
    vocab_size: usize,
    seed: u32,
    scale: f32,
    steep: bool,
    history: usize,
    sampling: Sampling,
    breakers: Vec<u32>,
}

impl Case {
    fn parse(line: &str) -> Self {
        fn to<T: FromStr>(place: &mut T, value: &str) {
            *place = value.parse().ok().unwrap();
        }
        let mut case = Self { sampling: OFF, ..Self::default() };
        let s = &mut case.sampling;
        for (name, value) in line.split(' ').map(|setting| setting.split_once('=').unwrap()) {
            match name {
                "vocab_size" => to(&mut case.vocab_size, value),
                "seed" => to(&mut case.seed, value),
                "scale" => to(&mut case.scale, value),
                "steep" => case.steep = true,
                "history" => to(&mut case.history, value),
                "breaker" => case.breakers.push(value.parse().unwrap()),
                "temperature" => to(&mut s.temperature, value),
                "top_k" => to(&mut s.top_k, value),
                "typical_p" => to(&mut s.typical_p, value),
                "top_p" => to(&mut s.top_p, value),
                "min_p" => to(&mut s.min_p, value),
                "repeat_penalty" => to(&mut s.repeat_penalty, value),
                "frequency_penalty" => to(&mut s.frequency_penalty, value),
                "presence_penalty" => to(&mut s.presence_penalty, value),
                "repeat_last_n" => to(&mut s.repeat_last_n, value),
                "dry_multiplier" => to(&mut s.dry_multiplier, value),
                "dry_base" => to(&mut s.dry_base, value),
                "dry_allowed_length" => to(&mut s.dry_allowed_length, value),
                "mirostat" => to(&mut s.mirostat, value),
                "mirostat_tau" => to(&mut s.mirostat_tau, value),
                "mirostat_eta" => to(&mut s.mirostat_eta, value),
                _ => panic!("{name} in {line}"),
            }
        }
        case
    }

    fn logits(&self, step: u32) -> Vec<f32> {
        let mut x = self.seed + step;
        let shaped = |u: f32| if self.steep { 0.05 / (u + 0.05) } else { u - 0.5 };
        (0..self.vocab_size).map(|_| shaped(unit(&mut x)) * self.scale).collect()
    }

    fn sampler(&self) -> Sampler {
        let mut sampler = Sampler::new(self.vocab_size, self.sampling.clone(), 1).unwrap();
        sampler.set_dry_breakers(self.breakers.iter().rev().copied().collect());
        history(self.history).into_iter().for_each(|token| sampler.accept(token));
        sampler
    }
}

/// What a line `> selected id:probability ...` says.
fn step(line: &str) -> (u32, Vec<(u32, f64)>) {
    let mut words = line.split(' ');
    let selected = words.next().unwrap().parse().unwrap();
    let pairs = words.map(|word| word.split_once(':').unwrap());
    (selected, pairs.map(|(id, p)| (id.parse().unwrap(), p.parse().unwrap())).collect())
}

fn compare(sampler: &Sampler, expected: &[(u32, f64)], what: &str) {
    let mut found = sampler.candidates().to_vec();
    assert!(found.is_sorted_by(|a, b| a.0 >= b.0), "likeliest first: {what}");
    found.sort_by_key(|&(_, id)| id);
    let ids = |pairs: &[(u32, f64)]| pairs.iter().map(|&(id, _)| id).collect::<Vec<_>>();
    let found: Vec<_> = found.into_iter().map(|(p, id)| (id, f64::from(p))).collect();
    assert_eq!(ids(&found), ids(expected), "{what}");
    for ((id, p), (_, q)) in found.iter().zip(expected) {
        assert!((p - q).abs() <= TOLERANCE * q, "token {id}: {p}, llama.cpp {q}: {what}");
    }
}

#[test]
fn what_remains_is_what_llama_cpp_keeps() {
    let text = include_str!("data/sampler_vectors.txt");
    let mut running: Option<(Case, Sampler, u32)> = None;
    let mut steps = 0;
    for (line, number) in text.lines().zip(1..) {
        let Some(expected) = line.strip_prefix("> ") else {
            let case = Case::parse(line);
            let sampler = case.sampler();
            running = Some((case, sampler, 0));
            continue;
        };
        let (case, sampler, at) = running.as_mut().unwrap();
        let drawn = sampler.sample(Kernels::best(), &case.logits(*at));
        let (selected, expected) = step(expected);
        compare(sampler, &expected, &format!("line {number}, step {at}: {:?}", case.sampling));
        assert!(expected.iter().any(|&(id, _)| id == drawn), "line {number}: drew {drawn}");
        sampler.accept(selected);
        *at += 1;
        steps += 1;
    }
    assert_eq!(steps, text.lines().filter(|line| line.starts_with('>')).count());
    assert!(steps > 100);
}

/// llama2.c's `sample`, written anew: all of the vocabulary is sorted, nothing is left out first.
fn llama2c(logits: &[f32], temperature: f32, top_p: f32, random: &mut Random) -> u32 {
    let mut scores: Vec<f32> = logits.iter().map(|l| l / temperature).collect();
    Kernels::best().softmax(&mut scores);
    let mut coin = random.next_f32();
    let mut all: Vec<(f32, u32)> = scores.into_iter().zip(0..).collect();
    if top_p > 0.0 && top_p < 1.0 {
        all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap());
        let mut sum = 0.0;
        let reached = all.iter().position(|&(p, _)| {
            sum += p;
            sum > top_p
        });
        all.truncate(reached.map_or(all.len(), |at| at + 1));
        coin *= sum;
    }
    let mut sum = 0.0;
    let drawn = all.iter().find(|&&(p, _)| {
        sum += p;
        coin < sum
    });
    drawn.or(all.last()).unwrap().1
}

#[test]
fn temperature_and_top_p_alone_draw_as_llama2c_does() {
    let mut x = 11;
    for (temperature, top_p) in [(1.0, 0.9), (0.7, 0.9), (1.3, 0.5), (1.0, 1.0), (0.9, 0.0)] {
        let sampling = Sampling { temperature, top_p, ..OFF };
        let mut sampler = Sampler::new(500, sampling, 99).unwrap();
        let mut random = Random::new(99);
        for _ in 0..300 {
            let logits: Vec<f32> = (0..500).map(|_| unit(&mut x) * 12.0).collect();
            let token = sampler.sample(Kernels::best(), &logits);
            assert_eq!(token, llama2c(&logits, temperature, top_p, &mut random));
            sampler.accept(token);
        }
    }
}

/// Every way a token may be chosen.
fn ways() -> [Sampling; 9] {
    [
        OFF,
        Sampling { temperature: 0.0, ..OFF },
        Sampling { top_p: 0.9, ..OFF },
        Sampling { top_k: 50, ..OFF },
        Sampling { min_p: 0.01, ..OFF },
        Sampling { typical_p: 0.9, ..OFF },
        Sampling { mirostat: 1, ..OFF },
        Sampling { mirostat: 2, ..OFF },
        Sampling { repeat_penalty: 1.3, dry_multiplier: 0.8, ..OFF },
    ]
}

#[test]
fn only_allowed_tokens_are_drawn() {
    let mut x = 3;
    for (sampling, way) in ways().into_iter().zip(0..) {
        let mut sampler = Sampler::new(100, sampling, 5).unwrap();
        for round in 0..200 {
            let logits: Vec<f32> = (0..100).map(|_| unit(&mut x) * 20.0).collect();
            let allowed = |token: u32| token % 7 == 3 || token == round % 100;
            let token = sampler.sample_where(Kernels::best(), &logits, &allowed).unwrap();
            assert!(allowed(token), "way {way}: {token}");
            let candidates = sampler.candidates();
            assert!(candidates.iter().any(|&(_, id)| id == token), "way {way}");
            assert!(candidates.iter().all(|&(_, id)| allowed(id)), "way {way}: {candidates:?}");
            let sum: f64 = candidates.iter().map(|&(p, _)| f64::from(p)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "way {way}: {sum}");
            sampler.accept(token);
        }
    }
}

#[test]
fn where_none_is_allowed_none_is_drawn() {
    for sampling in ways() {
        let mut sampler = Sampler::new(10, sampling, 5).unwrap();
        assert_eq!(sampler.sample_where(Kernels::best(), &[1.0; 10], &|_| false), None);
        assert_eq!(sampler.sample_where(Kernels::best(), &[], &|_| true), None);
    }
}

#[test]
fn logits_that_are_no_numbers_do_not_let_in_others() {
    for logit in [f32::NEG_INFINITY, f32::NAN, f32::INFINITY, f32::MIN] {
        for (sampling, way) in ways().into_iter().zip(0..) {
            let mut sampler = Sampler::new(10, sampling, 5).unwrap();
            let logits = [[2.0; 5], [logit; 5]].concat();
            let token = sampler.sample_where(Kernels::best(), &logits, &|token| token >= 6);
            assert!(token.is_some_and(|token| token >= 6), "way {way}, {logit}: {token:?}");
            assert!(sampler.sample(Kernels::best(), &[logit; 10]) < 10, "way {way}, {logit}");
        }
    }
}

/// As if the others did not exist: the same as logits of only those that are allowed. All but for
/// Mirostat 1, which knows how many tokens there are.
#[test]
fn what_is_not_allowed_takes_no_part() {
    let mut x = 17;
    for (sampling, way) in ways().into_iter().zip(0..).filter(|(s, _)| s.mirostat != 1) {
        // Without penalties, for those know tokens by their ids.
        let sampling = Sampling { repeat_penalty: 1.0, dry_multiplier: 0.0, ..sampling };
        let mut whole = Sampler::new(300, sampling.clone(), 5).unwrap();
        let mut part = Sampler::new(100, sampling, 5).unwrap();
        for _ in 0..50 {
            let few: Vec<f32> = (0..100).map(|_| unit(&mut x) * 10.0).collect();
            let logits: Vec<f32> = few.iter().flat_map(|&l| [12.0, l, 11.0]).collect();
            let token = whole.sample_where(Kernels::best(), &logits, &|token| token % 3 == 1);
            part.sample_where(Kernels::best(), &few, &|_| true).unwrap();
            let thirds: Vec<u32> = whole.candidates().iter().map(|&(_, id)| id / 3).collect();
            let ids: Vec<u32> = part.candidates().iter().map(|&(_, id)| id).collect();
            assert_eq!(thirds, ids, "way {way}");
            // The same token for both, or Mirostat learns different things.
            whole.accept(token.unwrap());
            part.accept(token.unwrap() / 3);
        }
    }
}

/// Candidates of μ's first value come back once what was learned is gone.
#[test]
fn mirostat_starts_over_when_told_to() {
    let mut x = 23;
    let logits: Vec<f32> = (0..400).map(|_| unit(&mut x) * 8.0).collect();
    let sampling = Sampling { mirostat: 2, mirostat_tau: 3.5, ..OFF };
    let mut sampler = Sampler::new(400, sampling, 5).unwrap();
    let kept = |sampler: &mut Sampler| {
        let token = sampler.sample(Kernels::best(), &logits);
        let kept = sampler.candidates().len();
        sampler.accept(token);
        kept
    };
    let first = kept(&mut sampler);
    for start_over in [Sampler::forget, |sampler: &mut Sampler| sampler.set_seed(8)] {
        assert!((0..20).map(|_| kept(&mut sampler)).any(|later| later != first));
        start_over(&mut sampler);
        assert_eq!(kept(&mut sampler), first);
    }
}

/// A prompt that is accepted teaches Mirostat nothing: only a token that was drawn does.
#[test]
fn mirostat_learns_from_draws_alone() {
    let mut x = 29;
    let logits: Vec<f32> = (0..400).map(|_| unit(&mut x) * 8.0).collect();
    let sampling = Sampling { mirostat: 2, mirostat_tau: 3.5, ..OFF };
    let [mut one, mut other] = [(); 2].map(|()| Sampler::new(400, sampling.clone(), 5).unwrap());
    for _ in 0..20 {
        let token = one.sample(Kernels::best(), &logits);
        assert_eq!(token, other.sample(Kernels::best(), &logits));
        assert_eq!(one.candidates(), other.candidates());
        one.accept(token);
        other.accept(token);
        (0..400).for_each(|prompt| other.accept(prompt));
    }
}

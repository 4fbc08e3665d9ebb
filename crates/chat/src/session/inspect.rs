//! Looking inside: settings, context, statistics, logits, speed, and why the answer is what it is.

use super::{Session, on_one_line};
use crate::bench::bench;
use crate::console::write_styled;
use crate::conversation::tokens;
use crate::pace::Pace;
use crate::progress::gauge;
use crate::settings::{Choice, not_a_setting};
use crate::{Console, Style, Theme, bytes_text, qr, text};
use alloc::{format, string::String, string::ToString, vec::Vec};
use core::fmt::Display;
use llamaboot_engine::{EngineError, Logits, logit_report};
use llamaboot_tokenizer::Tokenizer;

/// The tokens of `/logits` where none are given: valid in every vocabulary of 408 and more, and
/// those of the recorded references.
const LOGIT_TOKENS: &str = "1,403,407";
/// The tokens of `/bench` where no number is given: a second or two on an old laptop.
const BENCH_TOKENS: usize = 32;
/// Other tokens that `/why` names.
const OTHERS: usize = 3;
/// Cells of the gauge of `/context`.
const GAUGE: usize = 20;

impl Session<'_> {
    /// `/show`, or one setting's value.
    pub(super) fn show(&self, name: &str) -> Result<String, String> {
        if !name.is_empty() {
            let value = self.chat.settings.get(name);
            let value = value.ok_or_else(|| not_a_setting(name, self.language()))?;
            return Ok(format!("{name} {value}\n"));
        }
        let manner = match &self.template {
            Some(template) => text::TEMPLATE_IS.fill(self.language(), &[&template.name()]),
            None => self.line_of(text::NO_TEMPLATE),
        };
        let (name, format) = (&self.info.name, &self.info.format);
        let mut out = self.line(text::MODEL, &[name, format, &manner]);
        out += &self.line(text::TOKENIZER, &[&self.tokenizer.kind()]);
        out += &self.line(text::MEMORY, &[&bytes_text(self.info.memory)]);
        out += &self.line(text::CONTEXT_USED, &[&self.used(), &self.engine.context()]);
        Ok(out + &self.chat.settings.describe())
    }

    /// `/system`.
    pub(super) fn show_system(&self) -> String {
        match self.system() {
            Some(system) if self.chat.settings.system != Choice::None => {
                self.line(text::SYSTEM_IS, &[&system])
            }
            _ => self.line(text::NO_SYSTEM, &[]),
        }
    }

    /// `/context`.
    pub(super) fn show_context(&self) -> String {
        let (used, context) = (self.used(), self.engine.context());
        let gauge = gauge(used, context, GAUGE);
        let free = context.saturating_sub(used);
        let values: [&dyn Display; 4] = [&gauge, &used, &context, &free];
        let mut out = self.line(text::CONTEXT_LINE, &values);
        for turn in self.told_turns() {
            let count = format!("{:>6}", tokens(core::slice::from_ref(turn)).count());
            let user: String = on_one_line(turn.question()).take(60).collect();
            out += &self.line(text::CONTEXT_TURN, &[&count, &user]);
        }
        out
    }

    /// `/stats`.
    pub(super) fn stats(&self) -> String {
        let totals = &self.totals;
        let rate = |tokens: usize, micros: u64| {
            format!("{:.1}", tokens as f64 * 1e6 / micros.max(1) as f64)
        };
        let seconds = format!("{:.1}", totals.micros as f64 / 1e6);
        let decode = rate(totals.tokens, totals.micros);
        let answers: [&dyn Display; 4] = [&totals.answers, &totals.tokens, &seconds, &decode];
        let prefill = rate(totals.prompt_tokens, totals.prompt_micros);
        let prompts: [&dyn Display; 3] = [&totals.prompt_tokens, &totals.kept_tokens, &prefill];
        let (drafted, right) = self.speculation.counts();
        let minutes = format!("{:.1}", (self.clock.micros() - self.begun_us) as f64 / 6e7);
        self.line(text::STATS_ANSWERS, &answers)
            + &self.line(text::STATS_PROMPTS, &prompts)
            + &self.line(text::STATS_DRAFTS, &[&right, &drafted])
            + &self.line(text::STATS_TIME, &[&minutes])
    }

    /// Logits of a fresh sequence. The conversation is then computed again, with its next turn.
    pub(super) fn logits(&mut self, ids: &str) -> Result<String, String> {
        let ids = if ids.is_empty() { LOGIT_TOKENS } else { ids };
        let parsed = ids.split(',').map(|id| id.trim().parse()).collect::<Result<Vec<u32>, _>>();
        let tokens =
            parsed.map_err(|_| text::LOGITS_USAGE.fill(self.language(), &[&format!("{ids:?}")]))?;
        self.engine.truncate(0);
        let report = logit_report(&mut self.engine, &tokens).map_err(|e| e.to_string());
        self.engine.truncate(0);
        report
    }

    /// Speed, measured on a fresh sequence.
    pub(super) fn bench(
        &mut self,
        console: &mut dyn Console,
        tokens: &str,
    ) -> Result<String, String> {
        let tokens = match tokens {
            "" => BENCH_TOKENS,
            tokens => tokens.parse().ok().filter(|&tokens| tokens > 0).ok_or_else(|| {
                text::BENCH_USAGE.fill(self.language(), &[&format!("{tokens:?}")])
            })?,
        };
        let mut go_on = |_| !console.interrupted();
        let report = bench(&mut self.engine, self.clock, (tokens, tokens), &mut go_on);
        self.engine.truncate(0);
        let report = report.map_err(|e| e.to_string())?;
        Ok(report.map_or_else(|| self.line(text::STOPPED, &[]), |report| report.text()))
    }

    /// `/why`: computes the last answer once more, and shows each token's probability and the
    /// likeliest others, before sampling settings change either.
    pub(super) fn why(&mut self, console: &mut dyn Console) -> Result<(), String> {
        let Some(turn) = self.chat.turns.last().filter(|turn| !turn.reply.is_empty()) else {
            return Err(self.line_of(text::NO_TURN));
        };
        let wanted = self.wanted();
        let begin = wanted.len() - turn.reply.len();
        let closing = self.manner().closing().len();
        let reply = &wanted[begin..wanted.len().saturating_sub(closing).max(begin)];
        if reply.is_empty() {
            return Err(self.line_of(text::NO_TURN));
        }
        let same = self.hold_common(&wanted[..begin]);
        let fault = |e: EngineError| e.to_string();
        if same < begin - 1 {
            let mut pace = Pace::new(self.clock, self.engine.batch());
            let go_on = |_| (!console.interrupted()).then(|| pace.next_batch());
            let computed = self.engine.prefill(&wanted[same..begin - 1], go_on).map_err(fault)?;
            if computed < begin - 1 - same {
                self.tell(console, Style::Note, text::STOPPED, &[]);
                return Ok(());
            }
        }
        // Each step computes the token before the one it tells of.
        for (i, &token) in reply.iter().enumerate() {
            self.engine.forward(&wanted[begin - 1 + i..begin + i], Logits::Last).map_err(fault)?;
            let row = self.why_row(token);
            write_styled(console, row.1, &row.0);
            if console.interrupted() {
                self.tell(console, Style::Note, text::STOPPED, &[]);
                break;
            }
        }
        Ok(())
    }

    /// A line about a token, and its colour.
    fn why_row(&self, token: u32) -> (String, Style) {
        let mut probabilities = self.engine.last_logits().to_vec();
        self.engine.kernels().softmax(&mut probabilities);
        let mut likeliest: Vec<u32> = (0..probabilities.len() as u32).collect();
        let p = |token: u32| probabilities[token as usize];
        let others = (OTHERS + 1).min(likeliest.len());
        let by_p = |a: &u32, b: &u32| p(*b).total_cmp(&p(*a)).then(a.cmp(b));
        if others < likeliest.len() {
            likeliest.select_nth_unstable_by(others, by_p);
        }
        likeliest.truncate(others);
        likeliest.sort_by(by_p);
        let percent = |token: u32| format!("{:.1}", 100.0 * p(token));
        let others = likeliest.iter().filter(|&&other| other != token).take(OTHERS);
        let others: Vec<String> = others
            .map(|&other| format!("{} {} %", shown(self.tokenizer, other), percent(other)))
            .collect();
        let row = text::WHY_ROW.fill(
            self.language(),
            &[
                &format!("{:>5}", percent(token)),
                &format!("{:16}", shown(self.tokenizer, token)),
                &others.join(", "),
            ],
        );
        let level = match p(token) {
            p if p < 0.05 => 0,
            p if p < 0.2 => 1,
            p if p < 0.5 => 2,
            p if p < 0.9 => 3,
            _ => Style::SURE,
        };
        (row + "\n", Style::Likely(level))
    }

    /// `/qr [PART]`.
    pub(super) fn qr(&self, console: &mut dyn Console, part: &str) -> Result<String, String> {
        let Some(turn) = self.chat.turns.last().filter(|turn| !turn.answer.is_empty()) else {
            return Err(self.line_of(text::NO_TURN));
        };
        let parts = qr::parts(turn.answer.trim(), console.size());
        let count = parts.len();
        let number = match part {
            "" => 1,
            part => part.parse().ok().filter(|n| (1..=count).contains(n)).ok_or_else(|| {
                text::QR_USAGE.fill(self.language(), &[&count, &format!("{part:?}")])
            })?,
        };
        let code = qr::code(parts[number - 1], self.chat.settings.theme == Theme::Light);
        write_styled(console, Style::Text, &code);
        Ok(match count {
            1 => String::new(),
            _ if number == count => self.line(text::QR_LAST, &[&number, &count]),
            _ => self.line(text::QR_PART, &[&number, &count, &(number + 1)]),
        })
    }
}

/// A token as it can be read: quoted, line ends and single bytes spelt out.
fn shown(tokenizer: &Tokenizer, token: u32) -> String {
    let bytes = match tokenizer.decode_piece(None, token) {
        [] => tokenizer.token_bytes(token).unwrap_or_default(),
        bytes => bytes,
    };
    match core::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => bytes.iter().map(|byte| format!("<{byte:02x}>")).collect(),
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What is found, and what helps.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// All is well.
    Ok,
    /// It may be meant so.
    Warning,
    /// Packets are lost, or not protected.
    Error,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Level::Ok => AnsiColor::Green,
            Level::Warning => AnsiColor::Yellow,
            Level::Error => AnsiColor::Red,
        };
        color.on_default().bold()
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at, in one word.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What was found.
    pub(super) message: String,
    /// What helps: a command, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Finding {
            check,
            level: Level::Ok,
            message: message.into(),
            remedy: None,
        }
    }

    /// It may be meant so.
    pub(super) fn warning(check: &'static str, message: String, remedy: String) -> Self {
        Finding {
            check,
            level: Level::Warning,
            message,
            remedy: Some(remedy),
        }
    }

    /// It can't be meant so.
    pub(super) fn error(check: &'static str, message: String, remedy: String) -> Self {
        Finding {
            level: Level::Error,
            ..Finding::warning(check, message, remedy)
        }
    }

    /// A line for people, and one for the remedy.
    pub(super) fn text(&self, colors: bool) -> String {
        let (word, style) = (self.level.word(), self.level.style());
        let word = if colors {
            format!("{style}{word:7}{style:#}")
        } else {
            format!("{word:7}")
        };
        let remedy = self.remedy.as_ref();
        let remedy = remedy.map_or(String::new(), |remedy| format!("         -> {remedy}\n"));
        format!("{word}  {}: {}\n{remedy}", self.check, self.message)
    }
}

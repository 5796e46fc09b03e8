//! What people read of decisions and runs: every kind of record as a small document,
//! which the terminal, the HTML report and the log print, and the figures and the page of
//! a simulated run.

mod chart;
pub mod document;
pub mod figures;
mod html;
pub mod layout;
pub mod page;
pub mod record;
mod text;

// SPDX-License-Identifier: GPL-2.0

//! Messages put together and taken apart byte by byte, as the reference has them and independently
//! of the code under test.

mod extension;
mod flow;
mod message;
mod number;
mod read;
mod text;

pub use self::{extension::*, flow::*, message::*, number::*, read::*, text::*};

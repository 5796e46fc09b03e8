//! Common parts of the tests of whole behaviours. The tests themselves are in `tests/`,
//! the guests that they compile in `guests/`.

pub mod composed;
pub mod guests;

//! What the tests of whole behaviours share. The tests themselves stand in
//! `tests/`, the guests that they compile in `guests/`.

pub mod composed;
pub mod guests;
